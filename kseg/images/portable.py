"""Reads the plain formats: PGM and PPM (P2, P3, P5, P6), their float form PFM (Pf, PF), and Radiance's HDR.

Their numbers are given as stored, whatever the white is that the file names.

Source: https://netpbm.sourceforge.net/doc/pgm.html, ppm.html and pfm.html; Ward, Graphics Gems II (1991).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np

from kseg.images.arrays import check_extent

_SPACE = rb"(?:\s|#[^\n]*\n)+"
_NETPBM = re.compile(rb"P([2356Ff])" + rb"(\d+)".join([_SPACE] * 3) + rb"(-?[\d.]+)\s")
_HDR = re.compile(rb"#\?(?:RADIANCE|RGBE)\n.*?\n\n-Y (\d+) \+X (\d+)\n", re.DOTALL)
_LONGEST_HEAD = 4096


class Head(NamedTuple):
    """What a file says before its numbers: kind, (H, W, C), white, and the length of this head in bytes.

    The sign of a PFM's white tells the order of its bytes.
    """

    kind: str
    shape: tuple[int, int, int]
    white: float
    length: int


def read_head(path: Path) -> Head | None:
    """The head of the file; None where it is of another format."""
    with open(path, "rb") as file:
        data = file.read(_LONGEST_HEAD)
    if found := _HDR.match(data):
        return Head("hdr", (int(found[1]), int(found[2]), 3), 1.0, found.end())
    if found := _NETPBM.match(data):
        kind, channels = found[1].decode(), 3 if found[1] in b"36F" else 1
        return Head(kind, (int(found[3]), int(found[2]), channels), float(found[4]), found.end())
    return None


def read_portable(path: Path, head: Head) -> np.ndarray:
    """The numbers, (H, W, C) uint8, uint16 or float32.

    Raises:
      DataError: the image is too large.
      ValueError: there are fewer numbers than the head says, or one is above its white.
    """
    check_extent(path, head.shape)
    data = path.read_bytes()
    if head.kind == "hdr":
        return imagecodecs.rgbe_decode(data).reshape(head.shape)
    count = head.shape[0] * head.shape[1] * head.shape[2]
    if head.kind in "fF":
        values = np.frombuffer(data, "<f4" if head.white < 0 else ">f4", count, head.length)
        return values.reshape(head.shape)[::-1]  # the lowest row is first
    if not 1 <= head.white <= 65535:
        raise ValueError(f"its white is {head.white:g}")
    kind = np.dtype(">u2" if head.white > 255 else "u1")
    if head.kind in "23":
        values = np.array(re.sub(rb"#[^\n]*", b"", data[head.length :]).split()[:count], np.int64)
    else:
        values = np.frombuffer(data, kind, count, head.length)
    if values.size and not 0 <= values.min() <= values.max() <= head.white:
        raise ValueError(f"a value of {values.max()} above its white, {head.white:g}")
    return values.astype(kind).reshape(head.shape)
