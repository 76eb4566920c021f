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
from kseg.metrics.objects import compare_objects


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
    pairs = compare_objects(prediction, truth)
    matches = 2 * pairs.common > pairs.true_areas[pairs.mine]
    scores = np.zeros(len(pairs.true_ids))
    scores[pairs.mine[matches]] = pairs.iu[matches]
    return scores


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
