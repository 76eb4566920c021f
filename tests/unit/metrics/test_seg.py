import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kseg.errors import DataError
from kseg.metrics import object_scores, seg

frames = arrays.arrays(np.int32, (5, 6), elements=st.integers(0, 4))
TRUTH = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 2, 2]])


@pytest.mark.parametrize(
    ("prediction", "scores"),
    [
        (TRUTH, [1, 1]),
        ([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 2, 2]], [0, 1]),  # exactly half is no match
        ([[1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 2, 2]], [3 / 4, 1]),
        ([[7, 7, 7, 7, 7, 7], [7, 7, 7, 7, 7, 7]], [4 / 12, 2 / 12]),  # merged: each scores its share
        ([[1, 1, 2, 2, 0, 0], [0, 0, 0, 0, 3, 4]], [0, 0]),  # split in halves
        ([[1, 1, 1, 2, 0, 0], [0, 0, 0, 0, 2, 2]], [3 / 4, 2 / 3]),
        ([[0] * 6, [0] * 6], [0, 0]),
        ([[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 2, 2]], [0, 1]),
    ],
)
def test_scores_are_those_worked_out_by_hand(prediction, scores):
    assert object_scores(np.array(prediction), TRUTH).tolist() == pytest.approx(scores)
    assert seg(np.array(prediction), TRUTH) == pytest.approx(np.mean(scores))


def test_result_objects_that_match_nothing_cost_nothing():
    spurious = TRUTH + np.array([[0, 0, 0, 0, 0, 8], [9, 0, 0, 0, 0, 0]])
    assert seg(spurious, TRUTH) == 1


def test_without_a_true_object_there_is_no_score():
    empty = np.zeros((3, 3), int)
    assert np.isnan([seg(empty, empty), seg(empty + 1, empty), seg([], [])]).all()


def test_a_frame_without_true_objects_is_left_out_of_the_mean():
    assert seg([TRUTH, TRUTH], [TRUTH, np.zeros_like(TRUTH)]) == 1


@given(frames, frames, st.permutations(range(1, 5)), st.integers(1, 60000))
def test_numbers_are_arbitrary(prediction, truth, order, offset):
    renumbered = np.where(prediction > 0, np.array([0, *order])[prediction] + offset, 0)
    assert np.array_equal(seg(renumbered, truth), seg(prediction, truth), equal_nan=True)


@given(frames, frames)
def test_each_object_scores_as_the_definition_says(prediction, truth):
    expected = []
    for value in np.unique(truth[truth > 0]):
        reference, score = truth == value, 0.0
        for found in np.unique(prediction[prediction > 0]):
            common = (reference & (prediction == found)).sum()
            if common > reference.sum() / 2:
                score = common / (reference | (prediction == found)).sum()
        expected.append(score)
    assert object_scores(prediction, truth).tolist() == pytest.approx(expected)


def test_the_mean_goes_over_the_objects_of_all_frames():
    lone = np.array([[1, 1, 0, 0, 0, 0], [0] * 6])
    prediction, truth = [TRUTH, np.zeros_like(lone)], [TRUTH, lone]
    assert seg(prediction, truth) == seg(np.array(prediction), np.array(truth)) == pytest.approx(2 / 3)


def test_noise_of_many_thousand_objects_needs_no_table_of_all_pairs():
    dots = np.arange(1, 250_001).reshape(500, 500)  # 500 GB, were there one
    assert seg(dots, dots[::-1]) == 1


def test_frames_and_shapes_must_agree():
    with pytest.raises(DataError, match="2 predicted frames, 1 true ones"):
        seg([TRUTH, TRUTH], [TRUTH])
    with pytest.raises(DataError, match=r"a frame is \(6,\). Give \(height, width\), or a list of such frames"):
        seg(TRUTH.tolist(), TRUTH.tolist())
    with pytest.raises(DataError, match=r"the prediction is \(2, 5\), the truth \(2, 6\)"):
        seg(TRUTH[:, :5], TRUTH)
