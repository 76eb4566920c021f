"""Reads some rows of a TIFF's directory, and decodes no more strips or tiles than hold them."""

from __future__ import annotations

import math

import numpy as np
import tifffile

_LARGEST_SEGMENT = (
    1 << 28
)  # bytes of a strip or tile, decoded; a larger one would not be much less than the whole image
_JPEG = (6, 7, 34892, 33007)


def why_whole(page: tifffile.TiffPage) -> str:
    """Why a directory can't be read by rows, as the end of a sentence; "" where it can."""
    if page.is_stk or page.is_lsm or page.jpegheader is not None or page.dtype is None:
        return "its format keeps it in one piece"
    if _is_plain(page):
        return ""
    if page.is_contiguous and page.fillorder != 1:
        return "its bits are in reverse order"
    height, width = _segment(page)
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    size = height * width * samples * page.dtype.itemsize
    if size > _LARGEST_SEGMENT:
        return f"it is compressed in pieces of {size / 1e6:,.0f} MB"
    return ""


def decoded_rows(page: tifffile.TiffPage, first: int, stop: int) -> np.ndarray:
    """The rows first..stop-1 of a directory, the same as those of `page.asarray()`: (n, W), (n, W, C) or (C, n, W)."""
    assert page.dtype is not None
    planes, _, height, width, samples = page.shaped
    rows = np.empty((planes, stop - first, width, samples), page.dtype)
    for plane in range(planes):
        if _is_plain(page):
            start = (plane * height + first) * width * samples
            stored = page.dtype.newbyteorder(page.parent.byteorder)
            count, offset = (stop - first) * width * samples, page.dataoffsets[0] + start * page.dtype.itemsize
            rows[plane] = page.parent.filehandle.read_array(stored, count, offset).reshape(rows[plane].shape)
        else:
            _decode_into(rows[plane], page, plane, first)
    return rows.reshape((planes, -1, width) if page.planarconfig == 2 and planes > 1 else (-1, *page.shape[1:]))


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Whether the numbers lie in the file row after row, uncompressed."""
    return page.is_contiguous and page.fillorder == 1 and page.predictor == 1


def _segment(page: tifffile.TiffPage) -> tuple[int, int]:
    """Height and width of a strip or tile."""
    return (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)


def _decode_into(rows: np.ndarray, page: tifffile.TiffPage, plane: int, first: int) -> None:
    """Fills `rows` (n, W, C), which begin with row `first` of a plane, from the strips or tiles that hold them."""
    each, wide = _segment(page)
    down, across = math.ceil(page.imagelength / each), math.ceil(page.imagewidth / wide)
    begin = plane * down * across
    chosen = range(begin + first // each * across, begin + math.ceil((first + len(rows)) / each) * across)
    tables = {"jpegtables": page.jpegtables, "jpegheader": None} if page.compression in _JPEG else {}
    segments = page.parent.filehandle.read_segments(
        [page.dataoffsets[index] for index in chosen],
        [page.databytecounts[index] for index in chosen],
        indices=chosen,
        length=len(chosen),
    )
    for data, index in segments:
        found, (_, _, top, left, _), (_, tall, broad, _) = page.decode(data, index, **tables)
        top -= first
        above, below = max(top, 0), min(top + tall, len(rows))
        target = rows[above:below, left : left + broad]
        target[...] = page.nodata if found is None else found[0, above - top : below - top, : target.shape[1]]
