"""Where each pixel of a crop is looked up: a straight map of its place, and smooth displacements on coarse grids.

Turns, mirrors, shifts and displacements are put together on their few numbers; the places of the pixels are written
out once, in the end. What neither blurs nor turns is not looked up at all, but cut out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True, eq=False)
class Warp:
    """For each pixel p of a crop, as (row, column) from its centre, the place `matrix p + offset + displacements`.

    Attributes:
      size: (height, width) of the crop.
      matrix: (2, 2) float64.
      offset: (2,) float64, pixels.
      grids: displacements (2, n, m) float64, pixels, spread over the crop, corners included, in between bicubic.
    """

    size: tuple[int, int]
    matrix: np.ndarray
    offset: np.ndarray
    grids: tuple[np.ndarray, ...] = ()

    @classmethod
    def still(cls, size: tuple[int, int]) -> Warp:
        """The warp that leaves every pixel where it is."""
        return cls(size, np.eye(2), np.zeros(2))

    def turned(self, matrix: np.ndarray) -> Warp:
        """This warp, then its places times `matrix` (2, 2)."""
        grids = tuple(np.einsum("ab,brc->arc", matrix, grid) for grid in self.grids)
        return replace(self, matrix=_product(matrix, self.matrix), offset=_product(matrix, self.offset), grids=grids)

    def moved(self, by: np.ndarray) -> Warp:
        """This warp, then its places moved `by` (2,), pixels."""
        return replace(self, offset=self.offset + by)

    def bent(self, grid: np.ndarray) -> Warp:
        """This warp, then its places moved by the displacements `grid` (2, n, m)."""
        return replace(self, grids=(*self.grids, grid))

    def places(self) -> np.ndarray:
        """The places of all pixels, (2, H, W) float32: rows, then columns; exact where they are whole."""
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
        # No matrix product: even a small one wakes a thread of BLAS, which keeps a core spinning that training needs.
        left = np.array(down, np.float32).T.copy()
        found = np.empty((2, *self.size), np.float32)
        for axis, parts in enumerate(across):
            np.einsum("hn,nw->hw", left, np.array(parts, np.float32), out=found[axis])
        return found

    def look_up(self, pixels: np.ndarray, method: int, border: int, outside: int = 0) -> np.ndarray:
        """What lies at the places in `pixels`, whose first pixel is at (0, 0), as OpenCV's remap finds it.

        Args:
          pixels: (H, W) int32, whose type stays, or (H, W, C) of any type, which become float32.
          method: OpenCV's interpolation.
          border: OpenCV's border.
          outside: what lies beyond, where the border is constant.
        """
        kind = np.float32 if pixels.ndim == 3 else np.int32
        if self._whole is not None:
            found = _cut(pixels, self._whole, self.size, border, outside).astype(kind)
        else:
            rows, columns = self._places
            source: np.ndarray = pixels.astype(kind, copy=False)
            found = cv2.remap(source, columns, rows, method, borderMode=border, borderValue=(outside,) * 4)
        return found.reshape(*self.size, *pixels.shape[2:])

    @functools.cached_property
    def _places(self) -> np.ndarray:
        return self.places()

    @functools.cached_property
    def _whole(self) -> tuple[tuple[int, bool], ...] | None:
        """Along each axis where the crop begins and whether it is mirrored, or None unless all pixels meet pixels."""
        if self.grids or not np.array_equal(np.abs(self.matrix), np.eye(2)):
            return None
        starts = self.offset - (np.array(self.size) - 1) / 2
        if not np.array_equal(starts, np.round(starts)):
            return None
        return tuple((int(start), bool(sign < 0)) for start, sign in zip(starts, np.diag(self.matrix), strict=True))


def _cut(
    pixels: np.ndarray, axes: tuple[tuple[int, bool], ...], size: tuple[int, int], border: int, outside: int
) -> np.ndarray:
    """The part of `pixels` that begins at `axes` and is of `size`, mirrored along the axes that say so."""
    (top, upturned), (left, turned) = axes
    above, ahead = max(0, -top), max(0, -left)
    below, behind = max(0, top + size[0] - pixels.shape[0]), max(0, left + size[1] - pixels.shape[1])
    if above or ahead or below or behind:
        pixels = cv2.copyMakeBorder(pixels, above, below, ahead, behind, border, value=(outside,) * 4)
    part = pixels[top + above :, left + ahead :][: size[0], : size[1]]
    if upturned or turned:
        part = cv2.flip(part, {(True, True): -1, (True, False): 0, (False, True): 1}[upturned, turned])
    return part


@functools.lru_cache(maxsize=16)
def cubic_weights(size: int, count: int) -> np.ndarray:
    """The matrix (size, count) that interpolates `count` values, the first and last at the ends, to `size` pixels.

    Cubic convolution with a = -1/2; beyond the ends the last value goes on.

    Source: Keys, "Cubic convolution interpolation for digital image processing" (1981).
    """
    place = np.linspace(0, count - 1, size)
    first = np.floor(place).astype(int)
    weights = np.zeros((size, count))
    for neighbour in (-1, 0, 1, 2):
        distance = np.abs(place - (first + neighbour))
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        value = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        np.add.at(weights, (np.arange(size), (first + neighbour).clip(0, count - 1)), value)
    weights.flags.writeable = False  # it is kept
    return weights


def _product(matrix: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.einsum("ab,b...->a...", matrix, other)
