import numpy as np
import pytest

from kseg.datasets import Dataset, Item, survey
from kseg.datasets.statistics import as_text, class_weights, statistics

A, B, C, VOID = 0, 1, 2, 255


class Drawn(Dataset):
    """Two images of classes drawn by hand; nothing is of class d."""

    name, split, splits, ids = "drawn", "train", ("train",), ("0", "1")
    classes = ("a", "b", "c", "d")
    labels = ([[A, A], [A, B]], [[A, A, VOID], [C, C, VOID]])

    def read(self, index: int) -> Item:
        label = np.array(self.labels[index], np.int32)
        return Item(self.ids[index], np.full((*label.shape, 2), (index + 1, 10), np.uint8), label)


class TwoHeads(Drawn):
    classes = {"kind": Drawn.classes, "side": ("left", "right")}

    def read(self, index: int) -> Item:
        item = super().read(index)
        label = {"kind": item.label, "side": np.full_like(item.label, index)}
        return Item(item.id, {"rgb": item.image, "hha": item.image[..., :1]}, label)


def test_inverse_weights_let_every_class_weigh_the_same_in_sum():
    # 5, 1 and 2 pixels of 8, three classes that occur: 8 / (3 n)
    weights = class_weights(survey(Drawn()), "inverse")
    assert weights == pytest.approx((8 / 15, 8 / 3, 4 / 3, 0))
    assert 5 * weights[0] + 1 * weights[1] + 2 * weights[2] == pytest.approx(8)


def test_median_frequency_counts_only_the_images_that_have_the_class():
    # a: 5 of the 8 known pixels of both images; b: 1 of the 4 of the first; c: 2 of the 4 of the second
    assert class_weights(survey(Drawn()), "median") == pytest.approx((0.5 / (5 / 8), 0.5 / 0.25, 1, 0))


def test_every_head_has_weights_of_its_own():
    weights = class_weights(survey(TwoHeads()), "inverse")
    assert weights["kind"] == class_weights(survey(Drawn()), "inverse")
    assert weights["side"] == pytest.approx((10 / 8, 10 / 12))


def test_a_split_that_is_all_void_has_no_weight():
    class Void(Drawn):
        labels = ([[VOID]], [[VOID]])

    found = survey(Void())
    assert class_weights(found, "inverse") == class_weights(found, "median") == (0, 0, 0, 0)
    assert statistics(Void(), found)["heads"][""]["void_share"] == 1


def test_figures_are_those_of_all_pixels():
    figures = statistics(Drawn(), survey(Drawn()))
    # 4 pixels of grey level 1, 6 of 2
    assert figures["mean"][""] == pytest.approx([1.6, 10])
    assert figures["deviation"][""] == pytest.approx([0.24**0.5, 0])
    assert (figures["images"], figures["heights"], figures["widths"]) == (2, [2, 2], [2, 3])
    assert figures["heads"][""]["void_share"] == 0.2
    first = figures["heads"][""]["classes"][0]
    assert (first["name"], first["pixels"], first["share"], first["images"]) == ("a", 5, 5 / 8, 2)


def test_grey_levels_are_told_stream_by_stream():
    figures = statistics(TwoHeads(), survey(TwoHeads()))
    assert figures["mean"] == {"rgb": pytest.approx([1.6, 10]), "hha": pytest.approx([1.6])}


def test_figures_in_words_have_a_line_and_a_bar_per_class():
    lines = as_text(statistics(Drawn(), survey(Drawn()))).splitlines()
    assert lines[0] == "drawn train: 2 images, uint8, 2 channels, up to 10"
    assert lines[2] == "mean and deviation: 1.60 ± 0.49, 10.00 ± 0.00"
    assert "void: 20.00% of the pixels" in lines
    assert lines[-4].split() == ["a", "2", "62.50%", "0.5333", "0.8", "#" * 19]
    assert lines[-1].split() == ["d", "0", "0.00%", "0", "0"]
