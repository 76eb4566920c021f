"""Connected components, gaps between touching objects, and whether a label numbers objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

MANY = 8  # a label with at least so many numbers may number objects


def components(mask: np.ndarray) -> np.ndarray:
    """The 4-connected components of a mask, numbered.

    Args:
      mask: (H, W), non-zero inside.

    Returns:
      (H, W) int32, 0 outside, 1..n in the order of their first pixels, row by row.
    """
    _, numbers = cv2.connectedComponents((mask != 0).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    return numbers


def separate(instances: np.ndarray) -> np.ndarray:
    """`instances` with a gap between objects that touch.

    A pixel becomes background if its NW, N, NE or W neighbour belongs to another object. So the gap is on the lower and
    right side of a contact. It is one pixel wide, or two where the contact is vertical.

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
    """The number of objects, if `label` has the numbers 1, 2, ..., n and nearly each of them in one piece; else 0.

    Args:
      label: (H, W) integers >= 0, 0 background.
      numbers: the numbers that occur in it.
    """
    found = set(numbers) - {0}
    count = len(found)
    if not count or max(found) != count:
        return 0
    return count if components(separate(label)).max() <= 1.1 * count else 0


def are_numbered(counts: Sequence[int]) -> bool:
    """Whether labels probably number objects, and not classes.

    Class ids are in several pieces, have gaps in their numbers, or are the same in most images.

    Args:
      counts: the `count_numbered` of each label that has a foreground.
    """
    if max(counts, default=0) < MANY:
        return False
    return 4 * counts.count(0) <= len(counts) and 2 * Counter(counts).most_common(1)[0][1] <= len(counts)
