"""TIFF, page by page, through tifffile; what that would cut short or read on the quiet is refused."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import tifffile

from kseg.errors import DataError
from kseg.images.arrays import check_extent, opaque, plain, transparent, turned

# TIFF compressions that give back what was put in: none, CCITT, LZW, deflate, PackBits, LZMA, Zstandard.
_EXACT = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}
# Bytes of one value of each TIFF type (0 and 14, 15: none).
_WIDTHS = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8, 0])


def open_tiff(path: Path) -> tuple[tuple[int, int, int, int], bool]:
    """(pages, H, W, C) as stored, and whether a channel stands behind the other rather than within each pixel."""
    _check_whole(path)
    with tifffile.TiffFile(path) as file:
        count = len(file.pages)
        page = file.pages.first
        shape = page.shape
        slices = int((file.imagej_metadata or {}).get("images", 1)) if count == 1 else count
        if len(shape) not in (2, 3) or page.imagedepth != 1 or slices != count:
            raise DataError(
                f"{path}: {slices} slices in a TIFF page of {len(shape)} dimensions. "
                "Save it as a stack of two-dimensional pages."
            )
        planes = len(shape) == 3 and page.planarconfig == 2
        height, width, channels = (*shape[1:], shape[0]) if planes else (*shape, 1)[:3]
        # YCbCr is turned to RGB by the JPEG decoder alone
        if page.photometric not in (0, 1, 2, 3) and not (page.photometric == 6 and page.compression == 7):
            model = getattr(page.photometric, "name", page.photometric)
            raise DataError(f"{path}: a TIFF of colour model {model}. Convert it to grey or RGB.")
    check_extent(path, shape)
    return (count, height, width, channels), planes


def _check_whole(path: Path) -> None:
    """Raises ValueError unless every page's directory lies in the file: tifffile stops at the first that does not."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(16)
        if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise tifffile.TiffFileError("no TIFF")
        order, big = ("<" if head[:2] == b"II" else ">"), b"+" in head[2:4]
        counter, word = (order + "Q", order + "u8") if big else (order + "H", order + "u4")
        pointer = struct.Struct(order + ("Q" if big else "I"))
        entry = np.dtype([("tag", order + "u2"), ("type", order + "u2"), ("count", word), ("value", word)])
        (offset,) = pointer.unpack_from(head, 8 if big else 4)
        seen: set[int] = set()
        while offset:
            if offset in seen or offset >= size:
                raise ValueError(f"page {len(seen)} is not in the file")
            seen.add(offset)
            file.seek(offset)
            (count,) = struct.unpack(counter, file.read(struct.calcsize(counter)))
            if count * entry.itemsize > size:
                raise ValueError(f"page {len(seen) - 1} is not whole")
            tags = np.frombuffer(file.read(count * entry.itemsize), entry, count)
            (offset,) = pointer.unpack(file.read(pointer.size))
            wide = _WIDTHS[tags["type"].clip(max=len(_WIDTHS) - 1)]
            length = tags["count"].astype(np.float64) * wide
            if ((length > pointer.size) & (tags["value"] + length > size)).any():
                raise ValueError(f"page {len(seen) - 1} is not whole")


def read_tiff(path: Path, number: int, planes: bool, *, as_stored: bool = False) -> np.ndarray:
    """Page `number`: as it is seen, or (a label) with the numbers that the file stores."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[number].aspage()
        check_extent(path, page.shape)
        ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if len(ends) != math.prod(page.chunked) or max(ends) > path.stat().st_size:
            raise ValueError(f"the pixels of page {number} are not all in the file")
        if as_stored and page.compression not in _EXACT:
            model = getattr(page.compression, "name", page.compression)
            raise DataError(
                f"{path}: a label compressed as {model}, which may blur class numbers. Export it again without."
            )
        array = page.asarray()
        if array.shape != page.shape:  # empty, where tifffile does not know the type
            raise ValueError(f"page {number} has values of an unknown type")
        if page.photometric == 0 and not as_stored:
            if array.dtype.kind not in "bu":
                raise DataError(f"{path}: inverted grey levels of type {array.dtype}. Save it with black as 0.")
            array = ~array if array.dtype == np.bool_ else (1 << page.bitspersample) - 1 - array
        if page.photometric == 3 and page.colormap is not None and not as_stored:
            array = (np.moveaxis(page.colormap, 0, -1)[array] >> 8).astype(np.uint8)
        turn = page.tags.valueof(274, 1)
        alpha = page.extrasamples[-1:] in ((1,), (2,))
        perhaps = page.photometric == 2 and page.samplesperpixel == 4  # some writers don't say what the fourth is
    if planes:
        array = np.moveaxis(array, 0, -1)
    array = turned(plain(array if array.ndim == 3 else array[..., None], path), turn)
    return opaque(array, path) if alpha or perhaps and not transparent(array).any() else array
