"""Compares predicted objects with true ones: which match, and which are missed, false, split or merged.

Source: a predicted object matches a true one if their IoU is above 0.5, as in Caicedo et al., "Nucleus segmentation
across imaging experiments: the 2018 Data Science Bowl" (Nature Methods 16, 2019); F1 is theirs at that threshold
(carpenterlab/unet4nuclei, utils/evaluation.py, `measures_at`). StarDist's `matching` differs only for an IoU of exactly
0.5, which it counts as a match. Scores of several images are computed from the sums of their counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kseg.errors import DataError

PIECE = 0.1  # a piece of a true object has at least this share of it
OBJECT_COUNTS = ("true", "found", "matched", "missed", "false", "split", "merged")


@dataclass(frozen=True, eq=False)
class Comparison:
    """The predicted and the true objects of one image, and the pairs of them that overlap.

    Attributes:
      true_ids, true_areas: (T,) the numbers of the true objects, and their pixels.
      found_ids, found_areas: (F,) the same of the predicted objects.
      true_index, found_index: (P,) the index of each pair's objects in these arrays.
      common: (P,) the pixels that the objects of a pair have in common.
    """

    true_ids: np.ndarray
    true_areas: np.ndarray
    found_ids: np.ndarray
    found_areas: np.ndarray
    true_index: np.ndarray
    found_index: np.ndarray
    common: np.ndarray

    @cached_property
    def iu(self) -> np.ndarray:
        """(P,) float64: the pairs' intersection over union."""
        return self.common / (self.true_areas[self.true_index] + self.found_areas[self.found_index] - self.common)

    @cached_property
    def true_matched(self) -> np.ndarray:
        """(T,) bool: whether a predicted object matches; above an IoU of 0.5 at most one can."""
        return self._of_true(self.iu > 0.5) > 0

    @cached_property
    def found_matched(self) -> np.ndarray:
        """(F,) bool: whether a true object matches."""
        return self._of_found(self.iu > 0.5) > 0

    @cached_property
    def true_split(self) -> np.ndarray:
        """(T,) bool: whether it is found in two or more pieces."""
        return self._of_true(self._is_piece) > 1

    @cached_property
    def found_merged(self) -> np.ndarray:
        """(F,) bool: whether it covers more than half of each of two or more true objects."""
        return self._of_found(self._is_inside) > 1

    @cached_property
    def true_missed(self) -> np.ndarray:
        """(T,) bool: whether it is not matched, not split, and not merged with others."""
        merged = self._of_true(self._is_inside & self.found_merged[self.found_index]) > 0
        return ~(self.true_matched | self.true_split | merged)

    @cached_property
    def found_false(self) -> np.ndarray:
        """(F,) bool: whether it matches none, is not a piece of a split object, and does not merge any."""
        piece = self._of_found(self._is_piece & self.true_split[self.true_index]) > 0
        return ~(self.found_matched | self.found_merged | piece)

    @property
    def counts(self) -> np.ndarray:
        """(7,) int64: the numbers of objects that OBJECT_COUNTS names, in its order."""
        kinds = (self.true_matched, self.true_missed, self.found_false, self.true_split, self.found_merged)
        return np.array([len(self.true_ids), len(self.found_ids), *(kind.sum() for kind in kinds)], np.int64)

    @cached_property
    def _is_piece(self) -> np.ndarray:
        """(P,) bool: whether the predicted object is more than half inside the true one, and covers a tenth of it."""
        of_found = 2 * self.common > self.found_areas[self.found_index]
        return of_found & (self.common >= PIECE * self.true_areas[self.true_index])

    @cached_property
    def _is_inside(self) -> np.ndarray:
        """(P,) bool: whether the true object is more than half inside the predicted one."""
        return 2 * self.common > self.true_areas[self.true_index]

    def _of_true(self, pairs: np.ndarray) -> np.ndarray:
        """(T,) integers: in how many of the chosen pairs each true object is."""
        return np.bincount(self.true_index[pairs], minlength=len(self.true_ids))

    def _of_found(self, pairs: np.ndarray) -> np.ndarray:
        """(F,) integers: in how many of the chosen pairs each predicted object is."""
        return np.bincount(self.found_index[pairs], minlength=len(self.found_ids))


