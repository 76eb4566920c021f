"""The five measures of the ISBI 2012 EM segmentation challenge, as its own Java code computes them.

All are of slices, never of the volume, and each is the best over the thresholds 0, 0.1, ... (eleven;
the warping error has ten): `white` is what lies strictly above. `A` are the 4-connected cells of the
label, `B` the segments of the proposal.

Source: Arganda-Carreras et al., Front. Neuroanat. 9:142 (2015), and the metrics package of Fiji's
Trainable Segmentation, whose figures tests/golden/test_golden_isbi.py holds. Deliberate deviation:
a slice without any true cell adds nothing to the Rand error's sums, where the official ones are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat

import numpy as np

from kseg.errors import DataError
from kseg.instances import components
from kseg.metrics import em_kernels as kernels

MEASURES = ("v_rand", "v_info", "rand_error", "warping_error", "pixel_error")
THRESHOLDS = tuple(accumulate(repeat(0.1, 10), initial=0.0))
"""By repeated addition, as the Java loop has it: the last is just below 1, so a 1 is still white."""


@dataclass(frozen=True)
class Best:
    """A measure's figure on the board.

    Attributes:
      value: the largest score (v_rand, v_info) or the least error, 0..1.
      threshold: the first at which it was reached, 0..1.
      curve: the figures at all thresholds, in their order.
    """

    value: float
    threshold: float
    curve: tuple[float, ...]


def v_rand(prediction: np.ndarray, label: np.ndarray) -> float:
    """V_rand after thinning, 0..1, higher is better: the final board's first figure.

    B are the watershed basins of the thresholded proposal. The mean over the slices of the F-score
    of pixel pairs within true cells, each pixel of the watershed line being an object of its own.
    Arguments and errors are those of `em_scores`.
    """
    return em_scores(prediction, label, ["v_rand"])["v_rand"].value


def v_info(prediction: np.ndarray, label: np.ndarray) -> float:
    """V_info after thinning, 0..1, higher is better: the final board's second figure.

    As `v_rand`, with the mutual information of A and B over each one's entropy as recall and
    precision. A slice with a single true cell has 0, by this definition.
    """
    return em_scores(prediction, label, ["v_info"])["v_info"].value


def rand_error(prediction: np.ndarray, label: np.ndarray) -> float:
    """The first board's Rand error, 0..1, lower is better.

    1 - F of the pixel pairs within true cells, summed over the slices. B are the 4-connected white
    regions, without thinning.
    """
    return em_scores(prediction, label, ["rand_error"])["rand_error"].value


def warping_error(prediction: np.ndarray, label: np.ndarray) -> float:
    """The first board's warping error, mergers and splits per pixel, 0..1, lower is better.

    The label is moved towards the proposal by flipping simple points; what stays wrong and joins or
    cuts cells is counted, over all slices. A slice that is cell everywhere counts nothing: there the
    official code loses its components in a conversion to 8 bit.
    """
    return em_scores(prediction, label, ["warping_error"])["warping_error"].value


def pixel_error(prediction: np.ndarray, label: np.ndarray) -> float:
    """The first board's pixel error, 0..1, lower is better: 1 - F of the white pixels of all slices."""
    return em_scores(prediction, label, ["pixel_error"])["pixel_error"].value


def em_scores(prediction: np.ndarray, label: np.ndarray, measures: Sequence[str] = MEASURES) -> dict[str, Best]:
    """The best figure of each measure, where it was reached, and its curve; common work is done once.

    Args:
      prediction: (H, W) or (N, H, W), 0..1, 1 inside a cell; taken as float32, as it was submitted.
      label: of the same shape, 0 membrane, any other value cell.
      measures: which of MEASURES.

    Returns:
      One entry per measure, in their order.

    Raises:
      DataError: the shapes differ or are neither (H, W) nor (N, H, W), there is no pixel, or a
        prediction lies outside 0..1.

    Example:
      >>> scores = em_scores(prediction, label)
      >>> scores["v_rand"].value, scores["v_rand"].threshold
      (0.964, 0.6)
    """
    probabilities, cell = _checked(prediction, label)
    sums: dict[str, np.ndarray] = {}
    for one_prediction, one_label in zip(probabilities, cell, strict=True):
        for name, counts in _slice_counts(one_prediction, one_label, measures).items():
            sums[name] = sums.get(name, 0) + counts
    return {name: _best(name, _curve(name, sums[name], cell)) for name in measures}


