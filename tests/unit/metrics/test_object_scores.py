"""Objects at IoU 0.5, by hand and by the formula of Caicedo et al. 2019 written down anew with dense tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import linear_sum_assignment

from kseg.errors import DataError
from kseg.instances import ObjectRules
from kseg.metrics import OBJECT_COUNTS, Seen, compare_objects, measure, objects

frames = arrays.arrays(np.int64, (6, 7), elements=st.sampled_from([0, 0, 1, 2, 3, 9]))

# One row per case, of ten pixels: what is true, what was found.
TRUE = np.array(
    [
        [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],  # 1 is found with 3 of 4: IoU 0.75
        [2, 2, 2, 2, 0, 0, 0, 0, 0, 0],  # 2 is not found
        [3, 3, 3, 3, 3, 3, 0, 0, 0, 0],  # 3 is found in two halves: IoU 0.5 each, which is not above it
        [4, 4, 4, 0, 0, 5, 5, 5, 0, 0],  # 4 and 5 are found as one of 8: IoU 3/8 each
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  # a false one
    ]
)
FOUND = np.array(
    [
        [1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [2, 2, 2, 3, 3, 3, 0, 0, 0, 0],
        [4, 4, 4, 4, 4, 4, 4, 4, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 5, 5, 5],
    ]
)


def dense(found: np.ndarray, true: np.ndarray) -> tuple[int, int, int]:
    """True positives, false positives and false negatives from the table of all pairs, object by object."""
    pairs = [
        [((found == f) & (true == t)).sum() / ((found == f) | (true == t)).sum() for f in ids(found)] for t in ids(true)
    ]
    matches = np.array(pairs).reshape(len(ids(true)), len(ids(found))) > 0.5
    return (
        int((matches.sum(axis=1) == 1).sum()),
        int((matches.sum(axis=0) == 0).sum()),
        int((matches.sum(axis=1) == 0).sum()),
    )


def ids(frame: np.ndarray) -> list[int]:
    return [number for number in np.unique(frame).tolist() if number]


def test_objects_are_told_apart_by_what_became_of_them():
    compared = compare_objects(FOUND, TRUE)
    counts = dict(zip(OBJECT_COUNTS, compared.counts.tolist(), strict=True))
    assert counts == {"true": 5, "found": 5, "matched": 1, "missed": 1, "false": 1, "split": 1, "merged": 1}
    assert compared.true_ids[compared.true_missed].tolist() == [2]
    assert compared.true_ids[compared.true_split].tolist() == [3]
    assert compared.found_ids[compared.found_merged].tolist() == [4]
    assert compared.found_ids[compared.found_false].tolist() == [5]


def test_precision_recall_and_f1_are_those_worked_out_by_hand():
    # 1 match of 5 found and 5 true ones: F1 2 / 10.
    counts = compare_objects(FOUND, TRUE).counts
    assert (objects.precision(counts), objects.recall(counts), objects.f1(counts)) == (1 / 5, 1 / 5, 1 / 5)
    counts = compare_objects(FOUND[:2], TRUE[:2]).counts
    assert (objects.precision(counts), objects.recall(counts), objects.f1(counts)) == (1, 1 / 2, 2 / 3)


@given(frames, frames)
def test_the_sums_are_those_of_the_public_formula(found, true):
    matched, extra, lost = dense(found, true)
    counts = compare_objects(found, true).counts
    assert counts[:3].tolist() == [matched + lost, matched + extra, matched]
    total = 2 * matched + extra + lost
    assert objects.f1(counts) == pytest.approx(2 * matched / total if total else np.nan, nan_ok=True)


@given(frames, frames)
def test_matching_one_to_one_gives_the_same(found, true):
    """As StarDist does it: the assignment with the most pairs, by SciPy. At 0.5 exactly it counts otherwise."""
    table = np.array(
        [
            [((found == f) & (true == t)).sum() / ((found == f) | (true == t)).sum() for f in ids(found)]
            for t in ids(true)
        ]
    ).reshape(len(ids(true)), len(ids(found)))
    rows, columns = linear_sum_assignment(-(table > 0.5).astype(float) - table / (2 * max(1, min(table.shape))))
    assert compare_objects(found, true).counts[2] == (table[rows, columns] > 0.5).sum()


def test_specks_do_not_make_a_split_but_are_false():
    true = np.ones((10, 10), int)
    found = np.zeros((10, 10), int)
    found[0, 0], found[5, 5], found[9, 9] = 1, 2, 3  # a hundredth each
    counts = compare_objects(found, true).counts
    assert counts.tolist() == [1, 3, 0, 1, 3, 0, 0]


@pytest.mark.parametrize(("pixels", "split"), [(10, 1), (9, 0)])
def test_a_piece_has_a_tenth_of_the_object(pixels, split):
    true, found = np.ones((10, 10), int), np.zeros((10, 10), int)
    found[:4], found[9, :pixels] = 1, 2  # 40 of 100 pixels, and the other piece
    counts = compare_objects(found, true).counts
    assert counts[OBJECT_COUNTS.index("split")] == split


def test_one_that_matches_and_holds_a_small_one_too_is_a_merge_and_nothing_is_missed():
    true, found = np.zeros((4, 10), int), np.ones((4, 10), int)
    true[:, :7], true[0, 9] = 1, 2  # 28 of 40 pixels: IoU 0.7
    assert compare_objects(found, true).counts.tolist() == [2, 1, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("void, found_ids", [([], [1, 2]), ([5], [1, 2]), ([5, 6], [1])])
def test_objects_mostly_in_void_are_neither_right_nor_false(void, found_ids):
    prediction = np.array([[1, 1, 1, 0, 0, 1, 1, 1, 0]])
    true = np.array([[7, 7, 7, 0, 0, 0, 0, 0, 0]])
    label = np.where(true > 0, 1, 0)
    label[0, void] = 255
    seen = Seen(label, np.eye(2, dtype=np.float32)[prediction], ("ground", "cell"), instances=true)
    assert seen.comparison.found_ids.tolist() == found_ids
    assert seen.comparison.found_false.tolist() == [False, True][: len(found_ids)]


def test_the_count_error_adds_up_image_by_image():
    # One too many and one too few do not cancel: (1 + 1) / (2 + 1).
    one, two = np.array([[1, 1, 0, 0, 0]]), np.array([[1, 1, 0, 2, 2]])
    found = measure("count_error")

    def seen(prediction, true):
        scores = np.eye(2, dtype=np.float32)[(prediction > 0).astype(int)]
        return Seen((true > 0).astype(int), scores, ("ground", "cell"), instances=true)

    sums = [found.sums(seen(one, two)), found.sums(seen(two, one))]
    assert found.of_sums(sums[0] + sums[1]) == pytest.approx(2 / 3) and not found.higher
    assert np.isnan(found.of_sums(found.sums(seen(one, 0 * one))))


def test_the_rules_say_what_counts_as_predicted():
    label = np.zeros((5, 9), int)
    label[1:4, 1:4] = 1
    prediction = label.copy()
    prediction[2, 2], prediction[0, 8] = 0, 1  # a hole, and a speck
    scores = np.eye(2, dtype=np.float32)[prediction]
    options = {"instances": label, "classes": ("ground", "cell")}
    assert Seen(label, scores, **options).comparison.counts[:3].tolist() == [1, 2, 1]
    seen = Seen(label, scores, **options, rules=ObjectRules(2, True))
    assert seen.comparison.counts[:3].tolist() == [1, 1, 1] and measure("seg").sums(seen)[0] == 1


def test_frames_of_other_shapes_are_refused():
    with pytest.raises(DataError, match=r"objects: the prediction is \(5, 9\), the truth \(5, 10\)"):
        compare_objects(FOUND[:, :9], TRUE)
