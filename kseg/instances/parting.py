"""Objects that touch, parted where the mask is narrow between them."""

from __future__ import annotations

import cv2
import numpy as np

from kseg.instances.numbering import components

NECK = 0.8  # two objects are parted where the mask between them is at most this share of the smaller one's width
STEP = 1.1  # from one level of the flood to the next
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def part(mask: np.ndarray) -> np.ndarray:
    """The objects of a mask, those that touch parted at their necks.

    The distance of each pixel to the background makes hills. A flood that falls from above shows their tops one after
    another. A hill becomes an object where the flood falls to `NECK` of its height before it joins a higher one. Pixels
    that show later go to the object they are next to.

    Args:
      mask: (H, W), non-zero inside.

    Returns:
      (H, W) int32, 0 outside, 1..n; each object is 4-connected, and no pixel of the mask is lost.

    Source: the watershed of the distance transform (Vincent, Soille, IEEE PAMI 13(6), 1991). Hills that stand out
    little are left out. Distances are Euclidean; what lies beyond the image counts as inside.
    """
    inside = (mask != 0).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    numbers, count = np.zeros(mask.shape, np.float32), 0  # OpenCV dilates no int32; float32 holds 16 million numbers
    for level in _levels(float(distance.max())):
        numbers, left = _grown(numbers, (distance > level) & (numbers == 0))
        if not left.any():
            continue
        tops = components(left)
        places = np.flatnonzero(left)
        hill = tops.ravel()[places]
        height = np.zeros(hill.max() + 1, np.float32)
        np.maximum.at(height, hill, distance.ravel()[places])
        stands_out = height * NECK >= level
        stands_out[0] = False
        names = np.where(stands_out, count + np.cumsum(stands_out), 0)
        numbers += names[tops].astype(np.float32)
        count += int(stands_out.sum())
    return numbers.astype(np.int32)


def _levels(highest: float) -> list[float]:
    """From below `highest` down to 0, the last."""
    levels = [0.0]
    while max(1.0, levels[-1] * STEP) < highest:
        levels.append(max(1.0, levels[-1] * STEP))
    return levels[::-1]


def _grown(numbers: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`numbers` spread over the free pixels that they reach from neighbour to neighbour; the pixels still free."""
    while free.any():
        spread = cv2.dilate(numbers, CROSS)
        spread[~free] = 0
        if not spread.any():
            break
        numbers = numbers + spread
        free = free & (spread == 0)
    return numbers, free
