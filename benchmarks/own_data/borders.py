"""Numbered objects as three classes, which any network can learn, and back. Only kseg learns numbered objects itself.

The classes are 0 ground, 1 the inside of an object, 2 its border: the pixels of an object that are at most BORDER
pixels from another object or from the ground. What lies beyond the image counts as the same object.
"""

from __future__ import annotations

import cv2
import numpy as np

BORDER = 2
INSIDE, EDGE = 1, 2
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def three_classes(instances: np.ndarray, border: int = BORDER) -> np.ndarray:
    """The class of each pixel.

    Args:
      instances: (H, W) integers, 0 ground, one number per object.
      border: how wide the border is, pixels; diagonal neighbours count as neighbours.

    Returns:
      (H, W) uint8, 0, 1 or 2.
    """
    numbers = instances.astype(np.float32)  # exact up to 16,777,216 objects
    square = np.ones((2 * border + 1,) * 2, np.uint8)
    edge = cv2.dilate(numbers, square) != cv2.erode(numbers, square)
    classes = np.where(edge, EDGE, INSIDE).astype(np.uint8)
    classes[instances == 0] = 0
    return classes


def grown_objects(classes: np.ndarray, least: int = 0) -> np.ndarray:
    """The objects: the 4-connected parts of the inside, grown over the border until they meet.

    This is a watershed whose water rises by a pixel at a time. A border without an inside is an object of its own.

    Args:
      classes: (H, W) integers, 0, 1 or 2.
      least: objects with fewer pixels are left out.

    Returns:
      (H, W) int32, 0 ground, 1..n.
    """
    _, objects = cv2.connectedComponents((classes == INSIDE).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    foreground = classes != 0
    while True:
        # Where two objects meet, the larger number wins; numbers are exact as floats.
        wave = cv2.dilate(objects.astype(np.float32), _CROSS).astype(np.int32)
        new = foreground & (objects == 0) & (wave != 0)
        if not new.any():
            break
        objects = np.where(new, wave, objects)
    left = (foreground & (objects == 0)).astype(np.uint8)
    _, others = cv2.connectedComponents(left, connectivity=4, ltype=cv2.CV_32S)
    objects = np.where(others != 0, others + objects.max(), objects).astype(np.int32)
    areas = np.bincount(objects.ravel())
    areas[0] = 0
    numbers = np.zeros(len(areas), np.int32)
    kept = np.flatnonzero((areas > 0) & (areas >= least))
    numbers[kept] = 1 + np.arange(len(kept))
    return numbers[objects]
