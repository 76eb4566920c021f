"""Connected components, a gap between numbered objects that touch, and whether labels number objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

MANY = 8  # numbers in a label, from which on they may well be objects'


def components(mask: np.ndarray) -> np.ndarray:
    """The 4-connected components of a mask, numbered.

    Args:
      mask: (H, W), non-zero inside.

    Returns:
      (H, W) int32, 0 outside, 1..n in the order of their first pixel, row by row.
    """
    _, numbers = cv2.connectedComponents((mask != 0).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    return numbers


def separate(instances: np.ndarray) -> np.ndarray:
    """`instances` with a gap between objects that touch.

    A pixel becomes background where its NW, N, NE or W neighbour belongs to another object, so the gap lies on the
    lower and right side of a contact; it is a pixel wide, two where the contact runs upright.

    Args:
      instances: (H, W) integers, 0 background, one number per object.

    Returns:
      (H, W) of the same dtype.

    Source: the U-Net authors' Fiji plugin, commit 870e503 (facts: separation before training).
    """
    height, width = instances.shape
    padded = np.pad(instances, 1)
    touches = np.zeros(instances.shape, bool)
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 0)):
        neighbour = padded[row : row + height, column : column + width]
        touches |= (neighbour != 0) & (neighbour != instances)
    return np.where(touches, 0, instances)


def count_numbered(label: np.ndarray, numbers: Iterable[int]) -> int:
    """How many objects `label` numbers, where it numbers 1, 2, ..., n, about each in one piece; 0 where it does not.

    Args:
      label: (H, W) integers >= 0, 0 background.
      numbers: those that occur in it.
    """
    found = set(numbers) - {0}
    count = len(found)
    if not count or max(found) != count:
        return 0
    return count if components(separate(label)).max() <= 1.1 * count else 0


def are_numbered(counts: Sequence[int]) -> bool:
    """Whether labels look as if each numbered its own objects, by the `count_numbered` of those with a foreground.

    Classes do not look so: they lie in several pieces, leave numbers out, or all occur in most images.
    """
    if max(counts, default=0) < MANY:
        return False
    return 4 * counts.count(0) <= len(counts) and 2 * Counter(counts).most_common(1)[0][1] <= len(counts)
