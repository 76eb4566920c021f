"""SEG, as the Cell Tracking Challenge defines it.

A result object S matches a reference object R when |R and S| > |R| / 2; R then scores their
Jaccard index, else 0. SEG is the mean over all reference objects of all frames. Result objects
that match nothing cost nothing.

Source: CellTrackingChallenge/py-ctcmetrics; the challenge's description of SEG.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kseg.errors import DataError


def object_scores(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The score of each reference object of one frame.

    Args:
      prediction: (H, W) integers, 0 background, one number per object.
      truth: (H, W) likewise; the numbers need not agree.

    Returns:
      (objects,) float64 in 0..1, in the order of their numbers.

    Raises:
      DataError: the shapes differ.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise DataError(
            f"seg: the prediction is {prediction.shape}, the truth {truth.shape}. They must be of one shape."
        )
    objects, reference = np.unique(truth, return_inverse=True)
    found, result = np.unique(prediction, return_inverse=True)
    overlap = np.bincount(reference.ravel() * len(found) + result.ravel(), minlength=len(objects) * len(found))
    overlap = overlap.reshape(len(objects), len(found))
    reference_area = overlap.sum(axis=1)
    result_area = overlap.sum(axis=0)
    overlap = np.where(found == 0, 0, overlap)
    best = overlap.argmax(axis=1)
    common = overlap.max(axis=1, initial=0)
    jaccard = common / (reference_area + result_area[best] - common)
    return np.where(2 * common > reference_area, jaccard, 0.0)[objects != 0]


def seg(prediction: np.ndarray | Sequence[np.ndarray], truth: np.ndarray | Sequence[np.ndarray]) -> float:
    """The mean score over the reference objects of one frame or of all frames; 0 where there are none.

    Args:
      prediction: (H, W) integers with one number per object, or a list of frames.
      truth: the same for the reference.

    Raises:
      DataError: the numbers of frames or the shapes differ.
    """
    if isinstance(truth, np.ndarray) and truth.ndim == 2:
        return mean_score([object_scores(np.asarray(prediction), truth)])
    if len(prediction) != len(truth):
        raise DataError(f"seg: {len(prediction)} predicted frames, {len(truth)} true ones. There must be one for each.")
    return mean_score([object_scores(p, t) for p, t in zip(prediction, truth, strict=True)])


def mean_score(frames: Sequence[np.ndarray]) -> float:
    """SEG from the object scores of all frames."""
    scores = np.concatenate([np.empty(0), *frames])
    return float(scores.mean()) if scores.size else 0.0
