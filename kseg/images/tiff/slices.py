"""Reads a TIFF slice by slice with tifffile, and refuses files that tifffile would read only in part."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile

from kseg.errors import DataError
from kseg.images.arrays import check_extent, opaque, plain, transparent, turned
from kseg.images.errors import LossyLabel
from kseg.images.tiff.axes import arrange, one_by_one
from kseg.images.tiff.descriptions import read_descriptions
from kseg.images.tiff.directories import image_directories, opened
from kseg.images.tiff.nodata import without_data
from kseg.images.tiff.origin import Origin, no_data_of, origin_of
from kseg.images.tiff.rows import decoded_rows, why_whole

# TIFF compressions without loss: none, CCITT, LZW, deflate, PackBits, LZMA, Zstandard.
_EXACT = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}


@dataclass(frozen=True)
class Tiff:
    """What a TIFF holds.

    Attributes:
      shape: (slices, H, W, C) as stored.
      planes: whether the channels are stored as planes, rather than within each pixel.
      slices: for each slice the directories that hold its channels.
      is_stated: whether the file or a person says that these are slices.
      has_alpha: whether the last channel is called alpha.
      no_data: the number that means no data.
      origin: the size of its pixels, their position on earth, and their orientation.
      value_bytes: of each number, as stored.
    """

    shape: tuple[int, int, int, int]
    planes: bool
    slices: tuple[tuple[int, ...], ...]
    is_stated: bool = False
    has_alpha: bool = False
    no_data: float | None = None
    origin: Origin = field(default_factory=Origin)
    value_bytes: int = 1


def open_tiff(path: Path, axes: str | None = None, *, label: bool = False, by_rows: bool = False) -> Tiff:
    """What the file holds; no pixel is decoded.

    Args:
      path: the file.
      axes: as `arrange` takes them.
      label: whether every directory is a slice of its own. A label has one number per pixel, and no channels.
      by_rows: whether it will be read by rows, so that its pages may be larger than those that are read whole.

    Raises:
      DataError: it is of a kind that is not read, or what it says about its channels is wrong.
      ValueError: it is damaged.
    """
    directories = image_directories(path)
    with opened(path) as file:
        page = file.pages[directories[0]].aspage()
        shape, text = page.shape, read_descriptions([_text(tag.value) for tag in page.tags.getall(270) or ()])
        slices = max(len(directories), text.pages_of(shape)) if len(directories) == 1 else len(directories)
        if len(shape) not in (2, 3) or page.imagedepth != 1 or slices != len(directories):
            what = f"{path}: {slices} slices in a TIFF page of {len(shape)} dimensions."
            raise DataError(what, "Save it as a stack of two-dimensional pages.")
        planes = len(shape) == 3 and page.planarconfig == 2
        height, width, samples = (*shape[1:], shape[0]) if planes else (*shape, 1)[:3]
        # Only the JPEG decoder turns YCbCr into RGB.
        if page.photometric not in (0, 1, 2, 3) and not (page.photometric == 6 and page.compression == 7):
            model = getattr(page.photometric, "name", page.photometric)
            raise DataError(f"{path}: a TIFF of colour model {model}.", "Convert it to grey or RGB.")
        if label and text.order is None:
            found = one_by_one(directories)
        else:
            found = arrange(path, text, directories, "YX" if len(shape) == 2 else "SYX" if planes else "YXS", axes)
        if label:
            found = one_by_one([number for part in found.slices for number in part])
        each = len(found.slices[0])
        if not by_rows:
            check_extent(path, shape if each == 1 else (*shape, each))
        return Tiff(
            (len(found.slices), height, width, samples * each),
            planes,
            found.slices,
            found.is_stated,
            page.extrasamples[-1:] in ((1,), (2,)) and each == 1,
            no_data_of(page),
            origin_of(page, text, found.sizes),
            page.dtype.itemsize if page.dtype else 1,
        )


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_slice(
    path: Path, tiff: Tiff, number: int, *, alpha: bool = False, rows: range | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Slice `number` as it is seen, (H, W, C), and its pixels without data, (H, W) bool, or None where all have data.

    Args:
      path: the file.
      tiff: what it holds.
      number: of the slice.
      alpha: whether a channel called alpha is one like the others.
      rows: the rows to read; None for all. Not all files can be read so (`why_whole_slices`).
    """
    check_extent(path, tiff.shape[1:] if rows is None else (len(rows), *tiff.shape[2:]))
    with opened(path) as file:
        pages = [file.pages[directory].aspage() for directory in tiff.slices[number]]
        stored = [
            _decoded(path, page, directory, tiff.planes, rows)
            for directory, page in zip(tiff.slices[number], pages, strict=True)
        ]
        if len({array.shape for array in stored}) > 1:
            raise DataError(f"{path}: its channels differ in size.", "Save each file's channels at one size.")
        missing = without_data(np.concatenate(stored, axis=-1), tiff.no_data) if tiff.no_data is not None else None
        if missing is not None:
            stored = [np.where(missing[..., None], array.dtype.type(0), array) for array in stored]
        seen = [_seen(path, page, array) for page, array in zip(pages, stored, strict=True)]
        perhaps = len(pages) == 1 and _may_be_alpha(pages[0])
    together = seen[0] if len(seen) == 1 else np.concatenate(seen, axis=-1)
    array = turned(plain(together, path, rows.start if rows else 0), tiff.origin.orientation)
    missing = None if missing is None else turned(missing, tiff.origin.orientation)
    is_alpha = tiff.has_alpha or perhaps and not transparent(array).any()
    return (opaque(array, path) if is_alpha and not alpha else array), missing


