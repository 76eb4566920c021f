"""What every data set does by being one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kseg.datasets.contract import Dataset, Item
from kseg.errors import DataError


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
