import numpy as np
import pytest
from dataset_case import classes_of, put, put_mat, put_text, write_pascal_context

from kseg import datasets
from kseg.datasets.published.pascal_context import LABELS
from kseg.errors import ConfigError, DataError
from kseg.images import read_label


@pytest.fixture
def root(tmp_path):
    write_pascal_context(tmp_path / "context")
    return tmp_path / "context"


def test_with_60_classes_all_else_is_background_and_with_59_void(root):
    _, label = classes_of(14, 18, 60, 1)
    sixty, fewer = (datasets.open("pascal-context", root, split="train", classes=count) for count in (60, 59))
    assert sixty.classes == ("background", *LABELS) and fewer.classes == tuple(LABELS)
    np.testing.assert_array_equal(sixty[0].label, label)
    np.testing.assert_array_equal(fewer[0].label, np.where(label == 0, 255, label.astype(int) - 1))


def test_a_label_beyond_the_459_is_named(root):
    put_mat(root / "trainval" / "2009_000003.mat", LabelMap=np.full((14, 18), 460, np.uint16))
    with pytest.raises(DataError, match=r"2009_000003.mat: label 460 at row 0, column 0 .* but there are 459. Is this"):
        datasets.open("pascal-context", root, split="val")[0]


def test_the_33_classes_are_read_from_their_own_maps(root):
    with pytest.raises(DataError, match="Looked there, .* for 33_context_labels;"):
        datasets.open("pascal-context", root, split="val", classes=33)
    _, label = classes_of(14, 18, 34, 5)
    put(root / "33_context_labels" / "2009_000003.png", label)
    names = [f"thing {number}" for number in range(33)]
    put_text(root / "33_labels.txt", *(f"{number + 1}: {name}" for number, name in enumerate(names)))
    data = datasets.open("pascal-context", root, split="val", classes=33)
    assert data.classes == tuple(names)
    np.testing.assert_array_equal(data[0].label, np.where(label == 0, 255, label.astype(int) - 1))
    put_text(root / "33_labels.txt", *names[1:])
    with pytest.raises(DataError, match="33_labels.txt: 32 names, but 33 classes"):
        datasets.open("pascal-context", root, split="val", classes=33)


def test_no_other_number_of_classes_is_taken(root):
    with pytest.raises(ConfigError, match=r"data.classes is 21, but PASCAL-Context has 60 \(59 and the background\)"):
        datasets.open("pascal-context", root, split="val", classes=21)


def test_the_images_may_lie_beside_the_labels(root):
    (root / "trainval").rename(root / "inner")
    (root / "inner").rename(root.parent / "trainval")
    assert len(datasets.open("pascal-context", root.parent, split="train")) == 2


def test_the_real_masks_equal_those_of_the_published_class_maps(shared):
    folder = shared / "data" / "pascal_context"
    for split in ("train", "val"):
        data = datasets.open("pascal-context", folder, split=split)
        for item in data:
            mask = folder / "VOCdevkit" / "VOC2010" / "SegmentationClassContext" / f"{item.id}.png"
            np.testing.assert_array_equal(item.label, read_label(mask))


def test_the_classes_and_their_labels_are_the_release_s(shared):
    folder = shared / "data" / "pascal_context"
    named = dict(line.split(": ", 1) for line in (folder / "labels.txt").read_text().splitlines())
    renamed = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}
    assert all(named[str(label)].replace(" ", "") == renamed.get(name, name) for name, label in LABELS.items())
    lines = (folder / "59_labels.txt").read_text().splitlines()
    assert [line.partition(": ")[2] for line in lines] == list(LABELS)
