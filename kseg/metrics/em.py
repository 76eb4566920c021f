"""The five measures of the ISBI 2012 EM segmentation challenge, as its Java code computes them.

All are computed on slices, never on the volume. Each is the best over the thresholds 0, 0.1, ... (eleven; ten for the
warping error). A pixel is white if its probability is strictly above the threshold. A are the 4-connected cells of the
label, B the segments of the prediction.

Source: Arganda-Carreras et al., Front. Neuroanat. 9:142 (2015), and the metrics package of Fiji's Trainable
Segmentation; tests/golden/test_golden_isbi.py holds its figures. Deliberate deviation: a slice without any true cell
adds nothing to the sums of the Rand error, where the official sums become NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, repeat, starmap

import numpy as np

from kseg.errors import DataError
from kseg.instances import components
from kseg.metrics import em_kernels as kernels

MEASURES = ("v_rand", "v_info", "rand_error", "warping_error", "pixel_error")
THRESHOLDS = tuple(accumulate(repeat(0.1, 10), initial=0.0))
"""By repeated addition, as in the Java loop: the last is just below 1, so a 1 is still white."""


@dataclass(frozen=True)
class Best:
    """The best value of a measure, which the challenge's board shows.

    Attributes:
      value: the largest score (v_rand, v_info) or the smallest error, 0..1.
      threshold: the first threshold with that value, 0..1.
      curve: the values at all thresholds, in their order.
    """

    value: float
    threshold: float
    curve: tuple[float, ...]


def v_rand(prediction: np.ndarray, label: np.ndarray) -> float:
    """V_rand after thinning, 0..1, higher is better: the first figure of the final board.

    B are the watershed basins of the thresholded prediction. V_rand is the mean over the slices of the F-score of pixel
    pairs within true cells. Each pixel of the watershed line counts as an object of its own. Arguments and errors are
    those of `em_scores`.
    """
    return em_scores(prediction, label, ["v_rand"])["v_rand"].value


def v_info(prediction: np.ndarray, label: np.ndarray) -> float:
    """V_info after thinning, 0..1, higher is better: the second figure of the final board.

    As `v_rand`, but recall and precision are the mutual information of A and B, divided by the entropy of each. By this
    definition a slice with a single true cell has 0.
    """
    return em_scores(prediction, label, ["v_info"])["v_info"].value


def rand_error(prediction: np.ndarray, label: np.ndarray) -> float:
    """The first board's Rand error, 0..1, lower is better.

    1 - F of the pixel pairs within true cells, summed over the slices. B are the 4-connected white regions, without
    thinning.
    """
    return em_scores(prediction, label, ["rand_error"])["rand_error"].value


def warping_error(prediction: np.ndarray, label: np.ndarray) -> float:
    """The first board's warping error, mergers and splits per pixel, 0..1, lower is better.

    The label is warped towards the prediction by flipping simple points. Of the pixels that stay wrong, those that join
    or cut cells are counted, over all slices. A slice that is all cell counts as 0: there the official code loses its
    components in a conversion to 8 bit.
    """
    return em_scores(prediction, label, ["warping_error"])["warping_error"].value


def pixel_error(prediction: np.ndarray, label: np.ndarray) -> float:
    """The first board's pixel error, 0..1, lower is better: 1 - F of the white pixels of all slices."""
    return em_scores(prediction, label, ["pixel_error"])["pixel_error"].value


def em_scores(prediction: np.ndarray, label: np.ndarray, measures: Sequence[str] = MEASURES) -> dict[str, Best]:
    """The best value of each measure, its threshold and its curve; work that measures share is done once.

    Args:
      prediction: (H, W) or (N, H, W), 0..1, 1 inside a cell; converted to float32, as in the challenge's submissions.
      label: the same shape, 0 membrane, any other value cell.
      measures: some of MEASURES.

    Returns:
      One entry per measure, in their order.

    Raises:
      DataError: the shapes differ or are neither (H, W) nor (N, H, W), there is no pixel, or a prediction is outside
        0..1.

    Example:
      >>> scores = em_scores(prediction, label)
      >>> scores["v_rand"].value, scores["v_rand"].threshold
      (0.964, 0.6)
    """
    sums: dict[str, np.ndarray] = {}
    for each in slices(prediction, label):
        for name in measures:
            sums[name] = sums.get(name, 0) + each.sums(name)
    return {name: best(name, sums[name]) for name in measures}


def slices(prediction: np.ndarray, label: np.ndarray) -> Iterator[Slice]:
    """The slices of the arguments of `em_scores`, one after the other; raises its errors."""
    return starmap(Slice, zip(*_checked(prediction, label), strict=True))


