"""The FCN paper's four scores and Dice, from one confusion matrix over the whole split.

Source: Long, Shelhamer, Darrell, section 5 ("Metrics"): n_ij pixels of class i predicted as j,
t_i = sum_j n_ij. The means go over the classes that have true pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kseg.errors import DataError


def confusion_matrix(
    label: np.ndarray, prediction: np.ndarray, classes: int, ignore_class: int | None = 255
) -> np.ndarray:
    """Counts of true against predicted classes.

    Args:
      label: integers of any shape, 0..classes-1 or `ignore_class`.
      prediction: integers of the same shape, 0..classes-1.
      classes: how many there are.
      ignore_class: the void number, left out; None for none.

    Returns:
      (K, K) int64, rows truth, columns prediction.

    Raises:
      DataError: the shapes differ, a number is no whole one, or lies outside the classes.
    """
    label, prediction = np.asarray(label), np.asarray(prediction)
    if label.shape != prediction.shape:
        raise DataError(
            f"confusion_matrix: the label is {label.shape}, the prediction {prediction.shape}. "
            "They must be of one shape."
        )
    counted = np.ones(label.shape, bool) if ignore_class is None else label != ignore_class
    truth, guess = label[counted], prediction[counted]
    for what, values in (("label", truth), ("prediction", guess)):
        if values.dtype.kind == "f" and (values != np.floor(values)).any():
            raise DataError(f"confusion_matrix: the {what} holds fractions. Take the argmax of probabilities first.")
        if values.size and (values.min() < 0 or values.max() >= classes):
            wrong = values[(values < 0) | (values >= classes)]
            raise DataError(
                f"confusion_matrix: {what} {wrong[0]} ({wrong.size:,} pixels), but there are {classes} classes."
            )
    truth, guess = truth.astype(np.int64), guess.astype(np.int64)
    return np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)


def class_iu(matrix: np.ndarray) -> np.ndarray:
    """Each class's intersection over union: (K,) float64, NaN where the class has no true pixels."""
    matrix = np.asarray(matrix, np.float64)
    truth = matrix.sum(axis=1)
    union = truth + matrix.sum(axis=0) - np.diag(matrix)
    return np.divide(np.diag(matrix), union, out=np.full(len(matrix), np.nan), where=truth > 0)


def class_dice(matrix: np.ndarray) -> np.ndarray:
    """Each class's 2 TP / (2 TP + FP + FN): (K,) float64, NaN where the class has no true pixels."""
    matrix = np.asarray(matrix, np.float64)
    truth = matrix.sum(axis=1)
    both = truth + matrix.sum(axis=0)
    return np.divide(2 * np.diag(matrix), both, out=np.full(len(matrix), np.nan), where=truth > 0)


def class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Each class's share of true pixels found: (K,) float64, NaN where it has none."""
    matrix = np.asarray(matrix, np.float64)
    truth = matrix.sum(axis=1)
    return np.divide(np.diag(matrix), truth, out=np.full(len(matrix), np.nan), where=truth > 0)


def pixel_accuracy(matrix: np.ndarray) -> float:
    """sum_i n_ii / sum_i t_i; NaN where nothing was counted."""
    total = np.sum(matrix)
    return float(np.trace(matrix) / total) if total else float("nan")


def mean_accuracy(matrix: np.ndarray, classes: Sequence[int] | None = None) -> float:
    """The mean of n_ii / t_i over `classes` (None: all) that have true pixels."""
    return _mean(class_accuracy(matrix), classes)


def mean_iu(matrix: np.ndarray, classes: Sequence[int] | None = None) -> float:
    """The mean of n_ii / (t_i + sum_j n_ji - n_ii) over `classes` (None: all) that have true pixels."""
    return _mean(class_iu(matrix), classes)


def dice(matrix: np.ndarray, classes: Sequence[int] | None = None) -> float:
    """The mean of 2 n_ii / (t_i + sum_j n_ji) over `classes` (None: all) that have true pixels."""
    return _mean(class_dice(matrix), classes)


def frequency_weighted_iu(matrix: np.ndarray) -> float:
    """The mean of the classes' IU, weighted by t_i; NaN where nothing was counted."""
    truth = np.sum(matrix, axis=1)
    if not truth.sum():
        return float("nan")
    return float(np.nansum(truth * class_iu(matrix)) / truth.sum())


def _mean(values: np.ndarray, classes: Sequence[int] | None) -> float:
    chosen = values if classes is None else values[list(classes)]
    present = chosen[~np.isnan(chosen)]
    return float(present.mean()) if present.size else float("nan")
