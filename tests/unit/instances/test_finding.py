import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kseg.errors import ConfigError
from kseg.instances import ObjectRules, number

masks = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 2))

# A ring around a hole, a speck of one pixel, and a bay that is open to the border.
RING = np.array(
    [
        [1, 1, 1, 0, 0, 0],
        [1, 0, 1, 0, 1, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]
)


def test_objects_below_the_smallest_size_are_left_out_and_the_others_are_numbered_without_a_gap():
    # Ring 8 pixels, speck 1, bay 5.
    assert np.bincount(number(RING).ravel()).tolist() == [22, 8, 1, 5]
    assert np.bincount(number(RING, ObjectRules(min_size=2)).ravel()).tolist() == [23, 8, 5]
    assert np.bincount(number(RING, ObjectRules(min_size=5)).ravel()).tolist() == [23, 8, 5]
    assert number(RING, ObjectRules(min_size=9)).max() == 0


def test_a_hole_is_filled_and_a_bay_at_the_border_is_not():
    filled = number(RING, ObjectRules(fill_holes=True))
    assert (filled[0:3, 0:3] == 1).all() and filled[4, 5] == 0 and (filled > 0).sum() == 15


def test_a_hole_counts_to_the_size():
    assert number(RING, ObjectRules(min_size=9, fill_holes=True)).max() == 1


def test_a_diagonal_gap_is_a_way_out_of_a_hole():
    # Objects are 4-connected, so what is around them is 8-connected.
    open_ring = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    assert (number(open_ring, ObjectRules(fill_holes=True)) > 0).sum() == 4


def test_what_another_class_fills_is_no_hole():
    ids = np.ones((5, 5), int)
    ids[1:4, 1:4] = 0
    ids[2, 2] = 2
    ids = np.pad(ids, 1)
    assert np.bincount(number(ids, ObjectRules(fill_holes=True)).ravel()).tolist() == [24 + 8, 16, 1]


@settings(deadline=None)  # the first call compiles
@given(masks, st.integers(0, 9), st.booleans(), st.booleans())
def test_every_object_is_whole_of_one_class_and_large_enough(ids, min_size, fill_holes, separate):
    result = number(ids, ObjectRules(min_size, fill_holes, separate))
    assert result.dtype == np.int32
    found = np.unique(result[result > 0])
    np.testing.assert_array_equal(found, 1 + np.arange(len(found)))
    for value in found:
        inside = result == value
        assert inside.sum() >= min_size and number(inside).max() == 1
        assert len(np.unique(ids[inside & (ids > 0)])) == 1
    if not fill_holes:
        assert not (result[ids == 0]).any()
    if min_size <= 1:
        assert (result[ids > 0] > 0).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_size": -1}, "min_size is -1, but must be a whole number of pixels, at least 0"),
        ({"min_size": 2.5}, "min_size is 2.5"),
        ({"min_size": True}, "min_size is True"),
        ({"fill_holes": 1}, "fill_holes is 1, but must be true or false"),
        ({"separate": "yes"}, "separate is 'yes'"),
    ],
)
def test_rules_out_of_range_are_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        ObjectRules(**values)


def test_rules_say_what_they_do():
    assert str(ObjectRules()) == "Objects are the 4-connected parts of the mask."
    assert str(ObjectRules(20, True, True)) == (
        "Objects are the 4-connected parts of the mask, with their holes filled, parted at their necks where they "
        "touch, of 20 pixels or more."
    )