def compare_objects(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> Comparison:
    """Compares the predicted objects of one image with the true ones.

    Args:
      prediction: (H, W) integers, 0 background, one number per object.
      truth: the same of the true objects; its numbers may differ from those of the prediction.
      void: (H, W) bool, the pixels whose truth is unknown; None for none. Predicted objects that are more than half in
        void are left out.

    Raises:
      DataError: the shapes differ, or are not (H, W).
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise DataError(
            f"objects: the prediction is {prediction.shape}, the truth {truth.shape}.", "Give both with the same shape."
        )
    if truth.ndim != 2:
        raise DataError(f"objects: a frame is {truth.shape}.", "Give (height, width), or a list of such frames.")
    true_ids, true_index, true_areas = np.unique(truth, return_inverse=True, return_counts=True)
    found_ids, found_index, found_areas = np.unique(prediction, return_inverse=True, return_counts=True)
    true_index, found_index = true_index.ravel(), found_index.ravel()
    if void is not None and void.any():
        hidden = np.bincount(found_index, void.ravel(), minlength=len(found_ids)) * 2 > found_areas
        return compare_objects(np.where(hidden[found_index].reshape(truth.shape), 0, prediction), truth)
    # Only pairs that overlap: noise has many thousand objects, and a table of all pairs would not fit into memory.
    overlap = (truth.ravel() != 0) & (prediction.ravel() != 0)
    pairs, common = np.unique(true_index[overlap] * len(found_ids) + found_index[overlap], return_counts=True)
    true_index, found_index = np.divmod(pairs, len(found_ids))
    is_true, is_found = true_ids != 0, found_ids != 0
    return Comparison(
        true_ids[is_true],
        true_areas[is_true],
        found_ids[is_found],
        found_areas[is_found],
        true_index - np.count_nonzero(~is_true),  # the background is the first id, if it occurs
        found_index - np.count_nonzero(~is_found),
        common,
    )


def object_scores(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The IoU of each true object with the predicted object that covers more than half of it; 0 if there is none.

    Args:
      prediction, truth: as in `compare_objects`.

    Returns:
      (T,) float64 in 0..1, in the order of the true objects' numbers.

    Raises:
      DataError: the shapes differ, or are not (H, W).
    """
    pairs = compare_objects(prediction, truth)
    matches = 2 * pairs.common > pairs.true_areas[pairs.true_index]
    scores = np.zeros(len(pairs.true_ids))
    scores[pairs.true_index[matches]] = pairs.iu[matches]
    return scores


def seg(prediction: np.ndarray | Sequence[np.ndarray], truth: np.ndarray | Sequence[np.ndarray]) -> float:
    """SEG of the Cell Tracking Challenge: the mean of `object_scores` over the true objects of one frame or all frames.

    NaN if there are none. Predicted objects without a match do not lower it; frames without true objects are left out.

    Args:
      prediction: (H, W) integers with one number per object, or a list of frames.
      truth: the same of the true objects.

    Raises:
      DataError: the numbers of frames or the shapes differ.

    Source: CellTrackingChallenge/py-ctcmetrics; the challenge's description of SEG.
    """
    if isinstance(truth, np.ndarray) and truth.ndim == 2:
        prediction, truth = [np.asarray(prediction)], [truth]
    if len(prediction) != len(truth):
        raise DataError(
            f"seg: {len(prediction)} predicted frames, {len(truth)} true ones.", "Give one predicted frame for each."
        )
    scores = np.concatenate([np.empty(0), *map(object_scores, prediction, truth)])
    return float(scores.mean()) if scores.size else float("nan")


def precision(counts: np.ndarray) -> float:
    """The share of predicted objects that match, from (summed) `Comparison.counts`; NaN if there are none."""
    return float(counts[2] / counts[1]) if counts[1] else float("nan")


def recall(counts: np.ndarray) -> float:
    """The share of true objects that are matched; NaN if there are none."""
    return float(counts[2] / counts[0]) if counts[0] else float("nan")


def f1(counts: np.ndarray) -> float:
    """2 TP / (2 TP + FP + FN) of the objects; NaN if there are neither true nor predicted ones."""
    return float(2 * counts[2] / (counts[0] + counts[1])) if counts[0] + counts[1] else float("nan")
