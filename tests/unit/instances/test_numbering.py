import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kseg.instances import are_numbered, components, count_numbered, number, separate

maps = arrays.arrays(np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3))


def flooded(mask: np.ndarray) -> np.ndarray:
    """Components by the book: from each pixel not yet reached, to its four neighbours."""
    numbers = np.zeros(mask.shape, int)
    for start in np.argwhere(mask):
        reached = [tuple(start)] if not numbers[tuple(start)] else []
        count = numbers.max() + 1
        while reached:
            row, column = place = reached.pop()
            if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[place] and not numbers[place]:
                numbers[place] = count
                reached += [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
    return numbers


@given(maps)
def test_components_are_four_connected_and_numbered_row_by_row(label):
    result = components(label)
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, flooded(label != 0))


def test_corners_do_not_connect():
    assert components(np.eye(3)).tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]


def test_each_class_has_its_own_objects_numbered_through():
    ids = np.array([[2, 2, 0, 1], [0, 1, 1, 1], [2, 0, 0, 0]])
    assert number(ids).tolist() == [[2, 2, 0, 1], [0, 1, 1, 1], [3, 0, 0, 0]]


@given(maps)
def test_numbering_keeps_the_background_and_parts_classes(ids):
    result = number(ids)
    assert result.dtype == np.int32 and set(np.unique(result)) <= set(range(result.max() + 1))
    np.testing.assert_array_equal(result == 0, ids == 0)
    for value in range(1, result.max() + 1):
        inside = result == value
        assert len(np.unique(ids[inside])) == 1 and components(inside).max() == 1


def test_the_gap_lies_on_the_lower_and_right_side_of_a_contact():
    assert separate(np.array([[1, 1], [2, 2]])).tolist() == [[1, 1], [0, 0]]
    assert separate(np.array([[1, 1, 2, 2]])).tolist() == [[1, 1, 0, 2]]


def test_objects_that_do_not_touch_stay_whole():
    apart = np.array([[1, 1, 0, 2], [1, 1, 0, 2]], np.uint16)
    result = separate(apart)
    np.testing.assert_array_equal(result, apart)
    assert result.dtype == np.uint16


@given(maps)
def test_after_separation_no_two_objects_touch_even_at_a_corner(cells):
    result = separate(cells)
    assert ((result == cells) | (result == 0)).all()
    padded = np.pad(result, 1)
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 0)):
        neighbour = padded[row : row + cells.shape[0], column : column + cells.shape[1]]
        assert ((neighbour == result) | (neighbour == 0) | (result == 0)).all()


def squares(count: int, *, start: int = 1, each: int = 1) -> np.ndarray:
    """A row of 3 x 3 squares that touch, `each` of a number, which go from `start` on."""
    numbers = np.repeat(np.arange(start, start + count), 3)
    return np.pad(np.tile(numbers, (3, each)), 1)


@pytest.mark.parametrize(
    ("label", "count"),
    [
        (squares(9), 9),
        (squares(9, start=2), 0),  # 1 is left out
        (squares(9, each=2), 0),  # in two pieces each
        (np.zeros((3, 3), int), 0),
    ],
)
def test_numbers_from_1_on_in_one_piece_each_are_counted(label, count):
    assert count_numbered(label, np.unique(label).tolist()) == count


@pytest.mark.parametrize(
    ("counts", "numbered"),
    [
        ([9, 12, 7, 30], True),
        ([8, 3], True),  # the most numbers decide, and eight are many
        ([7, 3], False),
        ([9, 12, 0, 30], True),  # one image of tracked or broken objects
        ([], False),
        ([2, 3, 4, 3], False),  # few: three classes in one piece each look so
        ([13, 13, 13, 12], False),  # thirteen organs, all of them in most images
        ([0, 0, 9, 12], False),  # the classes of a street, and two images that happen to look so
    ],
)
def test_labels_that_each_number_their_own_objects_look_so_and_classes_do_not(counts, numbered):
    assert are_numbered(counts) == numbered