class Slice:
    """One slice, and the counts of the measures in it; work that measures share is done once."""

    def __init__(self, prediction: np.ndarray, cell: np.ndarray) -> None:
        """`prediction` is (H, W) float32, 0..1; `cell` (H, W) bool."""
        # Transposed and with a border, as em_kernels needs it. Double precision, since float32's 0.1 is above 0.1.
        self._probabilities = np.pad(np.ascontiguousarray(prediction.T, np.float64), 1)
        self._truth = np.pad(np.ascontiguousarray(cell.T), 1)

    def sums(self, name: str) -> np.ndarray:
        """The counts of the measure `name` at each threshold: (T, counts) float64, to be added up over slices."""
        return np.array(getattr(self, f"_{name}")(), np.float64)

    def _v_rand(self) -> list:
        return [[_f_score(common, proposed, true, 0.0), 1] for common, proposed, true, *_ in self._basins]

    def _v_info(self) -> list:
        return [[_information_score(*nats) if true else 0.0, 1] for _, _, true, *nats in self._basins]

    def _rand_error(self) -> list:
        return [self._overlaps(threshold, flooded=False)[:3] for threshold in THRESHOLDS]

    def _warping_error(self) -> list:
        size = (self._truth.shape[0] - 2) * (self._truth.shape[1] - 2)
        return [
            [_warping_count(self._probabilities, self._truth, self._probabilities > threshold, threshold), size]
            for threshold in THRESHOLDS[:-1]
        ]

    def _pixel_error(self) -> list:
        truth, whites = self._truth, [self._probabilities > threshold for threshold in THRESHOLDS]
        return [list(map(np.count_nonzero, (white & truth, white, truth))) for white in whites]

    @cached_property
    def _grouped(self) -> tuple:
        return kernels.group_by_cell(components(self._truth))

    @cached_property
    def _basins(self) -> list[tuple]:
        return [self._overlaps(threshold, flooded=True) for threshold in THRESHOLDS]

    def _overlaps(self, threshold: float, *, flooded: bool) -> tuple:
        """The overlaps of cells with segments: the white regions, or the basins that flooding makes of them."""
        segments = components(self._probabilities > threshold)
        count = max(int(segments.max()), 1)  # without any region flooding makes one basin
        if flooded:
            kernels.flood(segments)
        return kernels.overlaps(*self._grouped, segments, count)


def best(name: str, sums: np.ndarray) -> Best:
    """The best value of the measure `name`, from the sum of its `Slice.sums` over all slices."""
    if name in ("v_rand", "v_info", "warping_error"):
        curve = sums[:, 0] / sums[:, 1]
    else:
        # If neither has a white pixel, the pixel error is 0; without true cells the Rand error is 1.
        common, proposed, true = sums.T
        curve = 1 - _f_score(common, proposed, true, 1.0 if name == "pixel_error" else 0.0)
    index = int(curve.argmin() if name.endswith("error") else curve.argmax())
    return Best(float(curve[index]), THRESHOLDS[index], tuple(curve.tolist()))


def _f_score(common, proposed, true, nothing: float):
    """2PR / (P + R) with P = common / proposed and R = common / true; `nothing` if both are 0."""
    whole = np.asarray(proposed, np.float64) + true
    return np.divide(2.0 * np.asarray(common), whole, out=np.full(whole.shape, nothing), where=whole > 0)


def _information_score(joint: float, proposed: float, true: float) -> float:
    """V_info of one slice from its sums of p log p.

    The official code gives NaN if precision + recall is 0. That can't happen here: basins never touch, and each pixel
    of the line is an object of its own, so several cells and basins always have mutual information.
    """
    if proposed == 0 or true == 0:  # a single basin or a single cell: precision or recall is 0
        return 0.0
    # (H - conditional entropy) / H, where each entropy H is minus its sum
    precision = (-true - (proposed - joint)) / -true
    recall = (-proposed - (true - joint)) / -proposed
    return 2 * precision * recall / (precision + recall)


def _warping_count(probabilities: np.ndarray, truth: np.ndarray, white: np.ndarray, threshold: float) -> int:
    """Mergers and splits of one slice at one threshold."""
    # In a slice that is one pixel wide, a pixel has only two neighbours; the official code needs more to count it.
    if truth[1:-1, 1:-1].all() or min(truth.shape) == 3:
        return 0
    warped = truth.astype(np.uint8)
    left = kernels.warp(warped, wrong_pixels(probabilities, truth, white, threshold))
    return sum(kernels.mergers_and_splits(components(warped), left))


def wrong_pixels(probabilities: np.ndarray, truth: np.ndarray, white: np.ndarray, threshold: float) -> np.ndarray:
    """The pixels where `truth` and `white` differ, the farthest from the threshold first, equal ones in memory order.

    Returns:
      (n,) int64 flat indices.
    """
    wrong = np.flatnonzero(truth != white).astype(np.uint64)
    distance = np.abs(probabilities.ravel()[wrong] - threshold).astype(np.float32)
    # The bits of floats >= 0 have the same order as the floats. With the pixel's index in the lower bits all keys
    # differ, so numpy's fastest sort, which is not stable, gives the order of a stable one.
    keys = (0xFFFFFFFF - distance.view(np.uint32).astype(np.uint64)) << np.uint64(32) | wrong
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _checked(prediction: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The prediction as (N, H, W) float32 and the true cells as (N, H, W) bool."""
    prediction, label = np.asarray(prediction), np.asarray(label)
    if prediction.shape != label.shape or prediction.ndim not in (2, 3) or prediction.size == 0:
        raise DataError(
            f"ISBI measures: the prediction is {prediction.shape}, the label {label.shape}.",
            "Give one probability and one label value per pixel: (height, width), or (slices, height, width), with at "
            "least one pixel.",
        )
    outside = ~((prediction >= 0) & (prediction <= 1))  # NaN counts as outside
    if outside.any():
        where = tuple(map(int, np.argwhere(outside)[0]))
        slice_name = f"slice {where[0]}, " if len(where) == 3 else ""
        raise DataError(
            f"ISBI measures: prediction {prediction[where]} at {slice_name}row {where[-2]}, column {where[-1]} "
            f"({np.count_nonzero(outside):,} pixels), but it must be from 0 to 1.",
            "Give the probability that a pixel is inside a cell; divide 8-bit values by 255.",
        )
    if prediction.ndim == 2:
        prediction, label = prediction[None], label[None]
    return prediction.astype(np.float32), label != 0
