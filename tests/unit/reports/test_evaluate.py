import dataclasses
import json
import math
import threading

import keras
import numpy as np
import pytest

from kseg.datasets import Item
from kseg.datasets.contract import Dataset
from kseg.errors import ConfigError, DataError
from kseg.geometry import Geometry
from kseg.inference import Predictor
from kseg.layers import ScoreReading
from kseg.metrics import Measure
from kseg.reports import Report, evaluate


class Two(Dataset):
    """Two images; class 2 never occurs, one pixel is void."""

    name, splits, split, classes = "two", ("val",), "val", ("ground", "cell", "other")
    ids = ("a", "b")

    def __init__(self, has_instances: bool = False) -> None:
        self.has_instances = has_instances
        self.classes = self.classes[:2] if has_instances else self.classes

    def read(self, index: int) -> Item:
        label = np.array([[0, 1, 1, 255], [0, 0, 1, 1]][index : index + 1], np.int32)
        cells = np.array([[0, 1, 1, 0], [0, 0, 2, 2]][index : index + 1], np.int32)
        image = np.array([[0, 1, 1, 1], [0, 1, 1, 1]][index : index + 1], np.uint8)[..., None]
        return Item(self.ids[index], image, label, cells if self.has_instances else None)


def echo(classes: int) -> Predictor:
    """A network that answers with the grey level."""
    return Predictor(
        lambda images: np.eye(classes, dtype=np.float32)[images[..., 0].astype(int)], Geometry(), {"": 1}, {"": classes}
    )


def test_scores_come_from_one_matrix_over_the_split():
    report = evaluate(echo(3), Two())
    assert report.confusion.tolist() == [[2, 1, 0], [0, 4, 0], [0, 0, 0]]
    assert report.per_class["ground"] == pytest.approx(2 / 3) and report.per_class["cell"] == pytest.approx(4 / 5)
    assert math.isnan(report.per_class["other"])
    assert report.mean_iu == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert report.measures["pixel_accuracy"] == pytest.approx(6 / 7)
    assert [image["mean_iu"] for image in report.images] == pytest.approx([1.0, (1 / 2 + 2 / 3) / 2])


def test_a_report_is_of_the_precision_and_the_average_that_are_asked_for():
    image = keras.Input((None, None, 1))
    network = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    for precision, average in (("float32", "none"), ("mixed_bfloat16", "mirror")):
        report = evaluate(network, Two(), precision=precision, average=average)
        assert (report.precision, report.average) == (precision, average)


def test_objects_are_scored_where_they_are_numbered():
    report = evaluate(echo(2), Two(has_instances=True))
    # Both reference cells are two pixels, each found as part of a component of three.
    assert report.seg == pytest.approx(2 / 3) and report.measures["seg"] == report.seg


def test_the_challenges_measures_come_with_their_thresholds():
    data = Two()
    data.classes = data.classes[:2]
    report = evaluate(echo(2), data, measures=["pixel_error"])
    # The softmax of scores 0 and 1 is 0.27 and 0.73. White above 0.3: true positives 5 (void is no membrane), false 1.
    assert report.measures["pixel_error"] == pytest.approx(1 - 2 * 5 / (2 * 5 + 1))
    assert report.thresholds["pixel_error"] == pytest.approx(0.3) and "pixel_error 0.3" in report.protocol


class Void(Measure):
    """The share of void that was taken for class 1."""

    words, higher, protocol = "void as cell", False, "Void was looked at."

    def sums(self, seen):
        void = seen.label == seen.ignore_class
        return np.array([(seen.prediction[void] == 1).sum(), void.sum()])

    def of_sums(self, total):
        return total[0] / total[1] if total[1] else float("nan")


def test_a_measure_of_ones_own_is_in_scores_images_words_and_protocol():
    report = evaluate(echo(3), Two(), measures=["dice", Void(), "dice"])
    assert list(report.measures) == ["pixel_accuracy", "dice", "void"] and report.measures["void"] == 1
    assert report.images[0]["void"] == 1 and math.isnan(report.images[1]["void"])
    assert report.words("void") == "void as cell" and "Void was looked at." in report.protocol
    assert report.columns == ["mean_iu", "pixel_accuracy", "void"] and "void" in str(report)
    assert report.to_json()["per_image"][1]["void"] is None


