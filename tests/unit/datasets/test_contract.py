"""What every data set does by being one."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kseg.datasets.contract import Dataset, Item, NoSuchSplit
from kseg.errors import Advice, DataError


class Single(Dataset):
    """One label, of so many classes."""

    name, split, splits, ids = "single", "train", ("train",), ("a",)

    def __init__(self, label: np.ndarray, count: int) -> None:
        self.label, self.classes = label, tuple(map(str, range(count)))

    def read(self, index: int) -> Item:
        return Item("a", np.zeros((*self.label.shape, 1), np.uint8), self.label)


NUMBERS = {kind: [0, 1, 19, 20, 21, 127, 128, 254, 255] for kind in ("uint8", "int16", "uint16", "int32", "int64")}
for kind in ("int16", "int32", "int64"):
    NUMBERS[kind] += [-1, -235, -256, 256, 276, 511, np.iinfo(kind).min, np.iinfo(kind).max]
NUMBERS["uint16"] += [256, 276, 511, 65535]


@given(st.data(), st.sampled_from(sorted(NUMBERS)), st.sampled_from([1, 2, 20, 21, 254, 255, 256, 300]))
def test_a_label_is_refused_exactly_where_a_number_is_no_class_and_not_void(data, kind, count):
    shape = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    allowed = [n for n in NUMBERS[kind] if 0 <= n < count or n == 255]
    known = data.draw(st.sampled_from([allowed, NUMBERS[kind]]))
    label = data.draw(arrays.arrays(kind, shape, elements=st.sampled_from(known)))
    stray = [n for n in label.ravel().tolist() if n not in allowed]
    if not stray:
        assert Single(label, count)[0].label is label
        return
    with pytest.raises(
        DataError, match=f"a: label {stray[0]} at row .* \\({len(stray)} pixels, .* are {count} classes"
    ):
        Single(label, count)[0]


def test_a_label_of_fractions_is_checked_as_well():
    with pytest.raises(DataError, match="label 7.5 at row 0, column 1 "):
        Single(np.float32([[1, 7.5]]), 3)[0]


class Five(Dataset):
    """Items a to e, whose pixels are 0 to 4; label 7 in d is no class."""

    name, split, splits, ids = "five", "val", ("train", "val"), tuple("abcde")
    classes, scored_classes, has_weights, colour_white = ("sky", "road", "car"), (1, 2), True, 4095.0

    def read(self, index: int) -> Item:
        label = np.full((2, 3), 7 if index == 3 else 1, np.int32)
        return Item(self.ids[index], np.full((2, 3, 1), index, np.uint8), label, weight=index / 2)

    def location(self, index: int) -> str:
        return f"labels/{self.ids[index]}.png"

    def advice(self, label: np.ndarray) -> Advice:
        return (f"{label.max()} is sea.",)


def test_a_slice_is_a_data_set_of_these_items_with_all_else_as_it_was():
    part = Five()[1:4]
    assert isinstance(part, Dataset) and len(part) == 3 and list(part.ids) == ["b", "c", "d"]
    assert [item.id for item in part[:2]] == ["b", "c"] and part[1].image.max() == 2 and part[-3].id == "b"
    assert part.read(2).id == "d" and part.location(2) == "labels/d.png" == part.location(-1)
    assert (part.name, part.split, part.splits, part.classes) == ("five", "val", ("train", "val"), Five.classes)
    assert (part.scored_classes, part.has_weights, part.colour_white, part.ignore_class) == ((1, 2), True, 4095.0, 255)
    with pytest.raises(DataError, match="labels/d.png: label 7 at row 0, column 0 .* 3 classes. 7 is sea."):
        part[2]
    assert [item.id for item in pickle.loads(pickle.dumps(part))[:1]] == ["b"]


def test_a_split_that_is_not_there_names_those_that_are_in_another_process_too():
    with pytest.raises(NoSuchSplit, match="five: there is no split 'tset'. Did you mean 'test'") as caught:
        Five().choose("tset", ("val", "test"))
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert error.known == ("val", "test")


def test_slices_count_from_the_end_go_backwards_and_can_be_cut_again():
    five = Five()
    assert list(five[-2:].ids) == ["d", "e"] and list(five[::-2].ids) == ["e", "c", "a"] and len(five[3:3]) == 0
    again = five[::-1][1:4][::2]  # e d c b a, d c b, d b
    assert list(again.ids) == ["d", "b"] and again[1].image.max() == 1
    assert repr(again) == "<five val: 2 of 5 images, 3 classes>"


def test_an_item_is_found_by_its_number_alone():
    five = Five()
    assert five[-1].id == five[np.int64(4)].id == "e"
    for index in ("a", 1.0, None, [1]):
        with pytest.raises(
            TypeError, match=r"five val: 5 images, 3 classes.*give an item's number, or a slice for several"
        ):
            five[index]
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"has no item {index}"):
            five[index]


def test_data_sets_and_items_say_what_they_are_without_their_pixels():
    five = Five()
    assert repr(five) == "<five val: 5 images, 3 classes>"
    assert repr(five[1]) == "<Item b: image (2, 3, 1) uint8, label (2, 3) int32, weight 0.5>"
    five.classes = {"semantic": ("a", "b", "c"), "geometric": ("d", "e")}
    assert repr(five) == "<five val: 5 images, 3 semantic classes and 2 geometric classes>"
    images = {"rgb": np.zeros((4, 5, 3), np.uint8), "hha": np.zeros((4, 5, 3), np.float32)}
    item = Item("n", images, np.zeros((4, 5), np.int32), np.zeros((4, 5), np.int32))
    assert repr(item) == (
        "<Item n: rgb image (4, 5, 3) uint8, hha image (4, 5, 3) float32, label (4, 5) int32, instances (4, 5) int32>"
    )
