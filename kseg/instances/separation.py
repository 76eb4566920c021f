"""Separates touching objects where the mask between them is narrow."""

from __future__ import annotations

import cv2
import numpy as np

NECK = 0.8  # two objects are separated where the mask is narrower than this share of the smaller object's width


def part(mask: np.ndarray) -> np.ndarray:
    """The objects of a mask; those that touch are separated at their necks.

    The distance of each pixel to the background makes a landscape of hills. A falling water level uncovers the tops one
    after another. A hill becomes an object if the level falls below `NECK` of its height before the hill joins a higher
    one. Every other pixel belongs to the highest of its neighbours that are uncovered.

    Args:
      mask: (H, W), non-zero inside.

    Returns:
      (H, W) int32, 0 outside, 1..n; each object is 4-connected, and no pixel of the mask is lost.

    Source: the watershed of the distance transform (Vincent, Soille, IEEE PAMI 13(6), 1991). Hills that rise little
    above their surroundings are left out. Distances are Euclidean; beyond the image counts as inside.
    """
    from kseg.instances.flood import flood

    inside = (np.asarray(mask) != 0).astype(np.uint8)
    heights = np.pad(cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), 1)
    pixels = np.flatnonzero(heights)
    order = pixels[np.argsort(-heights.ravel()[pixels], kind="stable")]
    hills = flood(heights.ravel(), order, heights.shape[1], NECK).reshape(heights.shape)[1:-1, 1:-1]
    numbers = np.zeros(int(hills.max(initial=0)) + 1, np.int32)
    found = np.flatnonzero(np.bincount(hills.ravel())[1:]) + 1
    numbers[found] = 1 + np.arange(len(found))
    return numbers[hills]