def _curve(name: str, sums: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The measure at each threshold, from its counts over all slices: (T,) float64."""
    if name == "warping_error":
        return sums[:, 0] / cell.size
    if name in ("v_rand", "v_info"):
        return sums[:, 0] / len(cell)
    common, proposed, true = sums.T
    # No white pixel in either is a perfect match; no true cell is the worst of Rand errors.
    nothing = 1.0 if name == "pixel_error" else 0.0
    return 1 - _f_score(common, proposed, true, nothing)


def _best(name: str, curve: np.ndarray) -> Best:
    index = int(curve.argmin() if name.endswith("error") else curve.argmax())
    return Best(float(curve[index]), THRESHOLDS[index], tuple(curve.tolist()))


def _slice_counts(prediction: np.ndarray, cell: np.ndarray, measures: Sequence[str]) -> dict[str, np.ndarray]:
    """What each measure needs of one slice: name to (T, counts) float64.

    Args:
      prediction: (H, W) float32.
      cell: (H, W) bool.
      measures: which.
    """
    # Transposed and bordered as the kernels want it, and in double precision: float32 0.1 is above 0.1.
    probabilities = np.pad(np.ascontiguousarray(prediction.T, np.float64), 1)
    truth = np.pad(np.ascontiguousarray(cell.T), 1)
    cells = components(truth)
    grouped = kernels.group_by_cell(cells, int(cells.max()))
    counts: dict[str, list] = {name: [] for name in measures}
    for threshold in THRESHOLDS:
        white = probabilities > threshold
        if "pixel_error" in counts:
            counts["pixel_error"].append(
                [np.count_nonzero(white & truth), np.count_nonzero(white), np.count_nonzero(truth)]
            )
        if not counts.keys().isdisjoint(("rand_error", "v_rand", "v_info")):
            segments = components(white)
            count = max(int(segments.max()), 1)  # flooding makes one basin of none
        if "rand_error" in counts:
            counts["rand_error"].append(kernels.overlaps(*grouped, segments, count)[:3])
        if "v_rand" in counts or "v_info" in counts:
            kernels.flood(segments)
            common, proposed, true, *nats = kernels.overlaps(*grouped, segments, count)
            counts.get("v_rand", []).append([_f_score(common, proposed, true, 0.0)])
            counts.get("v_info", []).append([_information_score(*nats) if true else 0.0])
        if "warping_error" in counts and threshold != THRESHOLDS[-1]:
            counts["warping_error"].append([_warping_count(probabilities, truth, white, threshold)])
    return {name: np.array(rows, np.float64) for name, rows in counts.items()}


def _f_score(common, proposed, true, nothing: float):
    """2PR / (P + R) with P = common / proposed and R = common / true; `nothing` where there is neither."""
    whole = np.asarray(proposed, np.float64) + true
    return np.divide(2.0 * np.asarray(common), whole, out=np.full(whole.shape, nothing), where=whole > 0)


def _information_score(joint: float, proposed: float, true: float) -> float:
    """V_info of one slice from its sums of p log p.

    Where there are several cells and basins they always share something, so that the official NaN for
    precision + recall = 0 can't arise: basins never touch, and a pixel of the line tells its cell.
    """
    if proposed == 0 or true == 0:  # a single basin or a single cell: precision or recall is 0
        return 0.0
    # (H - what the other leaves open of it) / H, each H being minus its sum
    precision = (-true - (proposed - joint)) / -true
    recall = (-proposed - (true - joint)) / -proposed
    return 2 * precision * recall / (precision + recall)


def _warping_count(probabilities: np.ndarray, truth: np.ndarray, white: np.ndarray, threshold: float) -> int:
    """Mergers and splits of one slice at one threshold."""
    # A pixel of a slice one pixel wide has two neighbours, too few for what the official code calls three kinds.
    if truth[1:-1, 1:-1].all() or min(truth.shape) == 3:
        return 0
    warped = truth.astype(np.uint8)
    left = kernels.warp(warped, wrong_pixels(probabilities, truth, white, threshold))
    return sum(kernels.mergers_and_splits(components(warped), left))


def wrong_pixels(probabilities: np.ndarray, truth: np.ndarray, white: np.ndarray, threshold: float) -> np.ndarray:
    """Where `truth` and `white` differ, farthest from the threshold first, ties in the order of memory.

    Returns:
      (n,) int64 flat indices.
    """
    wrong = np.flatnonzero(truth != white).astype(np.uint64)
    distance = np.abs(probabilities.ravel()[wrong] - threshold).astype(np.float32)
    # The bits of floats >= 0 sort as the floats do; with the pixel below them no two keys are equal,
    # so that numpy's fastest sort, which is not stable, gives the order of a stable one.
    keys = (0xFFFFFFFF - distance.view(np.uint32).astype(np.uint64)) << np.uint64(32) | wrong
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _checked(prediction: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The prediction as (N, H, W) float32 and the true cells as (N, H, W) bool."""
    prediction, label = np.asarray(prediction), np.asarray(label)
    if prediction.shape != label.shape:
        raise DataError(
            f"ISBI measures: the shapes differ: the prediction is {prediction.shape}, the label {label.shape}. "
            "Give one probability and one label value per pixel."
        )
    if prediction.ndim not in (2, 3) or prediction.size == 0:
        raise DataError(
            f"ISBI measures: no slices to score: prediction and label are {prediction.shape}. "
            "Give (height, width), or (slices, height, width), with at least one pixel."
        )
    outside = ~((prediction >= 0) & (prediction <= 1))  # so that NaN is outside
    if outside.any():
        where = tuple(int(place[0]) for place in np.nonzero(outside))
        slice_name = f"slice {where[0]}, " if len(where) == 3 else ""
        raise DataError(
            f"ISBI measures: prediction {prediction[where]} at {slice_name}row {where[-2]}, column {where[-1]} "
            f"({np.count_nonzero(outside):,} pixels), but it must lie in 0..1. "
            "Give the probability that a pixel is inside a cell; divide 8-bit values by 255."
        )
    if prediction.ndim == 2:
        prediction, label = prediction[None], label[None]
    return prediction.astype(np.float32), label != 0
