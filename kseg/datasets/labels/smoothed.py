"""Finds and removes the shades that smoothing leaves along the edges of a label, between its few numbers or colours.

A number or colour that was drawn fills an area somewhere. A shade is a line of a few pixels. So a number or colour
counts as drawn if it fills 3 x 3 pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

import cv2
import numpy as np

NEAR_END = 8  # grey levels that smoothing may leave in an area that was 0 or 255
MOST_FLAT = 0.02  # the share of the flat area that may be shades


def flat_counts(label: np.ndarray) -> dict[int, int]:
    """How many pixels of each number are the centre of 3 x 3 pixels of the same number.

    Args:
      label: (H, W) integers, 0..2^24.
    """
    plane = label.astype(np.float32)
    inside = cv2.erode(plane, np.ones((3, 3), np.uint8)) == cv2.dilate(plane, np.ones((3, 3), np.uint8))
    return counts_of(label[inside])


def counts_of(label: np.ndarray) -> dict[int, int]:
    """How many pixels of each number an array of integers has."""
    values, counts = np.unique(label, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def is_smoothed(numbers: Collection[int], flat: Mapping[int, int]) -> bool:
    """Whether numbers are the grey levels of masks of 0 and 255 with smoothed edges.

    Args:
      numbers: all that occur.
      flat: as `flat_counts` counts them.
    """
    between = [number for number in numbers if NEAR_END < number < 255 - NEAR_END]
    if len(between) < 2 or not {0, 255} <= flat.keys() or max(numbers) > 255:
        return False
    return sum(flat.get(number, 0) for number in between) <= MOST_FLAT * sum(flat.values())


def unshaded(codes: np.ndarray, drawn: Collection[int]) -> np.ndarray:
    """Replaces each shade by the most similar of the colours near it.

    Args:
      codes: (H, W) int32, red << 16 | green << 8 | blue.
      drawn: the codes that are no shades.

    Returns:
      (H, W) int32, only with codes of `drawn`.
    """
    palette = np.array(sorted(drawn), np.int32)
    shaded = ~np.isin(codes, palette)
    if not shaded.any() or not len(palette):
        return codes
    window = np.ones((9, 9), np.uint8)
    rows, columns = np.nonzero(shaded)
    colours = _channels(codes[rows, columns])
    costs = np.empty((len(palette), len(rows)))
    for number, code in enumerate(palette.tolist()):
        near = cv2.dilate((codes == code).astype(np.uint8), window)[rows, columns]
        costs[number] = ((colours - _channels(np.array([code]))) ** 2).sum(1) + 1e6 * (near == 0)
    result = codes.copy()
    result[rows, columns] = palette[costs.argmin(0)]
    return result


def are_shades(colours: np.ndarray, drawn: np.ndarray, fewest: int = 1, tolerance: float = 12.0) -> np.ndarray:
    """Which colours are blends of drawn colours: (N,) bool. Blends of three count only if there are blends of two.

    Args:
      colours, drawn: (N,) and (K,) codes.
      fewest: how many blends there must be of the same two or three.
      tolerance: the largest distance of a blend from the line or triangle between them, in grey levels.
    """
    points, corners = _channels(colours), _channels(drawn)
    blended = np.zeros(len(points), bool)
    for first in range(len(corners)):
        for second in range(first):
            start, along = corners[first], corners[second] - corners[first]
            share = ((points - start) @ along / (along @ along)).clip(0, 1)
            near = np.linalg.norm(points - start - share[:, None] * along, axis=1) <= tolerance
            if near.sum() >= fewest:
                blended |= near
    rest = np.flatnonzero(~blended)
    if blended.any() and len(rest):
        for start, second, third in combinations(corners, 3):
            sides = np.stack([second - start, third - start])
            shares = (points[rest] - start) @ np.linalg.pinv(sides)
            near = np.linalg.norm(points[rest] - start - shares @ sides, axis=1) <= tolerance
            near &= (shares >= 0).all(1) & (shares.sum(1) <= 1)
            if near.sum() >= fewest:
                blended[rest[near]] = True
    return blended


def _channels(codes: np.ndarray) -> np.ndarray:
    """(N, 3) float64 of codes (N,)."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(float)
