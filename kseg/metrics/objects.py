"""Predicted objects against true ones: which match, and what became of the others.

Source: a predicted object matches a true one where their IoU is above 0.5, as Caicedo et al., "Nucleus segmentation
across imaging experiments: the 2018 Data Science Bowl" (Nature Methods 16, 2019), count it; F1 is theirs at that
threshold (carpenterlab/unet4nuclei, utils/evaluation.py, `measures_at`). StarDist's `matching` gives the same but for
pairs whose IoU is 0.5 exactly, which it takes. Figures of several images are of the sums, not means over the images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kseg.errors import DataError

PIECE = 0.1  # the least share of a true object that a piece of it has
OBJECT_COUNTS = ("true", "found", "matched", "missed", "false", "split", "merged")


@dataclass(frozen=True, eq=False)
class Comparison:
    """The objects of one image as predicted and as they are.

    Attributes:
      true_ids, true_areas: (T,) the true objects' numbers and pixels.
      found_ids, found_areas: (F,) the predicted objects' likewise.
      mine, theirs, common: (P,) of each pair that overlaps the places in these, and the pixels in both.
    """

    true_ids: np.ndarray
    true_areas: np.ndarray
    found_ids: np.ndarray
    found_areas: np.ndarray
    mine: np.ndarray
    theirs: np.ndarray
    common: np.ndarray

    @cached_property
    def iu(self) -> np.ndarray:
        """(P,) float64: the pairs' intersection over union."""
        return self.common / (self.true_areas[self.mine] + self.found_areas[self.theirs] - self.common)

    @cached_property
    def true_matched(self) -> np.ndarray:
        """(T,) bool: whether a predicted object matches. Above an IoU of 0.5 there is never more than one."""
        return self._of_true(self.iu > 0.5) > 0

    @cached_property
    def found_matched(self) -> np.ndarray:
        """(F,) bool: whether a true object matches."""
        return self._of_found(self.iu > 0.5) > 0

    @cached_property
    def true_split(self) -> np.ndarray:
        """(T,) bool: whether it was found in two or more pieces."""
        return self._of_true(self._is_piece) > 1

    @cached_property
    def found_merged(self) -> np.ndarray:
        """(F,) bool: whether it holds more than half of each of two or more true objects."""
        return self._of_found(self._is_inside) > 1

    @cached_property
    def true_missed(self) -> np.ndarray:
        """(T,) bool: whether it matches none, is not in pieces, and not merged with others."""
        merged = self._of_true(self._is_inside & self.found_merged[self.theirs]) > 0
        return ~(self.true_matched | self.true_split | merged)

    @cached_property
    def found_false(self) -> np.ndarray:
        """(F,) bool: whether it matches none, is no piece of one that was split, and merges none."""
        piece = self._of_found(self._is_piece & self.true_split[self.mine]) > 0
        return ~(self.found_matched | self.found_merged | piece)

    @property
    def counts(self) -> np.ndarray:
        """(7,) int64: how many are true, found, matched, missed, false, split and merged (`OBJECT_COUNTS`)."""
        kinds = (self.true_matched, self.true_missed, self.found_false, self.true_split, self.found_merged)
        return np.array([len(self.true_ids), len(self.found_ids), *(kind.sum() for kind in kinds)], np.int64)

    @cached_property
    def _is_piece(self) -> np.ndarray:
        """(P,) bool: whether the predicted object lies in the true one by more than half, and has a tenth of it."""
        of_found = 2 * self.common > self.found_areas[self.theirs]
        return of_found & (self.common >= PIECE * self.true_areas[self.mine])

    @cached_property
    def _is_inside(self) -> np.ndarray:
        """(P,) bool: whether the true object lies in the predicted one by more than half."""
        return 2 * self.common > self.true_areas[self.mine]

    def _of_true(self, pairs: np.ndarray) -> np.ndarray:
        return np.bincount(self.mine[pairs], minlength=len(self.true_ids))

    def _of_found(self, pairs: np.ndarray) -> np.ndarray:
        return np.bincount(self.theirs[pairs], minlength=len(self.found_ids))


def compare_objects(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> Comparison:
    """The objects of one image as predicted and as they are.

    Args:
      prediction: (H, W) integers, 0 background, one number per object.
      truth: (H, W) likewise; the numbers need not agree.
      void: (H, W) bool, where nobody knows: predicted objects that lie there by more than half are left out. None for
        nowhere.

    Raises:
      DataError: the shapes differ, or are not those of one image.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise DataError(
            f"objects: the prediction is {prediction.shape}, the truth {truth.shape}. They must be of one shape."
        )
    if truth.ndim != 2:
        raise DataError(f"objects: a frame is {truth.shape}. Give (height, width), or a list of such frames.")
    true_ids, mine, true_areas = np.unique(truth, return_inverse=True, return_counts=True)
    found_ids, theirs, found_areas = np.unique(prediction, return_inverse=True, return_counts=True)
    mine, theirs = mine.ravel(), theirs.ravel()
    if void is not None and void.any():
        hidden = np.bincount(theirs, void.ravel(), minlength=len(found_ids)) * 2 > found_areas
        hidden &= found_ids != 0
        return compare_objects(np.where(hidden[theirs].reshape(truth.shape), 0, prediction), truth)
    # Only pairs that meet: noise has many thousand objects, and a table of all pairs no place in memory.
    met = (truth.ravel() != 0) & (prediction.ravel() != 0)
    pairs, common = np.unique(mine[met] * len(found_ids) + theirs[met], return_counts=True)
    mine, theirs = np.divmod(pairs, len(found_ids))
    is_true, is_found = true_ids != 0, found_ids != 0
    return Comparison(
        true_ids[is_true],
        true_areas[is_true],
        found_ids[is_found],
        found_areas[is_found],
        mine - np.count_nonzero(~is_true),  # 0 is the first where it is there
        theirs - np.count_nonzero(~is_found),
        common,
    )


def precision(counts: np.ndarray) -> float:
    """Of `Comparison.counts` (their sum) the share of predicted objects that match; NaN where there is none."""
    return float(counts[2] / counts[1]) if counts[1] else float("nan")


def recall(counts: np.ndarray) -> float:
    """The share of true objects that are matched; NaN where there is none."""
    return float(counts[2] / counts[0]) if counts[0] else float("nan")


def f1(counts: np.ndarray) -> float:
    """2 matches over all true and all predicted objects, 2 TP / (2 TP + FP + FN); NaN where there are neither."""
    return float(2 * counts[2] / (counts[0] + counts[1])) if counts[0] + counts[1] else float("nan")
