import numpy as np
import pytest
import tifffile
from dataset_case import write_isbi2012

from kseg import datasets
from kseg.errors import DataError


@pytest.fixture
def root(tmp_path):
    write_isbi2012(tmp_path / "isbi")
    return tmp_path / "isbi"


def change(path, **pages):
    stack = tifffile.imread(path)
    for page, value in pages.items():
        stack[int(page[1:]), 3, 5] = value
    tifffile.imwrite(path, stack, photometric="minisblack", metadata=None)


def test_the_slices_of_each_split_are_those_of_the_facts(root):
    stack = tifffile.imread(root / "train-volume.tif")
    for split, slices in {"train": range(21), "val": range(21, 24), "test": range(24, 30), "all": range(30)}.items():
        data = datasets.open("isbi2012", root, split=split)
        assert data.ids == [f"slice_{number:02d}" for number in slices]
        for item, number in zip(data, slices, strict=True):
            np.testing.assert_array_equal(item.image[..., 0], stack[number])


def test_255_is_a_cell_and_0_membrane(root):
    data = datasets.open("isbi2012", root, split="val")
    assert data.classes == ("membrane", "cell")
    np.testing.assert_array_equal(data[0].label, tifffile.imread(root / "train-labels.tif")[21] == 255)


def test_a_number_that_the_challenge_has_not_names_slice_and_pixel(root):
    change(root / "train-labels.tif", p4=7)
    with pytest.raises(DataError, match=r"train-labels.tif, slice 4: label 7 at row 3, column 5 \(1 pixels, 0.3%"):
        datasets.open("isbi2012", root, split="train")[4]


def test_stacks_of_other_lengths_are_counted(root):
    tifffile.imwrite(root / "train-labels.tif", np.zeros((29, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match="30 slices and 29 labels in the two stacks, but the challenge has 30 of each"):
        datasets.open("isbi2012", root, split="train")


def test_labels_that_are_missing_or_of_another_size_are_named(root):
    tifffile.imwrite(root / "train-labels.tif", np.zeros((30, 20, 16), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=r"slice 21: the image is 16 x 20, the label 20 x 16 \(turned by a quarter"):
        datasets.open("isbi2012", root, split="val")[0]
    (root / "train-labels.tif").unlink()
    with pytest.raises(DataError, match="train-labels.tif: there is no such file"):
        datasets.open("isbi2012", root, split="val")


def test_the_real_stacks_are_read(shared):
    data = datasets.open("isbi2012", shared / "data" / "isbi2012", split="val")
    item = data[2]
    assert item.image.shape == (512, 512, 1) and set(np.unique(item.label)) == {0, 1}