def why_whole_slices(path: Path, tiff: Tiff, *, alpha: bool = False) -> str:
    """Why the slices of a file can't be read by rows, as the end of a sentence; "" where they can."""
    if tiff.origin.orientation != 1:
        return "its orientation tag turns it"
    with opened(path) as file:
        pages = [file.pages[directory].aspage() for part in tiff.slices for directory in part]
        if len(tiff.slices) == len(pages) and not (tiff.has_alpha or alpha) and any(map(_may_be_alpha, pages)):
            return "it does not say whether its fourth channel is alpha"
        if len({page.shape for page in pages}) > 1:
            return "its pages differ in size"
        return next(filter(None, map(why_whole, pages)), "")


def read_numbers(path: Path, tiff: Tiff, number: int) -> np.ndarray:
    """The stored numbers of a label's page, turned as its tag says: (H, W, C) of any type."""
    with opened(path) as file:
        (directory,) = tiff.slices[number]
        page = file.pages[directory].aspage()
        if page.compression not in _EXACT:
            model = getattr(page.compression, "name", page.compression)
            what = f"{path}: a label compressed as {model}, which may blur class numbers."
            raise LossyLabel(what, "Export it again without.")
        return turned(_decoded(path, page, directory, tiff.planes), tiff.origin.orientation)


def _may_be_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the fourth channel may be alpha: some writers don't say what it is."""
    return page.photometric == 2 and page.samplesperpixel == 4


def _decoded(
    path: Path, page: tifffile.TiffPage, directory: int, planes: bool, rows: range | None = None
) -> np.ndarray:
    """The stored numbers of one directory, (H, W, C), or of some of its rows."""
    if rows is None:
        check_extent(path, page.shape)
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(ends) != math.prod(page.chunked) or max(ends) > path.stat().st_size:
        raise ValueError(f"the pixels of page {directory} are not all in the file")
    if rows is not None:
        array = decoded_rows(page, rows.start, rows.stop)
    elif (array := page.asarray()).shape != page.shape:  # empty, where tifffile does not know the type
        raise ValueError(f"page {directory} has values of an unknown type")
    if array.ndim == 2:
        return array[..., None]
    return np.moveaxis(array, 0, -1) if planes else array


def _seen(path: Path, page: tifffile.TiffPage, array: np.ndarray) -> np.ndarray:
    """Stored numbers (H, W, C) as they are seen: black becomes 0, a palette's index its colour."""
    if page.photometric == 0:
        if array.dtype.kind not in "bu":
            raise DataError(f"{path}: inverted grey levels of type {array.dtype}.", "Save it with black as 0.")
        return ~array if array.dtype == np.bool_ else (1 << page.bitspersample) - 1 - array
    if page.photometric == 3 and page.colormap is not None:
        return (np.moveaxis(page.colormap, 0, -1)[array[..., 0]] >> 8).astype(np.uint8)
    return array
