"""The mean of the scores, before softmax, over turned and mirrored versions of an image.

The authors' released script averages scores over flips; for the EM challenge the paper averages "seven rotated
versions", without saying which: here those by 0, 45, ..., 270 degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from kseg.errors import ConfigError, did_you_mean

Average = Literal["none", "rotations", "symmetries"]
AVERAGES: tuple[Average, ...] = ("none", "rotations", "symmetries")
IN_WORDS = {"none": "no average", "rotations": "mean over 7 rotations", "symmetries": "mean over 8 symmetries"}

Change = Callable[[np.ndarray], np.ndarray]


def averaged(image: np.ndarray, scores_of: Change, average: Average) -> np.ndarray:
    """The mean scores of an image over its versions.

    Args:
      image: (H, W, C).
      scores_of: gives the scores (H, W, K) float32 of an image of any size.
      average: "symmetries" for the eight of the square, "rotations" for seven by multiples of 45 degrees (those between
        the axes interpolated linearly, the image mirrored beyond its border), "none" for the image alone.

    Returns:
      (H, W, K) float32.

    Raises:
      ConfigError: there is no such average.
    """
    if average not in AVERAGES:
        raise ConfigError(f"There is no average {average!r}. {did_you_mean(average, AVERAGES)}")
    if average == "none":
        return scores_of(image)
    versions = _versions(average, image.shape[:2])
    total = np.zeros((1, 1, 1), np.float32)
    for change, back in versions:
        total = total + back(scores_of(change(image)))
    return total / np.float32(len(versions))


def _versions(average: Average, size: tuple[int, int]) -> list[tuple[Change, Change]]:
    """Pairs of a change and its way back."""
    quarters = [_quarters(count, mirror=False) for count in range(4)]
    if average == "symmetries":
        return quarters + [_quarters(count, mirror=True) for count in range(4)]
    return quarters + [_turn(degrees, size) for degrees in (45, 135, 225)]


def _quarters(count: int, *, mirror: bool) -> tuple[Change, Change]:
    """Turns by 90 degrees, then left and right exchanged or not, and the way back."""
    step = -1 if mirror else 1
    return (
        lambda image: np.rot90(image, count)[:, ::step],
        lambda scores: np.rot90(scores[:, ::step], -count),
    )


def _turn(degrees: float, size: tuple[int, int]) -> tuple[Change, Change]:
    """A turn about the centre, onto a square that holds the whole image, and its way back."""
    height, width = size
    side = int(np.ceil(np.hypot(height, width)))
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turn = turn + np.array([[0, 0, (side - width) / 2], [0, 0, (side - height) / 2]])

    def warp(pixels: np.ndarray, matrix: np.ndarray, to: tuple[int, int]) -> np.ndarray:
        # One channel after the other: OpenCV takes four at most.
        planes = np.moveaxis(pixels.astype(np.float32), -1, 0)
        return np.stack(
            [cv2.warpAffine(plane, matrix, to[::-1], borderMode=cv2.BORDER_REFLECT_101) for plane in planes], axis=-1
        )

    return (
        lambda image: warp(image, turn, (side, side)),
        lambda scores: warp(scores, cv2.invertAffineTransform(turn), size),
    )
