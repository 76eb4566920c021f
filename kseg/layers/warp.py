"""Warps an image by a field of displacements."""

from __future__ import annotations

from typing import Any

from keras import ops


def dense_image_warp(image: Any, flow: Any) -> Any:
    """Warps an image: each output pixel is the image's value at the pixel's position minus its flow.

    output[n, row, column] = image[n, row - flow[n, row, column, 0], column - flow[n, row, column, 1]], with bilinear
    interpolation, and beyond the border the value of the border pixel. Differentiable in both arguments.

    Args:
      image: (N, H, W, C) of a float dtype, H and W >= 2.
      flow: (N, H, W, 2) of the same dtype, (row, column), pixels.

    Returns:
      (N, H, W, C) of that dtype.

    Source: equal to tensorflow-addons 0.23.0's function of this name, bit for bit.
    """
    _, height, width, channels = ops.shape(image)
    kind = image.dtype
    rows, columns = ops.meshgrid(ops.arange(height, dtype=kind), ops.arange(width, dtype=kind), indexing="ij")
    corners, shares = [], []
    for position, size in ((rows - flow[..., 0], height), (columns - flow[..., 1], width)):
        first = ops.clip(ops.floor(position), 0, size - 2)
        corners.append(ops.cast(first, "int32"))
        shares.append(ops.clip(position - first, 0, 1)[..., None])
    pixels = ops.reshape(image, (-1, height * width, channels))

    def neighbour(down: int, right: int) -> Any:
        index = ops.reshape((corners[0] + down) * width + corners[1] + right, (-1, height * width, 1))
        return ops.reshape(ops.take_along_axis(pixels, index, axis=1), (-1, height, width, channels))

    top = shares[1] * (neighbour(0, 1) - neighbour(0, 0)) + neighbour(0, 0)
    bottom = shares[1] * (neighbour(1, 1) - neighbour(1, 0)) + neighbour(1, 0)
    return shares[0] * (bottom - top) + top
