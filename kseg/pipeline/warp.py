"""The coordinates at which each pixel of a crop reads the image: an affine map and smooth displacements.

Rotations, mirrors, shifts and displacements are combined as matrices and coarse grids. The coordinates of all pixels
are computed once, at the end. A crop that only mirrors and shifts by whole pixels is cut out without interpolation.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True, eq=False)
class Warp:
    """Maps each pixel p of a crop, as (row, column) from its centre, to `matrix p + offset + displacements`.

    Attributes:
      size: (height, width) of the crop.
      matrix: (2, 2) float64.
      offset: (2,) float64, pixels.
      grids: displacements (2, n, m) float64, pixels, at points that cover the crop with its corners; bicubic between
        them.
    """

    size: tuple[int, int]
    matrix: np.ndarray
    offset: np.ndarray
    grids: tuple[np.ndarray, ...] = ()

    @classmethod
    def still(cls, size: tuple[int, int]) -> Warp:
        """The warp that moves no pixel."""
        return cls(size, np.eye(2), np.zeros(2))

    def transformed(self, matrix: np.ndarray) -> Warp:
        """This warp, then its coordinates times `matrix` (2, 2)."""
        grids = tuple(np.einsum("ab,brc->arc", matrix, grid) for grid in self.grids)
        return replace(self, matrix=_product(matrix, self.matrix), offset=_product(matrix, self.offset), grids=grids)

    def moved(self, by: np.ndarray) -> Warp:
        """This warp, then its coordinates moved `by` (2,), pixels."""
        return replace(self, offset=self.offset + by)

    def bent(self, grid: np.ndarray) -> Warp:
        """This warp, then its coordinates moved by the displacements `grid` (2, n, m)."""
        return replace(self, grids=(*self.grids, grid))

    def coordinates(self) -> np.ndarray:
        """The coordinates of all pixels, (2, H, W) float32: rows, then columns; whole numbers are exact."""
        height, width = (np.arange(size) - (size - 1) / 2 for size in self.size)
        down = [height, np.ones_like(height)]
        across = [
            [np.full_like(width, by_row), by_column * width + offset]
            for (by_row, by_column), offset in zip(self.matrix, self.offset, strict=True)
        ]
        for grid in self.grids:
            rows, columns = (cubic_weights(size, count) for size, count in zip(self.size, grid.shape[1:], strict=True))
            down += list(rows.T)
            for parts, displacements in zip(across, grid, strict=True):
                parts += list(np.einsum("rc,wc->rw", displacements, columns))
        # No matrix product: even a small one starts a thread of BLAS, which keeps a core busy that training needs.
        left = np.array(down, np.float32).T.copy()
        found = np.empty((2, *self.size), np.float32)
        for axis, parts in enumerate(across):
            np.einsum("hn,nw->hw", left, np.array(parts, np.float32), out=found[axis])
        return found

    def look_up(self, pixels: np.ndarray, method: int, border: int, outside: int = 0) -> np.ndarray:
        """The values of `pixels` at the coordinates, by OpenCV's remap.

        Args:
          pixels: (H, W) int32, which stay int32, or (H, W, C) of any type, which become float32; the first pixel is at
            (0, 0).
          method: OpenCV's interpolation.
          border: OpenCV's border.
          outside: the value outside of the image, if the border is constant.
        """
        kind = np.float32 if pixels.ndim == 3 else np.int32
        if self._whole is not None:
            found = _cut(pixels, self._whole, self.size, border, outside).astype(kind)
        else:
            rows, columns = self._coordinates
            source: np.ndarray = pixels.astype(kind, copy=False)
            found = cv2.remap(source, columns, rows, method, borderMode=border, borderValue=(outside,) * 4)
        return found.reshape(*self.size, *pixels.shape[2:])

    @functools.cached_property
    def _coordinates(self) -> np.ndarray:
        return self.coordinates()

    @functools.cached_property
    def _whole(self) -> tuple[tuple[int, bool], ...] | None:
        """Where the crop begins along each axis, and whether it is mirrored; None if it needs interpolation."""
        if self.grids or not np.array_equal(np.abs(self.matrix), np.eye(2)):
            return None
        starts = self.offset - (np.array(self.size) - 1) / 2
        if not np.array_equal(starts, np.round(starts)):
            return None
        return tuple((int(start), bool(sign < 0)) for start, sign in zip(starts, np.diag(self.matrix), strict=True))


def _cut(
    pixels: np.ndarray, axes: tuple[tuple[int, bool], ...], size: tuple[int, int], border: int, outside: int
) -> np.ndarray:
    """A part of `pixels` of the given size. For each axis `axes` has its first index, and whether it is mirrored."""
    (top, flips_rows), (left, flips_columns) = axes
    above, ahead = max(0, -top), max(0, -left)
    below, behind = max(0, top + size[0] - pixels.shape[0]), max(0, left + size[1] - pixels.shape[1])
    if above or ahead or below or behind:
        pixels = cv2.copyMakeBorder(pixels, above, below, ahead, behind, border, value=(outside,) * 4)
    part = pixels[top + above :, left + ahead :][: size[0], : size[1]]
    if flips_rows or flips_columns:
        part = cv2.flip(part, {(True, True): -1, (True, False): 0, (False, True): 1}[flips_rows, flips_columns])
    return part


@functools.lru_cache(maxsize=16)
def cubic_weights(size: int, count: int) -> np.ndarray:
    """The matrix (size, count) that interpolates `count` values, the first and last at the ends, to `size` pixels.

    Cubic convolution with a = -1/2; beyond the ends the last value is repeated.

    Source: Keys, "Cubic convolution interpolation for digital image processing" (1981).
    """
    position = np.linspace(0, count - 1, size)
    first = np.floor(position).astype(int)
    weights = np.zeros((size, count))
    for neighbour in (-1, 0, 1, 2):
        distance = np.abs(position - (first + neighbour))
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        value = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        np.add.at(weights, (np.arange(size), (first + neighbour).clip(0, count - 1)), value)
    weights.flags.writeable = False  # the cache shares it
    return weights


def _product(matrix: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.einsum("ab,b...->a...", matrix, other)
