"""The mean of the scores, before softmax, over rotated and mirrored versions of an image.

The authors' released script averages scores over flips. For the EM challenge the paper averages "seven rotated
versions", without saying which: here those by 0, 45, ..., 270 degrees.

It is written with keras.ops on whole tensors, so that `predict`, which calls it, and a bundle, which has it in its
graph, compute the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kseg.layers.reading import Average

# In float32 coordinates from pixel 5,000 on have an error of 1/2,000 pixel; JAX has no other type by default.
COORDINATES = "float32" if keras.backend.backend() == "jax" else "float64"

Change = Callable[[Any], Any]


def averaged(images: Any, scores_of: Change, average: Average) -> Any:
    """The mean scores of images over their versions.

    Args:
      images: (N, H, W, C) float32.
      scores_of: gives the scores (N, H', W', K) float32 of images (N, H', W', C) of any size.
      average: "mirror" for the image and its mirror image, left and right exchanged; "symmetries" for the eight
        symmetries of the square; "rotations" for seven rotations by multiples of 45 degrees (odd multiples are
        interpolated linearly, the image mirrored beyond its border); "none" for the image alone.

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
    """How many times as many pixels the network reads for an average of a square image."""
    # The square around a square that is rotated by 45 degrees has twice its area.
    return {"none": 1, "mirror": 2, "rotations": 4 + 3 * 2, "symmetries": 8}[average]


def _versions(average: Average, size: tuple[Any, Any]) -> list[tuple[Change, Change]]:
    """Pairs of a change and its inverse."""
    if average == "mirror":
        return [_quarters(0, mirror=False), _quarters(0, mirror=True)]
    quarters = [_quarters(count, mirror=False) for count in range(4)]
    if average == "symmetries":
        return quarters + [_quarters(count, mirror=True) for count in range(4)]
    return quarters + [_rotation(degrees, size) for degrees in (45, 135, 225)]


def _quarters(count: int, *, mirror: bool) -> tuple[Change, Change]:
    """`count` rotations by 90 degrees, then left and right exchanged or not; and the inverse."""
    return (
        lambda images: _mirrored(_rotated_by_quarters(images, count), mirror),
        lambda scores: _rotated_by_quarters(_mirrored(scores, mirror), -count % 4),
    )


def _mirrored(maps: Any, mirror: bool) -> Any:
    return ops.flip(maps, axis=2) if mirror else maps


def _rotated_by_quarters(maps: Any, count: int) -> Any:
    """(N, H, W, C) rotated by `count` times 90 degrees, 0..3, counter-clockwise; Keras' rot90 fails for 2 (3.15.1)."""
    if count == 2:
        return ops.flip(maps, axis=(1, 2))
    if count == 0:
        return maps
    return ops.flip(ops.transpose(maps, (0, 2, 1, 3)), axis=1 if count == 1 else 2)


def _rotation(degrees: float, size: tuple[Any, Any]) -> tuple[Change, Change]:
    """A rotation about the centre, onto a square that holds the whole image, and its inverse."""
    height, width = map(_real, size)
    side = ops.cast(ops.ceil(ops.sqrt(height**2 + width**2)), "int32")
    angle = math.radians(degrees)
    return (
        lambda images: _rotated(images, (side, side), angle),
        lambda scores: _rotated(scores, size, -angle),
    )


def _rotated(maps: Any, size: tuple[Any, Any], angle: float) -> Any:
    """(N, H, W, C) rotated by `angle` (radians, counter-clockwise) about the centre, cropped or widened to `size`.

    Interpolates linearly; beyond its border a map is mirrored, without repeating the border pixel.
    """
    lengths = ops.shape(maps)[1:3]
    down, across = (ops.arange(length, dtype=COORDINATES) - (_real(length) - 1) / 2 for length in size)
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
    return ops.cast(length, COORDINATES)


def _reflected(position: Any, length: Any) -> Any:
    """A whole number as an index within 0..length-1, mirrored at both ends."""
    period = ops.maximum(1, 2 * (length - 1))
    index = ops.mod(ops.cast(position, "int32"), period)
    return ops.minimum(index, period - index)