def test_the_worst_images_are_the_worst_by_any_measure_and_have_a_score():
    rows = [{"id": "a", "mean_iu": 0.5, "void": 0.1}, {"id": "b", "mean_iu": 0.25, "void": 0.9}]
    rows += [{"id": "c", "mean_iu": 1.0, "void": math.nan}, {"id": "d", "mean_iu": math.nan, "void": 0.5}]
    report = Report("set", "val", ("a", "b"), np.eye(2, dtype=np.int64), tuple(rows))
    assert report.worst() == [1, 0, 2] and report.worst(Void()) == [1, 3, 0] and report.worst(Void(), 1) == [1]


def test_dice_of_each_class_stands_beside_its_iu():
    report = evaluate(echo(3), Two())
    assert report.per_class_dice["cell"] == pytest.approx(8 / 9) and report.measures["dice"] == pytest.approx(38 / 45)
    assert "cell    0.800  0.889" in str(report)
    assert report.to_json()["per_class_dice"] == pytest.approx({"ground": 4 / 5, "cell": 8 / 9, "other": None})


class Sparse(Two):
    """The second image has no object."""

    def read(self, index):
        item = super().read(index)
        return dataclasses.replace(item, instances=item.instances * (index == 0))


def test_images_without_objects_are_left_out_of_seg_and_the_report_says_so():
    report = evaluate(echo(2), Sparse(has_instances=True))
    assert report.seg == pytest.approx(2 / 3) and math.isnan(report.images[1]["seg"])
    assert "SEG leaves out 1 image without true objects." in report.protocol
    assert report.worst("seg") == [0]


def test_images_of_different_sizes_are_scored_by_the_challenges_measures_too():
    class Uneven(Two):
        def read(self, index):
            item = super().read(index)
            keep = slice(0, 4 - index)
            return Item(item.id, item.image[:, keep], item.label[:, keep])

    data = Uneven()
    data.classes = data.classes[:2]
    report = evaluate(echo(2), data, measures=["pixel_error"])
    # Void is no membrane: of the first image 3 right of 3 and 3, of the second 1 right of 2 and 1.
    assert report.measures["pixel_error"] == pytest.approx(1 - 2 * 4 / (5 + 4))


def test_a_measure_that_the_data_can_not_be_scored_by_is_refused():
    with pytest.raises(ConfigError, match="measure is seg, but two has no numbered objects. Choose another"):
        evaluate(echo(3), Two(), measures=["seg"])
    with pytest.raises(ConfigError, match="Did you mean 'dice'"):
        evaluate(echo(3), Two(), measures=["dise"])


def test_a_report_prints_draws_and_serialises_itself():
    report = evaluate(echo(3), Two())
    text = str(report)
    assert "mean IU 0.733" in text and "left out: other" in text and "one confusion matrix" in text
    assert "<meter" in report._repr_html_() and '<td class="number">0.733' in report._repr_html_()
    stored = json.loads(json.dumps(report.to_json()))
    assert stored["per_class"]["other"] is None and stored["split"] == "val" and stored["precision"] == "float32"
    assert stored["mean_iu"] == pytest.approx(report.mean_iu)


def test_names_of_classes_are_no_markup_and_small_shares_no_longer_than_others():
    data = Two()
    data.classes = ("<b>", *data.classes[1:])
    report = evaluate(echo(3), data)
    assert "<b>" not in report._repr_html_() and "&lt;b&gt;" in report._repr_html_()
    few = dataclasses.replace(report, confusion=np.array([[1, 2999, 0], [0, 1, 0], [0, 0, 0]]))
    assert [line.split()[1] for line in str(few).splitlines()[3:6]] == ["0.000", "0.000", "-"]


def test_other_classes_than_the_datas_are_refused():
    with pytest.raises(DataError, match="The network has the classes class 0, .*: 4 classes are not 3"):
        evaluate(echo(4), Two())


def test_classes_of_the_same_number_in_another_order_are_refused():
    data = Two()
    other = ScoreReading((data.classes[0], data.classes[2], data.classes[1]))
    model = dataclasses.replace(echo(3), readings={"": other})
    with pytest.raises(DataError, match="the same names, but in another order. Take the data that it was trained for"):
        evaluate(model, data)


def test_of_many_images_the_worst_are_printed():
    row = {"id": "a", "mean_iu": 0.5, "pixel_accuracy": 0.5}
    images = [{**row, "id": f"image{number}", "mean_iu": number / 100} for number in range(30)]
    report = Report("set", "val", ("a", "b"), np.eye(2, dtype=np.int64), tuple(images))
    text = str(report)
    assert "worst of 30 images" in text and "image4 " in text and "image5 " not in text
    assert len(report.to_json()["per_image"]) == 30


