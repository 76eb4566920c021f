"""The FCN paper's four scores and Dice, from one confusion matrix over the whole split.

Source: Long, Shelhamer, Darrell, section 5 ("Metrics"): n_ij pixels of class i are predicted as class j, and
t_i = sum_j n_ij. Means are over the classes that have true pixels.
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
      classes: the number of classes.
      ignore_class: the void number, whose pixels are left out; None for none.

    Returns:
      (K, K) int64, rows truth, columns prediction.

    Raises:
      DataError: the shapes differ, or a value is a fraction or outside the classes.
    """
    label, prediction = np.asarray(label), np.asarray(prediction)
    if label.shape != prediction.shape:
        raise DataError(
            f"confusion_matrix: the label is {label.shape}, the prediction {prediction.shape}.",
            "Give both with the same shape.",
        )
    counted = np.ones(label.shape, bool) if ignore_class is None else label != ignore_class
    truth, guess = label[counted], prediction[counted]
    for what, values in (("label", truth), ("prediction", guess)):
        if values.dtype.kind == "f" and (values != np.floor(values)).any():
            raise DataError(f"confusion_matrix: the {what} holds fractions.", "Take the argmax of probabilities first.")
        if values.size and (values.min() < 0 or values.max() >= classes):
            wrong = values[(values < 0) | (values >= classes)]
            raise DataError(
                f"confusion_matrix: {what} {wrong[0]} ({wrong.size:,} pixels), but there are {classes} classes."
            )
    truth, guess = truth.astype(np.int64), guess.astype(np.int64)
    return np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes)


def class_iu(matrix: np.ndarray) -> np.ndarray:
    """The intersection over union of each class: (K,) float64, NaN for a class without true pixels."""
    found, truth, predicted = _pixels(matrix)
    return _share(found, truth + predicted - found, truth)


def class_dice(matrix: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of each class: (K,) float64, NaN for a class without true pixels."""
    found, truth, predicted = _pixels(matrix)
    return _share(2 * found, truth + predicted, truth)


def class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """The share of true pixels that is found, of each class: (K,) float64, NaN for a class without true pixels."""
    found, truth, _ = _pixels(matrix)
    return _share(found, truth, truth)


def pixel_accuracy(matrix: np.ndarray) -> float:
    """sum_i n_ii / sum_i t_i; NaN for an empty matrix."""
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
    """The mean of the classes' IU, weighted by t_i; NaN for an empty matrix."""
    truth = np.sum(matrix, axis=1)
    return float(np.nansum(truth * class_iu(matrix)) / truth.sum()) if truth.sum() else float("nan")


def _pixels(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels of each class: those that are found, the true ones, the predicted ones; (K,) float64 each."""
    matrix = np.asarray(matrix, np.float64)
    return np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)


def _share(part: np.ndarray, whole: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=truth > 0)


def _mean(values: np.ndarray, classes: Sequence[int] | None) -> float:
    chosen = values if classes is None else values[list(classes)]
    present = chosen[~np.isnan(chosen)]
    return float(present.mean()) if present.size else float("nan")
