"""Reads the fields of a protocol buffers message in a file; long fields are skipped, not read.

A message is a sequence of fields, each a key (number * 8 + wire type) and a value. The wire types: 0 a varint, 1 eight
bytes, 2 a length and as many bytes, 3 and 4 the brackets of a group (obsolete; ignored), 5 four bytes. A varint is
little-endian in groups of seven bits; all its bytes but the last have the top bit set; it has ten bytes at most.

Nothing is trusted: no length may exceed the message around it, the fields of one file are counted, and only a small
window of the file is in memory.

Source: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from kseg.errors import WeightsError

VARINT, EIGHT_BYTES, LENGTH, GROUP, GROUP_END, FOUR_BYTES = range(6)

_WINDOW_BYTES = 1 << 16
_RUN_BYTES = 1 << 20
_MOST_FIELDS = 200_000  # ResNet-152 has about 20,000
_DEEPEST_GROUP = 100


class Field(NamedTuple):
    """One field, or a run of fields of equal number and fixed size, each with a key of one byte.

    Attributes:
      number: its number within the message.
      wire: its wire type.
      value: a varint's value, 0 to 2^64 - 1; for other types the position of the (first) value in the file.
      stop: the position behind it in the file.
      times: the number of fields in the run; they lie 5 or 9 bytes apart.
    """

    number: int
    wire: int
    value: int
    stop: int
    times: int = 1


class WireFile:
    """A file that can be read at any position while one iterates over its fields."""

    def __init__(self, path: Path, stream: BinaryIO, size: int) -> None:
        self.path, self.stream, self.size = path, stream, size
        self.fields_left = _MOST_FIELDS
        self._start, self._window = 0, b""

    def fields(self, start: int, stop: int) -> Iterator[Field]:
        """The fields of the message at bytes start..stop.

        Raises:
          WeightsError: it is no message; the error names the byte, and what was found there.
        """
        position, opened = start, list[int]()
        while position < stop:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise self.broken(position, f"more than {_MOST_FIELDS:,} fields")
            number, wire, value_at = self._key(position, stop)
            if wire == GROUP and len(opened) < _DEEPEST_GROUP:
                opened.append(number)
                position = value_at
            elif wire == GROUP_END and opened and opened.pop() == number:
                position = value_at
            elif wire in (VARINT, LENGTH, FOUR_BYTES, EIGHT_BYTES):
                field = self._field(number, wire, position, value_at, stop)
                position = field.stop
                if not opened:
                    yield field
            else:
                raise self.broken(position, f"field {number} of wire type {wire}, which can't be there")
        if opened:
            raise self.broken(position, f"the end of a message in which group {opened[-1]} is open")

    def read(self, start: int, stop: int) -> bytes:
        """Bytes start..stop.

        Raises:
          WeightsError: the file is shorter than before.
        """
        self.stream.seek(start)
        found = self.stream.read(stop - start)
        if len(found) < stop - start:
            raise self.broken(start + len(found), "the end of the file, which was longer before")
        return found

    def broken(self, position: int, found: str) -> WeightsError:
        """The error that names the file, the byte and what was found there."""
        return WeightsError(
            f"{self.path}: byte {position:,} of {self.size:,}: {found}. The file is cut off, damaged or no caffemodel.",
            "Compare its size and checksum with the publisher's, and fetch it again.",
        )

    def _field(self, number: int, wire: int, position: int, value_at: int, stop: int) -> Field:
        """The field with its key at `position` and its value at `value_at`, with the equal fields that follow it."""
        if wire == VARINT:
            return Field(number, wire, *self.varint(value_at, stop))
        if wire == LENGTH:
            length, first = self.varint(value_at, stop)
            return Field(number, wire, first, self._inside(first + length, stop, value_at, length))
        size = 4 if wire == FOUR_BYTES else 8
        self._inside(value_at + size, stop, value_at, size)
        times = self._run(position, stop, size + 1) if value_at == position + 1 else 1
        return Field(number, wire, value_at, value_at + size + (times - 1) * (size + 1), times)

    def _key(self, position: int, stop: int) -> tuple[int, int, int]:
        key, after = self.varint(position, stop)
        if not 1 <= key >> 3 < 2**29:
            raise self.broken(position, f"field number {key >> 3}, which does not exist")
        return key >> 3, key & 7, after

    def varint(self, position: int, stop: int) -> tuple[int, int]:
        """The value at `position`, and the position behind it."""
        value = 0
        for index in range(10):
            if position + index >= stop:
                raise self.broken(position, "a number that reaches beyond the end of its message")
            byte = self._byte(position + index)
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value & (2**64 - 1), position + index + 1
        raise self.broken(position, "a number of more than ten bytes")

    def _byte(self, position: int) -> int:
        if not 0 <= position - self._start < len(self._window):
            self._window = self.read(position, min(self.size, position + _WINDOW_BYTES))
            self._start = position
        return self._window[position - self._start]

    def _inside(self, end: int, stop: int, position: int, length: int) -> int:
        if end > stop:
            raise self.broken(position, f"a field of {length:,} bytes in a message that ends at byte {stop:,}")
        return end

    def _run(self, position: int, stop: int, pitch: int) -> int:
        """The number of fields with the key at `position`, each `pitch` bytes behind the last, up to `stop`."""
        key = self._byte(position)
        most = (stop - position) // pitch
        count, block = 1, 1
        while count < most:
            block = min(8 * block, most - count, _RUN_BYTES // pitch)
            first = position + count * pitch
            keys = np.frombuffer(self.read(first, first + block * pitch), np.uint8)[::pitch]
            equal = keys == key
            if not equal.all():
                return count + int(equal.argmin())
            count += block
        return count
