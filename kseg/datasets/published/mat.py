"""Reads the whole numbers of a variable in a MATLAB file of version 5 to 7; several published sets have such labels.

    128 bytes           text, a version, and "IM" or "MI": whether the lowest or the highest byte of a number is first
    element             its type and its number of bytes, 4 bytes each, then its bytes, padded to 8; an element of at
                        most 4 bytes takes 8 bytes in all
      of type 15        further elements, deflated; not padded
      of type 14        an array: elements with its flags, dimensions and name, then its numbers. A struct has in their
                        place the length of its members' names, the names, and an array for each member

SciPy reads more than this, but version 1.17 crashes on damaged files (on unknown types of numbers).

Source: MathWorks, MAT-File Format, "Level 5 MAT-File Format".
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kseg.datasets.text_files import opened
from kseg.errors import DataError, in_a_line

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
ARRAY, DEFLATED = 14, 15
STRUCT, NUMERIC = 2, range(6, 16)
COMPLEX = 0x800
LARGEST = 1 << 28  # bytes of one variable
_LATER = (b"\0\2IM", b"\2\0MI")  # version 7.3, which is HDF5


def read_mat(path: Path, variable: str, member: str | None = None) -> np.ndarray:
    """A variable of a MATLAB file, or a member of a variable that is a struct, as int32 in its shape.

    Raises:
      DataError: the file is missing, damaged or of version 7.3, has no such variable, or has no whole numbers in it.
      EnvironmentFailure: there is no permission, or the disk fails.
    """
    with opened(path) as file:
        data = file.read()
    if data[124:128] in _LATER or data[:4] == b"\x89HDF":
        raise DataError(f"{path}: MATLAB's version 7.3, where 5 was published.", "Take the published file.")
    try:
        order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
        if order is None:
            raise ValueError("its header is not that of version 5 to 7")
        found = next((array for array in _variables(memoryview(data)[128:], order) if array.name == variable), None)
        if found is not None and member is not None:
            found = _member(found, member)
        if found is not None:
            return _whole_numbers(found)
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: no MATLAB file, or a damaged one ({in_a_line(error)}).", "Copy it again.") from error
    wanted = variable if member is None else f"{variable}.{member}"
    raise DataError(f"{path}: there is no variable {wanted} in it.", "Is this the data set as published?")


class _Array(NamedTuple):
    """An array of which the name was read; `rest` are the elements after it, in byte order `order`."""

    order: str
    flags: int
    shape: tuple[int, ...]
    name: str
    rest: Iterator[tuple[int, memoryview]]


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element of `data`."""
    offset = 0
    while offset < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, offset)
        start = offset + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, min(kind >> 16, 5), offset + 4
        if start + size > len(data) or start < offset + 8 < start + size:
            raise ValueError(f"no element of {size:,} bytes fits at byte {start:,} of {len(data):,}")
        yield kind, data[start : start + size]
        offset = start + size if kind == DEFLATED else offset + (start - offset + size + 7) // 8 * 8


def _next(elements: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    for element in elements:
        return element
    raise ValueError("an array ends before it is whole")


def _variables(data: memoryview, order: str) -> Iterator[_Array]:
    """The arrays at the top level of the file."""
    for kind, content in _elements(data, order):
        if kind == DEFLATED:
            inflate = zlib.decompressobj()
            whole = inflate.decompress(content, LARGEST)
            if not inflate.eof:
                raise ValueError(f"a deflated element that does not end within {LARGEST:,} bytes")
            yield from (_array(inner, order) for kind, inner in _elements(memoryview(whole), order) if kind == ARRAY)
        elif kind == ARRAY:
            yield _array(content, order)


def _array(content: memoryview, order: str) -> _Array:
    rest = _elements(content, order)
    flags, shape = _integers(_next(rest), order), _integers(_next(rest), order)
    _, name = _next(rest)
    if len(flags) != 2 or len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"an array of flags {flags} and shape {shape}")
    return _Array(order, flags[0], tuple(shape), bytes(name).decode("latin-1"), rest)


def _member(array: _Array, wanted: str) -> _Array | None:
    """The array of that name in a single struct."""
    if array.flags & 0xFF != STRUCT or math.prod(array.shape) != 1:
        raise ValueError(f"{array.name} is no single struct")
    length = sum(_integers(_next(array.rest), array.order))
    names = bytes(_next(array.rest)[1])
    if length < 1:
        raise ValueError(f"members' names of {length} bytes")
    firsts = range(0, len(names), length)
    labels = [names[first : first + length].split(b"\0")[0].decode("latin-1") for first in firsts]
    contents = [content for _, content in array.rest]
    if len(labels) != len(contents):
        raise ValueError(f"a struct of {len(labels)} names and {len(contents)} members")
    return _array(contents[labels.index(wanted)], array.order) if wanted in labels else None


def _numbers(element: tuple[int, memoryview], order: str) -> np.ndarray:
    """All numbers of an element."""
    kind, content = element
    if kind not in NUMBERS:
        raise ValueError(f"numbers of type {kind}, which there is not")
    return np.frombuffer(content, order + NUMBERS[kind])


def _integers(element: tuple[int, memoryview], order: str) -> list[int]:
    numbers = _numbers(element, order)
    if numbers.dtype.kind == "f":
        raise ValueError("a count that is no integer")
    return numbers.tolist()


def _whole_numbers(array: _Array) -> np.ndarray:
    """The numbers of an array, int32 in its shape."""
    if array.flags & 0xFF not in NUMERIC or array.flags & COMPLEX:
        raise ValueError(f"no plain numbers, but an array of class {array.flags & 0xFF}")
    values = _numbers(_next(array.rest), array.order)
    if len(values) != math.prod(array.shape):
        raise ValueError(f"{len(values):,} numbers for the shape {array.shape}")
    with np.errstate(invalid="ignore"):  # a float32 may be a signalling NaN
        floats = values.astype(np.float64)
    if not ((np.abs(floats) < 2**31) & (floats == np.trunc(floats))).all():
        raise ValueError("fractions, or numbers beyond 32 bits")
    return np.ascontiguousarray(floats.astype(np.int32).reshape(array.shape, order="F"))
