"""Reads what a file of a person's data holds; where it can't be read, its error is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from kseg.datasets.contract import VOID
from kseg.datasets.labels.colours import Colour, ColourTable, codes_of, colour_of
from kseg.datasets.labels.label_files import pages_of, read_stored
from kseg.datasets.labels.smoothed import counts_of, flat_counts
from kseg.datasets.own.opening import Opening
from kseg.errors import DataError, KsegError
from kseg.images import NO_CLASS, ColouredLabel, LossyLabel, open_pages
from kseg.instances import count_numbered
from kseg.log import progress_bar

MOST_COLOURS = 1 << 16
Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ImagePage:
    """One page of an image.

    Attributes:
      shape: (H, W, C) as it is seen.
      kind: its type.
      digest: of its pixels.
      grey: whether all channels are equal.
      darkest, brightest: its smallest and largest level.
    """

    shape: tuple[int, ...]
    kind: str
    digest: bytes
    grey: bool
    darkest: float
    brightest: float

    @property
    def channels(self) -> int:
        """The number of channels; 1 where all are equal."""
        return 1 if self.grey else self.shape[2]


@dataclass(frozen=True)
class LabelPage:
    """One page of a label.

    Attributes:
      shape: (H, W).
      form: numbers, colours, or lossy: compressed with loss.
      digest: of its pixels.
      counts: pixels by number; of a lossy grey page by grey level.
      first: row and column of each number's first pixel.
      objects: as `kseg.instances.count_numbered` counts them.
      colours: pixels by colour; None where there are more than 2^16.
      flat: of numbers up to 255 and of colours, the pixels amid 3 x 3 equal ones (`flat_counts`).
    """

    shape: tuple[int, ...]
    form: Literal["numbers", "colours", "lossy"]
    digest: bytes
    counts: Mapping[int, int] = field(default_factory=dict)
    first: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    objects: int = 0
    colours: Mapping[Colour, int] | None = None
    flat: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageContent:
    """An image file: its pages or the error of reading them, its orientation tag, its number for no data."""

    pages: tuple[ImagePage, ...] = ()
    orientation: int = 1
    trouble: KsegError | None = None
    no_data: float | None = None


@dataclass(frozen=True)
class LabelContent:
    """A label file: its pages or the error of reading them."""

    pages: tuple[LabelPage, ...] = ()
    trouble: KsegError | None = None


def for_each(function: Callable[[Work], Result], work: Sequence[Work], label: str) -> list[Result]:
    """The results of `function` for each piece of work. It runs in several threads, as decoders allow, with a bar."""
    with ThreadPoolExecutor() as pool, progress_bar(label, work=pool.map(function, work), length=len(work)) as bar:
        return list(bar)


def image_content(path: Path, opening: Opening) -> ImageContent:
    """Reads the whole image."""
    try:
        pages = opening.pages(path)
        pages_seen = tuple(_image_page(pages[number]) for number in range(len(pages)))
        return ImageContent(pages_seen, pages.orientation, no_data=pages.no_data)
    except KsegError as error:
        return ImageContent(trouble=error)


def label_content(path: Path, table: ColourTable | None = None, void: int = VOID) -> LabelContent:
    """Reads the whole label; the arguments are those of `read_stored`."""
    try:
        return LabelContent(tuple(_label_page(path, number, table, void) for number in range(pages_of(path))))
    except KsegError as error:
        return LabelContent(trouble=error)


def _image_page(array: np.ndarray) -> ImagePage:
    grey = array.shape[2] == 1 or array.shape[2] == 3 and bool((array == array[..., :1]).all())
    levels = float(array.min()), float(array.max())
    return ImagePage(array.shape, str(array.dtype), digest_of(array), grey, *levels)


def _label_page(path: Path, number: int, table: ColourTable | None, void: int) -> LabelPage:
    try:
        return _numbers(read_stored(path, number, table, void))
    except (LossyLabel, ColouredLabel) as error:
        try:
            array = open_pages(path)[number]
        except DataError:
            raise error from None
        if array.dtype != np.uint8 or array.shape[2] not in (1, 3):
            raise
        if isinstance(error, LossyLabel):
            return _lossy(array)
        codes = codes_of(np.repeat(array, 4 - array.shape[2], axis=2)[..., :3])
        return LabelPage(array.shape[:2], "colours", digest_of(array), colours=_colours(codes), flat=flat_counts(codes))


def _numbers(label: np.ndarray) -> LabelPage:
    flat = label.ravel()
    if flat.min() < 0 or flat.max() >= 1 << 16:
        values, firsts, counts = np.unique(flat, return_index=True, return_counts=True)
    else:
        counts = np.bincount(flat)
        values = np.flatnonzero(counts)
        counts = counts[values]
        at = np.zeros(values[-1] + 1, np.int64)
        at[flat[::-1]] = np.arange(flat.size - 1, -1, -1)  # the last of equal indices wins, which is the first pixel
        firsts = at[values]
    rows, columns = np.unravel_index(firsts, label.shape)
    keys = values.tolist()
    first = dict(zip(keys, zip(rows.tolist(), columns.tolist(), strict=True), strict=True))
    pixels, objects = dict(zip(keys, counts.tolist(), strict=True)), count_numbered(label, keys)
    pixels.pop(NO_CLASS, None)  # GDAL's tag says that it is void
    drawn = flat_counts(label) if keys[0] >= 0 and keys[-1] <= VOID else {}
    return LabelPage(label.shape, "numbers", digest_of(label), pixels, first, objects, flat=drawn)


def _lossy(array: np.ndarray) -> LabelPage:
    is_grey = (array == array[..., :1]).all()
    return LabelPage(array.shape[:2], "lossy", digest_of(array), counts_of(array[..., 0]) if is_grey else {})


def _colours(codes: np.ndarray) -> dict[Colour, int] | None:
    counts = counts_of(codes)
    return None if len(counts) > MOST_COLOURS else {colour_of(code): count for code, count in counts.items()}


def digest_of(array: np.ndarray) -> bytes:
    """A digest of the shape, the type and the numbers of an array."""
    head = f"{array.shape} {array.dtype}".encode()
    return hashlib.blake2b(head + np.ascontiguousarray(array).tobytes(), digest_size=16).digest()
