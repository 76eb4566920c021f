"""Protocol buffers' wire format: the fields of a message that lies in a file, without reading what is long.

A message is a row of fields, each a key (number * 8 + wire type) and a value: 0 a varint, 1 eight bytes, 2 a length and
as many bytes, 3 and 4 the brackets around a group (obsolete; passed over), 5 four bytes. A varint is little-endian in
groups of seven bits, the top bit of all bytes but the last set, ten bytes at most.

Nothing is trusted: every length is held against the message around it, the fields of one file are counted, and memory
is a small window of the file.

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
    """One field, or a run of equal ones of fixed size, each with its key of one byte before it.

    Attributes:
      number: which field of its message it is.
      wire: its wire type.
      value: a varint's value, 0 to 2^64 - 1; of all others the place in the file where the (first) value starts.
      stop: the place in the file behind it.
      times: how many there are in a run; they lie 5 or 9 bytes apart.
    """

    number: int
    wire: int
    value: int
    stop: int
    times: int = 1


class WireFile:
    """A file that may be read at any place while its fields are gone through."""

    def __init__(self, path: Path, stream: BinaryIO, size: int) -> None:
        self.path, self.stream, self.size = path, stream, size
        self.fields_left = _MOST_FIELDS
        self._start, self._window = 0, b""

    def fields(self, start: int, stop: int) -> Iterator[Field]:
        """The fields of the message at bytes start..stop.

        Raises:
          WeightsError: there is no message; says at which byte, and what was found.
        """
        place, opened = start, list[int]()
        while place < stop:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise self.broken(place, f"more than {_MOST_FIELDS:,} fields")
            number, wire, value_at = self._key(place, stop)
            if wire == GROUP and len(opened) < _DEEPEST_GROUP:
                opened.append(number)
                place = value_at
            elif wire == GROUP_END and opened and opened.pop() == number:
                place = value_at
            elif wire in (VARINT, LENGTH, FOUR_BYTES, EIGHT_BYTES):
                field = self._field(number, wire, place, value_at, stop)
                place = field.stop
                if not opened:
                    yield field
            else:
                raise self.broken(place, f"field {number} of wire type {wire} where that can't be")
        if opened:
            raise self.broken(place, f"the end of a message in which group {opened[-1]} is open")

    def read(self, start: int, stop: int) -> bytes:
        """Bytes start..stop.

        Raises:
          WeightsError: the file has become shorter.
        """
        self.stream.seek(start)
        found = self.stream.read(stop - start)
        if len(found) < stop - start:
            raise self.broken(start + len(found), "the end of the file, which was longer before")
        return found

    def broken(self, place: int, found: str) -> WeightsError:
        """The error that names the file, the byte and what was found there."""
        return WeightsError(
            f"{self.path}: byte {place:,} of {self.size:,}: {found}. The file is cut off, damaged or no caffemodel: "
            "compare its size and checksum with the publisher's, and fetch it again."
        )

    def _field(self, number: int, wire: int, place: int, value_at: int, stop: int) -> Field:
        """The field whose key is at `place` and whose value at `value_at`, with those like it that follow."""
        if wire == VARINT:
            return Field(number, wire, *self.varint(value_at, stop))
        if wire == LENGTH:
            length, first = self.varint(value_at, stop)
            return Field(number, wire, first, self._inside(first + length, stop, value_at, length))
        size = 4 if wire == FOUR_BYTES else 8
        self._inside(value_at + size, stop, value_at, size)
        times = self._run(place, stop, size + 1) if value_at == place + 1 else 1
        return Field(number, wire, value_at, value_at + size + (times - 1) * (size + 1), times)

    def _key(self, place: int, stop: int) -> tuple[int, int, int]:
        key, after = self.varint(place, stop)
        if not 1 <= key >> 3 < 2**29:
            raise self.broken(place, f"field number {key >> 3}, which there can't be")
        return key >> 3, key & 7, after

    def varint(self, place: int, stop: int) -> tuple[int, int]:
        """The value at `place` and the place behind it."""
        value = 0
        for index in range(10):
            if place + index >= stop:
                raise self.broken(place, "a number that goes on beyond the end of its message")
            byte = self._byte(place + index)
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value & (2**64 - 1), place + index + 1
        raise self.broken(place, "a number of more than ten bytes")

    def _byte(self, place: int) -> int:
        if not 0 <= place - self._start < len(self._window):
            self._window = self.read(place, min(self.size, place + _WINDOW_BYTES))
            self._start = place
        return self._window[place - self._start]

    def _inside(self, end: int, stop: int, place: int, length: int) -> int:
        if end > stop:
            raise self.broken(place, f"a field of {length:,} bytes in a message that ends at byte {stop:,}")
        return end

    def _run(self, place: int, stop: int, pitch: int) -> int:
        """How many fields with the key at `place` follow each other, `pitch` bytes apart; all lie before `stop`."""
        key = self._byte(place)
        most = (stop - place) // pitch
        count, block = 1, 1
        while count < most:
            block = min(8 * block, most - count, _RUN_BYTES // pitch)
            first = place + count * pitch
            keys = np.frombuffer(self.read(first, first + block * pitch), np.uint8)[::pitch]
            equal = keys == key
            if not equal.all():
                return count + int(equal.argmin())
            count += block
        return count