class TwoTasks(Two):
    classes = {"semantic": ("sky", "tree", "sea"), "geometric": ("up", "down")}
    scored_classes = {"semantic": (0, 1)}
    has_instances = False

    def __init__(self) -> None:
        pass

    def read(self, index: int) -> Item:
        semantic = np.array([[0, 1, 1, 2]], np.int32)
        return Item(
            self.ids[index], semantic[..., None].astype(np.uint8), {"semantic": semantic, "geometric": semantic // 2}
        )


def test_further_heads_are_scored_beside_the_first_and_the_protocols_classes_alone_are_averaged():
    def scores(images: np.ndarray) -> np.ndarray:
        found = np.where(images[..., 0] == 2, 1, images[..., 0]).astype(int)  # sea is taken for a tree
        return np.concatenate([np.eye(3)[found], np.eye(2)[found // 2]], axis=-1).astype(np.float32)

    report = evaluate(Predictor(scores, Geometry(), {"": 1}, {"semantic": 3, "geometric": 2}), TwoTasks())
    assert report.classes == ("sky", "tree", "sea")
    assert report.per_class == pytest.approx({"sky": 1, "tree": 2 / 3, "sea": 0})
    assert report.mean_iu == pytest.approx((1 + 2 / 3) / 2)
    assert report.measures["geometric_pixel_accuracy"] == pytest.approx(3 / 4)
    assert report.measures["geometric_mean_iu"] == pytest.approx((3 / 4 + 0) / 2)
    assert "leaves sea out of the means" in report.protocol
    assert report.to_json()["heads"] == {
        "geometric": {
            "mean_iu": pytest.approx(3 / 8),
            "per_class": pytest.approx({"up": 3 / 4, "down": 0}),
            "confusion": [[6, 0], [2, 0]],
        }
    }


def test_a_network_without_the_datas_heads_is_refused():
    with pytest.raises(DataError, match="gives one label per pixel, but two has semantic"):
        evaluate(echo(3), TwoTasks())


def test_the_classes_that_the_protocol_averages_are_those_of_the_data_set():
    data = Two()
    data.scored_classes = (1, 2)  # of which class 2 never occurs: cells alone are averaged, all four of them found
    report = evaluate(echo(3), data, measures=["mean_accuracy"])
    assert report.measures["mean_accuracy"] == 1 and report.mean_iu == pytest.approx(4 / 5)
    data.scored_classes = None
    assert evaluate(echo(3), data, measures=["mean_accuracy"]).measures["mean_accuracy"] == pytest.approx(5 / 6)


def test_data_without_an_image_are_refused_and_a_measure_may_be_one_name():
    with pytest.raises(DataError, match="0 of 2 images.*there is no image to score"):
        evaluate(echo(3), Two()[:0])
    assert "dice" in evaluate(echo(3), Two(), measures="dice").measures


class Many(Two):
    """Forty images; the one with the number `bad` can't be read."""

    ids = tuple(map(str, range(40)))

    def __init__(self, bad: int = -1) -> None:
        super().__init__()
        self.bad, self.made = bad, 0

    def read(self, index):
        self.made = index + 1
        if index == self.bad:
            raise DataError(f"{index}: damaged.")
        return dataclasses.replace(super().read(index % 2), id=self.ids[index])


def test_an_image_that_can_not_be_read_is_named_after_those_before_it_are_scored():
    done = []
    with pytest.raises(DataError, match="7: damaged"):
        evaluate(echo(3), Many(bad=7), progress=lambda *numbers: done.append(numbers))
    assert done == [(number, 40) for number in range(1, 8)]


def test_images_are_read_and_scored_beside_the_network_but_few_at_a_time_and_in_order():
    data, threads, ahead = Many(), set(), []

    class Watch(Measure):
        words = "watch"

        def sums(self, seen):
            threads.add(threading.current_thread())
            return np.ones(1)

        def of_sums(self, total):
            return total[0]

    def progress(done, of_all):
        threads.add(threading.current_thread())
        ahead.append(data.made - done)

    report = evaluate(echo(3), data, measures=[Watch()], progress=progress)
    assert len(threads) == 2 and threading.main_thread() in threads
    assert min(ahead) >= 0 and max(ahead) <= 4  # one is scored, two wait for it, one is read, another one made
    assert [image["id"] for image in report.images] == list(data.ids) and report.measures["watch"] == 40


def test_an_interruption_ends_the_scoring_at_once():
    def progress(done, of_all):
        raise KeyboardInterrupt

    data, before = Many(), threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        evaluate(echo(3), data, progress=progress)
    assert data.made < 8 and threading.active_count() == before
