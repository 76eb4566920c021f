"""Images too large for memory: whether they can be predicted by parts, and their rows as a network takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from kseg.device import memory_bytes
from kseg.errors import DataError
from kseg.images import LARGEST_PAGE, Pages, with_channels
from kseg.inference.files.results import Extras
from kseg.inference.predictor import Predictor
from kseg.layers import Average

WHOLE_BYTES = 1 << 28  # an image that takes more with its maps is read by rows, where that is possible


Way = Literal["ahead", "whole", "rows"]


def way_of(network: Predictor, pages: Mapping[str, Pages], extras: Extras, average: Average | None) -> Way:
    """How a file is read: its pages ahead of their use; or, since they are large, one whole page at a time, or by rows.

    Args:
      network, extras, average: what computes, and what is asked for.
      pages: the file of each stream.

    Raises:
      DataError: it does not fit into this machine's memory, and something needs the whole image.
    """
    shown = next(iter(pages.values()))
    least = math.prod(shown.shape[1:3]) * _bytes_per_pixel(network, pages, extras, average)
    if least <= WHOLE_BYTES:
        return "ahead"
    why = _why_whole(network, pages, extras, average)
    if not why:
        return "rows"
    size, there = f"{shown.path}: {' x '.join(map(str, shown.shape[1:]))} values", memory_bytes()
    if math.prod(shown.shape[1:]) > LARGEST_PAGE:
        raise DataError(
            f"{size}, and the image can't be predicted by parts, since {why}. Up to 2^30 values are read at once.",
            "Cut it into pieces.",
        )
    if there is not None and least > there:
        raise DataError(
            f"{size}, and the image can't be predicted by parts, since {why}. As a whole it takes at least "
            f"{least / 1e9:,.1f} GB of memory, but this machine has {there / 1e9:,.1f} GB.",
            "Cut it into pieces.",
        )
    return "whole"


def _why_whole(network: Predictor, pages: Mapping[str, Pages], extras: Extras, average: Average | None) -> str:
    """What needs the whole image, as the end of a sentence; "" if nothing does."""
    if len(pages) > 1:
        return "the network has several streams"
    if network.outer_average(average) != "none":
        return "an average needs the scores of the whole"
    if extras.has_objects:
        return "an object may reach across the whole"
    if extras.with_overlay:
        return "an overlay shows the whole"
    if network.geometry.margin is None:
        return "this network needs the whole"
    return next(iter(pages.values())).why_whole


def _bytes_per_pixel(network: Predictor, pages: Mapping[str, Pages], extras: Extras, average: Average | None) -> int:
    """The least memory that a pixel takes where the whole image is predicted at once."""
    least = sum(each.shape[3] * (each.tiff.value_bytes if each.tiff else 1) for each in pages.values())
    for classes in network.heads.values():
        least += 1 + 4 * len(extras.classes_shown(classes)) + 9 * extras.has_objects + 3 * extras.with_overlay
    return least + (4 * network.classes if network.outer_average(average) != "none" else 0)


class Rows:
    """A slice whose rows are read as `predict_bands` asks for them.

    Attributes:
      shape: (H, W, C) as the network takes it.
    """

    def __init__(self, network: Predictor, pages: Pages, page: int) -> None:
        self.shape = (*pages.shape[1:3], network.channels)
        self._network, self._pages, self._page = network, pages, page
        self._first = self._stop = 0
        self._rows, self._gaps = np.empty((0, *self.shape[1:])), np.empty((0, self.shape[1]), bool)
        self._brightest = 0.0

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of these numbers, (n, W, C). Rows that were read for the call before are not read again."""
        first, stop = int(numbers.min()), int(numbers.max()) + 1
        if not self._first <= first <= self._stop:
            self._first = self._stop = first
        rows, gaps = self._read(range(self._stop, stop)) if stop > self._stop else (self._rows[:0], self._gaps[:0])
        kept = slice(first - self._first, self._stop - self._first)
        if kept.start < kept.stop:
            rows, gaps = np.concatenate([self._rows[kept], rows]), np.concatenate([self._gaps[kept], gaps])
        self._rows, self._gaps, self._first, self._stop = rows, gaps, first, max(stop, self._stop)
        return rows[numbers - first]

    def gaps(self, rows: slice) -> np.ndarray | None:
        """The pixels without data, (n, W) bool, of rows that were read last; None if all have data."""
        found = self._gaps[rows.start - self._first : rows.stop - self._first]
        return found if found.any() else None

    def check_depth(self) -> None:
        """Warns if an image of fractions is dark throughout, which only shows when all rows are read."""
        if self._brightest:
            dark = np.full((1, 1, self.shape[2]), self._brightest, np.float32)
            self._network.image_of(dark, str(self._pages.path))

    def _read(self, rows: range) -> tuple[np.ndarray, np.ndarray]:
        """Rows as the network takes them, (n, W, C), and which of their pixels have no data, (n, W)."""
        name = str(self._pages.path)
        array, missing = self._pages.read_rows(self._page, rows)
        gaps = np.zeros(array.shape[:2], bool) if missing is None else missing
        if array.dtype.kind == "f":
            self._brightest = max(self._brightest, float(array.max()))
            if self._brightest <= 1:
                return with_channels(array, self.shape[2], name), gaps
        return self._network.image_of(array, name), gaps
