"""The strips of samples: what became of objects and of pixels, each in a colour of its own."""

import numpy as np
import pytest

from kseg.datasets import Dataset, Item
from kseg.geometry import Geometry
from kseg.inference import Predictor
from kseg.layers import ScoreReading
from kseg.pictures import EDGE_FALSE, EDGE_MISSED, ERROR_COLOURS, FALSE, MERGED, MISSED, SPLIT, WRONG
from kseg.strips import draw_strip, evenly_spaced

# Five rows of objects as in tests/unit/metrics/test_object_scores.py, set apart.
TRUE = np.array(
    [
        [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],  # matched, an edge missed
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 2, 2, 2, 0, 0, 0, 0, 0, 0],  # missed
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [3, 3, 3, 3, 3, 3, 3, 0, 0, 0],  # found in two pieces
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [4, 4, 4, 0, 0, 5, 5, 5, 0, 0],  # found as one
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [6, 6, 6, 0, 0, 0, 0, 0, 0, 0],  # matched, an edge too much; and a false one
    ],
)
FOUND = np.array(
    [
        [1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0, 1, 1],
    ]
)
EXPECTED = np.array(
    [
        [0, 0, 0, EDGE_MISSED, 0, 0, 0, 0, 0, 0],
        [0] * 10,
        [MISSED] * 4 + [0] * 6,
        [0] * 10,
        [SPLIT] * 7 + [0] * 3,
        [0] * 10,
        [MERGED] * 8 + [0] * 2,
        [0] * 10,
        [0, 0, 0, EDGE_FALSE, 0, 0, 0, 0, FALSE, FALSE],
    ]
)


class One(Dataset):
    name, splits, split, ids = "one", ("val",), "val", ("a",)

    def __init__(self, label, instances=None, classes=("background", "cell")):
        self.label, self.instances, self.classes = label, instances, classes
        self.has_instances = instances is not None

    def read(self, index):
        return Item("a", np.zeros((*self.label.shape, 1), np.uint8), self.label.astype(np.int32), self.instances)


def kinds_of(data: Dataset, found: np.ndarray) -> np.ndarray:
    """The kinds of errors that the last panel of the strip shows."""
    classes = len(data.classes)
    call = Predictor(lambda images: images, Geometry(), {"": 1}, {"": classes}, readings={"": ScoreReading()})
    picture = draw_strip(data, data[0], {"": found}, call)
    height, width = found.shape
    factor = -(-256 // max(height, width))
    panel = picture[22 : 22 + factor * height, 3 * (factor * width + 4) :][factor // 2 :: factor, factor // 2 :: factor]
    seen = (panel[:height, :width, None].astype(int) == np.array(ERROR_COLOURS)).all(axis=-1)
    return seen.argmax(axis=-1)


def test_missed_false_split_and_merged_objects_are_told_apart_and_edges_are_darker():
    np.testing.assert_array_equal(kinds_of(One((TRUE > 0).astype(int), TRUE.astype(np.int32)), FOUND), EXPECTED)


@pytest.mark.parametrize("classes", [("background", "cell"), ("background", "cell", "nucleus")])
def test_missed_pixels_false_ones_and_those_of_another_class_are_told_apart(classes):
    label = np.array([[0, 0, 1, 1, 255, len(classes) - 1]] * 5)
    found = np.array([[0, 1, 0, 1, 1, 1]] * 5)
    expected = [0, FALSE, MISSED, 0, 0, WRONG if len(classes) > 2 else 0]
    assert kinds_of(One(label, classes=classes), found)[2].tolist() == expected


def test_the_first_and_the_last_item_are_among_those_that_are_drawn():
    assert evenly_spaced(10, 4) == [0, 3, 6, 9] and evenly_spaced(2, 4) == [0, 1] and evenly_spaced(1, 4) == [0]
