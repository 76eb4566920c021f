"""The directories of a TIFF: checks that all are in the file, and tells images from overviews and masks."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile

# Bytes of one value of each TIFF type; there are no types 0, 14 and 15.
_WIDTHS = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8, 0])
_SUBFILE, _OLD_SUBFILE = 254, 255
_OVERVIEW, _MASK = 1, 4  # bits of NewSubfileType
_OLD_OVERVIEW = 2


def image_directories(path: Path) -> tuple[int, ...]:
    """The numbers of the directories that are images: those that NewSubfileType calls neither overview nor mask.

    Where it calls all of them overview or mask, all are images.

    Raises:
      TiffFileError: the file is no TIFF.
      ValueError: a directory or its values lie outside the file. tifffile would stop there and report nothing.
    """
    size = path.stat().st_size
    images: list[int] = []
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
            file.seek(offset)
            (count,) = struct.unpack(counter, file.read(struct.calcsize(counter)))
            if count * entry.itemsize > size:
                raise ValueError(f"page {len(seen)} is not whole")
            tags = np.frombuffer(file.read(count * entry.itemsize), entry, count)
            (offset_of_next,) = pointer.unpack(file.read(pointer.size))
            wide = _WIDTHS[tags["type"].clip(max=len(_WIDTHS) - 1)]
            length = tags["count"].astype(np.float64) * wide
            if ((length > pointer.size) & (tags["value"] + length > size)).any():
                raise ValueError(f"page {len(seen)} is not whole")
            kind, old = (_inline(tags, wide, tag, pointer.size, order) for tag in (_SUBFILE, _OLD_SUBFILE))
            if not kind & (_OVERVIEW | _MASK) and old != _OLD_OVERVIEW:
                images.append(len(seen))
            seen.add(offset)
            offset = offset_of_next
    return tuple(images or range(len(seen)))


def _inline(tags: np.ndarray, wide: np.ndarray, tag: int, size: int, order: str) -> int:
    """The single value of a tag that is stored in the directory itself; 0 where there is no such tag."""
    found = np.flatnonzero((tags["tag"] == tag) & (tags["count"] == 1) & (wide > 0))
    if not found.size:
        return 0
    value, bits = int(tags["value"][found[0]]), 8 * min(int(wide[found[0]]), size)
    return value >> (8 * size - bits) if order == ">" else value & ((1 << bits) - 1)


_reading = threading.local()


def _is_not_ours(record: logging.LogRecord) -> bool:
    return not getattr(_reading, "on", False)


@contextmanager
def opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Opens the file with tifffile, and no other file that its text names.

    tifffile would log the same complaint at each read. In this thread it does not, since kseg reports it once itself.
    """
    logging.getLogger("tifffile").addFilter(_is_not_ours)  # adding it again changes nothing
    before, _reading.on = getattr(_reading, "on", False), True
    try:
        with tifffile.TiffFile(path, _multifile=False) as file:
            yield file
    finally:
        _reading.on = before
