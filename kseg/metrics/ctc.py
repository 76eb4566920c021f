"""SEG, as the Cell Tracking Challenge defines it.

A result object S matches a reference object R when |R and S| > |R| / 2; R then scores their
Jaccard index, else 0. SEG is the mean over all reference objects of all frames. Result objects
that match nothing cost nothing; frames without reference objects have no SEG and add nothing.

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
      DataError: the shapes differ, or are not those of one frame.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise DataError(
            f"seg: the prediction is {prediction.shape}, the truth {truth.shape}. They must be of one shape."
        )
    if truth.ndim != 2:
        raise DataError(f"seg: a frame is {truth.shape}. Give (height, width), or a list of such frames.")
    objects, reference = np.unique(truth, return_inverse=True)
    found, result = np.unique(prediction, return_inverse=True)
    reference, result = reference.ravel(), result.ravel()
    reference_area, result_area = np.bincount(reference), np.bincount(result)
    # Only pairs that meet: noise has many thousand objects, and a table of all pairs no place in memory.
    met = (truth.ravel() != 0) & (prediction.ravel() != 0)
    pairs, common = np.unique(reference[met] * len(found) + result[met], return_counts=True)
    mine, theirs = np.divmod(pairs, len(found))
    matches = 2 * common > reference_area[mine]
    scores = np.zeros(len(objects))
    scores[mine[matches]] = (common / (reference_area[mine] + result_area[theirs] - common))[matches]
    return scores[objects != 0]


def seg(prediction: np.ndarray | Sequence[np.ndarray], truth: np.ndarray | Sequence[np.ndarray]) -> float:
    """The mean score over the reference objects of one frame or of all frames; NaN where there are none.

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
    """SEG from the object scores of all frames; NaN where there is no reference object."""
    scores = np.concatenate([np.empty(0), *frames])
    return float(scores.mean()) if scores.size else float("nan")
