"""The watershed of hills as a compiled loop. numba takes a second to import, so this module is imported when needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def compiled(function: Callable) -> Any:
    """`function` compiled to machine code, which is cached on disk if numba finds a folder that it can write."""
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # numba raises it if it can write no folder
        return numba.njit(function)


@compiled
def flood(heights: np.ndarray, order: np.ndarray, width: int, neck: float) -> np.ndarray:
    """The hill that each pixel belongs to.

    Args:
      heights: (P,) float32, an image row by row, with a border of 0 around it.
      order: the indices of all pixels above 0, the highest first.
      width: of a row, pixels.
      neck: two hills become one if they meet at this share of the lower one's top, or above.

    Returns:
      (P,) int32, 0 at height 0, else the hill's number, from 1 on with gaps.
    """
    hills = np.zeros(heights.size, np.int32)
    parents = np.zeros(order.size + 1, np.int32)
    tops = np.zeros(order.size + 1, np.float32)
    count = 0
    for pixel in order:
        highest = 0
        for beside in (pixel - width, pixel - 1, pixel + 1, pixel + width):
            if hills[beside] and (highest == 0 or heights[beside] > heights[highest]):
                highest = beside
        if highest == 0:
            count += 1
            parents[count], tops[count], hills[pixel] = count, heights[pixel], count
            continue
        hills[pixel] = hills[highest]
        for beside in (pixel - width, pixel - 1, pixel + 1, pixel + width):
            if hills[beside]:
                one, other = _root(parents, hills[pixel]), _root(parents, hills[beside])
                if tops[one] < tops[other]:
                    one, other = other, one
                if one != other and heights[pixel] >= neck * tops[other]:
                    parents[other] = one
    for pixel in order:
        hills[pixel] = _root(parents, hills[pixel])
    return hills


@compiled
def _root(parents: np.ndarray, hill: int) -> int:
    """The hill that `hill` has been merged into; shortens the path to it for later calls."""
    while parents[hill] != hill:
        parents[hill] = parents[parents[hill]]
        hill = parents[hill]
    return hill
