"""The mean of the scores, before softmax, over turned and mirrored versions of an image.

The authors' released script averages scores over flips. For the EM challenge the paper averages "seven rotated
versions", without saying which: here those by 0, 45, ..., 270 degrees.

It is written with keras.ops on whole tensors: `predict` calls it step by step, a bundle has it in its graph, and both
compute the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kseg.layers.reading import Average

# In float32 the places of pixel 5,000 and beyond are off by 1/2,000 of a pixel; JAX has no other type unless told.
PLACES = "float32" if keras.backend.backend() == "jax" else "float64"

Change = Callable[[Any], Any]


def averaged(images: Any, scores_of: Change, average: Average) -> Any:
    """The mean scores of images over their versions.

    Args:
      images: (N, H, W, C) float32.
      scores_of: gives the scores (N, H', W', K) float32 of images (N, H', W', C) of any size.
      average: "mirror" for the image and its mirror image, left and right exchanged; "symmetries" for the eight of the
        square; "rotations" for seven by multiples of 45 degrees (those between the axes interpolated linearly, the
        image mirrored beyond its border); "none" for the image alone.

    Returns:
      (N, H, W, K) float32.
    """
    if average == "none":
        return scores_of(images)
    versions = _versions(average, ops.shape(images)[1:3])
    total: Any = 0.0
    for change, back in versions:
        total = total + back(ops.convert_to_tensor(scores_of(change(images))))
    return total / len(versions)


def pixels_read(average: Average) -> int:
    """How many times the pixels of a square image the network reads for an average."""
    # A square that is turned by 45 degrees lies in one of twice its area.
    return {"none": 1, "mirror": 2, "rotations": 4 + 3 * 2, "symmetries": 8}[average]


def _versions(average: Average, size: tuple[Any, Any]) -> list[tuple[Change, Change]]:
    """Pairs of a change and its way back."""
    if average == "mirror":
        return [_quarters(0, mirror=False), _quarters(0, mirror=True)]
    quarters = [_quarters(count, mirror=False) for count in range(4)]
    if average == "symmetries":
        return quarters + [_quarters(count, mirror=True) for count in range(4)]
    return quarters + [_turn(degrees, size) for degrees in (45, 135, 225)]


def _quarters(count: int, *, mirror: bool) -> tuple[Change, Change]:
    """Turns by 90 degrees, then left and right exchanged or not, and the way back."""
    return (
        lambda images: _mirrored(_turned(images, count), mirror),
        lambda scores: _turned(_mirrored(scores, mirror), -count % 4),
    )


def _mirrored(maps: Any, mirror: bool) -> Any:
    return ops.flip(maps, axis=2) if mirror else maps


def _turned(maps: Any, count: int) -> Any:
    """(N, H, W, C) turned by `count` times 90 degrees, 0..3, against the clock."""
    if count == 2:
        return ops.flip(maps, axis=(1, 2))
    if count == 0:
        return maps
    return ops.flip(ops.transpose(maps, (0, 2, 1, 3)), axis=1 if count == 1 else 2)


def _turn(degrees: float, size: tuple[Any, Any]) -> tuple[Change, Change]:
    """A turn about the centre, onto a square that holds the whole image, and its way back."""
    height, width = map(_real, size)
    side = ops.cast(ops.ceil(ops.sqrt(height**2 + width**2)), "int32")
    angle = math.radians(degrees)
    return (
        lambda images: _looked_up(images, (side, side), angle),
        lambda scores: _looked_up(scores, size, -angle),
    )


def _looked_up(maps: Any, size: tuple[Any, Any], angle: float) -> Any:
    """(N, H, W, C) turned by `angle` (radians, against the clock) about the centre, cut or widened to `size`.

    Linear between pixels; beyond its border a map is its mirror image, the border pixel not repeated.
    """
    lengths = ops.shape(maps)[1:3]
    down, across = (ops.arange(length, dtype=PLACES) - (_real(length) - 1) / 2 for length in size)
    down, across = down[:, None], across[None, :]
    cosine, sine = math.cos(angle), math.sin(angle)
    rows = sine * across + cosine * down + (_real(lengths[0]) - 1) / 2
    columns = cosine * across - sine * down + (_real(lengths[1]) - 1) / 2
    top, left = ops.floor(rows), ops.floor(columns)
    below, right = (ops.cast(part, "float32")[..., None] for part in (rows - top, columns - left))
    flat = ops.reshape(maps, (-1, lengths[0] * lengths[1], maps.shape[-1]))

    def pixels(row: Any, column: Any) -> Any:
        index = _reflected(row, lengths[0]) * lengths[1] + _reflected(column, lengths[1])
        return ops.take(flat, index, axis=1)

    upper = pixels(top, left) * (1 - right) + pixels(top, left + 1) * right
    lower = pixels(top + 1, left) * (1 - right) + pixels(top + 1, left + 1) * right
    return upper * (1 - below) + lower * below


def _real(length: Any) -> Any:
    return ops.cast(length, PLACES)


def _reflected(place: Any, length: Any) -> Any:
    """The index within 0..length-1 that a whole number lies at, mirrored at both ends."""
    period = ops.maximum(1, 2 * (length - 1))
    index = ops.mod(ops.cast(place, "int32"), period)
    return ops.minimum(index, period - index)
