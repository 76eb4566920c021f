import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kseg.errors import DataError
from kseg.metrics import (
    class_accuracy,
    class_dice,
    class_iu,
    confusion_matrix,
    dice,
    frequency_weighted_iu,
    mean_accuracy,
    mean_iu,
    pixel_accuracy,
)

# Six pixels, one of them void: IU 1/3, 2/3 and 0.
LABEL, PREDICTION = np.array([[0, 0, 1], [1, 2, 255]]), np.array([[0, 1, 1], [1, 0, 2]])
MATRIX = [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_rows_are_truth_and_void_is_left_out():
    matrix = confusion_matrix(LABEL, PREDICTION, 3)
    assert matrix.tolist() == MATRIX and matrix.dtype == np.int64


def test_the_four_scores_are_those_worked_out_by_hand():
    assert pixel_accuracy(MATRIX) == pytest.approx(3 / 5)
    assert mean_accuracy(MATRIX) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert class_iu(MATRIX).tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert mean_iu(MATRIX) == pytest.approx(1 / 3)
    assert frequency_weighted_iu(MATRIX) == pytest.approx((2 / 3 + 4 / 3 + 0) / 5)


def test_dice_is_twice_the_found_over_the_true_and_the_predicted():
    # Class 0: 1 found, 1 missed, 1 false; class 1: 2 found, 1 false; class 2: 1 missed.
    assert class_dice(MATRIX).tolist() == pytest.approx([2 / 4, 4 / 5, 0])
    assert dice(MATRIX) == pytest.approx((2 / 4 + 4 / 5) / 3) and dice(MATRIX, [0, 1]) == pytest.approx(0.65)


def test_means_go_over_the_classes_asked_for():
    assert mean_iu(MATRIX, classes=[0, 1]) == pytest.approx(1 / 2)
    assert mean_accuracy(MATRIX, classes=[1, 2]) == pytest.approx(1 / 2)


def test_a_class_without_true_pixels_is_left_out_but_its_false_ones_count():
    matrix = [[3, 0, 1], [0, 4, 0], [0, 0, 0]]
    assert np.isnan(class_iu(matrix)).tolist() == [False, False, True]
    assert np.isnan(class_accuracy(matrix)).tolist() == [False, False, True]
    assert np.isnan(class_dice(matrix)).tolist() == [False, False, True]
    assert mean_iu(matrix) == pytest.approx((3 / 4 + 1) / 2)
    assert dice(matrix) == pytest.approx((6 / 7 + 1) / 2)
    assert frequency_weighted_iu(matrix) == pytest.approx((4 * 3 / 4 + 4) / 8)


def test_nothing_counted_is_no_number():
    empty = confusion_matrix(np.full(3, 255), np.zeros(3, int), 2)
    assert empty.tolist() == [[0, 0], [0, 0]]
    for score in (pixel_accuracy, mean_accuracy, mean_iu, dice, frequency_weighted_iu):
        assert np.isnan(score(empty))


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 9]), st.integers(0, 3)), max_size=30))
def test_the_matrix_counts_pixel_by_pixel_and_adds_up_over_images(pixels):
    expected = np.zeros((4, 4), int)
    for truth, guess in pixels:
        if truth != 9:
            expected[truth, guess] += 1
    label, prediction = np.array(pixels, np.uint8).reshape(-1, 2).T
    np.testing.assert_array_equal(confusion_matrix(label, prediction, 4, ignore_class=9), expected)
    halves = [confusion_matrix(label[part], prediction[part], 4, 9) for part in (slice(0, 7), slice(7, None))]
    np.testing.assert_array_equal(sum(halves), expected)


@pytest.mark.parametrize(
    ("label", "prediction", "message"),
    [
        ([0, 3, 3], [0, 0, 0], r"label 3 \(2 pixels\), but there are 2 classes"),
        ([0, -1, 0], [0, 0, 0], r"label -1 \(1 pixels\)"),
        ([0, 1, 0], [0, 255, 0], r"prediction 255 \(1 pixels\)"),
        ([0, 1], [0.0, 0.7], "the prediction holds fractions. Take the argmax"),
        ([0, np.nan], [0, 1], "the label holds fractions"),
        ([0, 1], [0, 1, 0], r"the label is \(2,\), the prediction \(3,\)"),
    ],
)
def test_numbers_outside_the_classes_and_other_shapes_are_refused(label, prediction, message):
    with pytest.raises(DataError, match=message):
        confusion_matrix(label, prediction, 2)


def test_without_a_void_number_255_is_outside():
    with pytest.raises(DataError, match="label 255"):
        confusion_matrix([255], [0], 2, ignore_class=None)
