"""Reads the tensors of a PyTorch file (`.pth`) without running its pickles.

There are two forms: a zip archive (since PyTorch 1.6), and a stream of pickles followed by the numbers (before).
Source: torch/serialization.py.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from kseg.errors import WeightsError, in_a_line
from kseg.weights.layouts import Tensor
from kseg.weights.torch.pickles import Stored, unpickled

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_LARGEST_PICKLE_BYTES = 4 << 20


@contextmanager
def open_torch(path: str | Path) -> Iterator[dict[str, Tensor]]:
    """The tensors of the file by name, in PyTorch's layout (which is Caffe's); they can be read in the `with` block.

    In a training checkpoint they are under `model_state_dict` or `state_dict`.

    Raises:
      WeightsError: no PyTorch file, or a broken one; the pickle asks for something that no file of weights needs.
    """
    path = Path(path)
    try:
        stream = path.open("rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise WeightsError(f"{path}: there is no such file.", "Name a file of weights.") from error
    with stream:
        try:
            content, spans = _zipped(stream) if stream.read(4) == b"PK\x03\x04" else _streamed(stream)
            tensors = {
                name: _tensor(path, stream, name, value, spans)
                for name, value in _state(content).items()
                if isinstance(value, Stored)
            }
        except WeightsError as error:
            raise WeightsError(f"{path}: {error.what}", *error.fix) from error
        except (ValueError, LookupError, TypeError, OSError, RuntimeError, struct.error, zipfile.BadZipFile) as error:
            raise WeightsError(f"{path}: broken PyTorch file ({in_a_line(error)}).", "Fetch it again.") from error
        yield tensors


def _state(content: Any) -> dict[str, Any]:
    """The dictionary of tensors by name within the unpickled content."""
    for key in ("model_state_dict", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not any(isinstance(value, Stored) for value in content.values()):
        raise WeightsError("no tensors by name in it.", "Save the network's state_dict(), not the network.")
    return content


def _zipped(stream: IO[bytes]) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The unpickled content, and of each storage, by its key, the position and the count of its bytes."""
    with zipfile.ZipFile(stream) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        root = next((name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")), None)
        if root is None:
            raise WeightsError("a zip archive without data.pkl, so not PyTorch's.", "Is it the right file?")
        if f"{root}byteorder" in entries and _entry(stream, entries[f"{root}byteorder"]) == b"big":
            raise WeightsError("written on a big-endian machine.", "Save it on another one.")
        content, _ = unpickled(io.BytesIO(_entry(stream, entries[f"{root}data.pkl"])))
        folder = f"{root}data/"
        spans = {
            name.removeprefix(folder): (_start(stream, entry), entry.file_size)
            for name, entry in entries.items()
            if name.startswith(folder)
        }
    return content, spans


def _start(stream: IO[bytes], entry: zipfile.ZipInfo) -> int:
    """The position of an entry's bytes, which are not compressed."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
        raise WeightsError(
            f"{entry.filename} is compressed, which PyTorch never does.", "Save it again with torch.save."
        )
    stream.seek(entry.header_offset)
    header = stream.read(30)
    if header[:4] != b"PK\x03\x04":
        raise ValueError(f"no entry at byte {entry.header_offset}")
    name_size, extra_size = struct.unpack("<HH", header[26:30])
    return entry.header_offset + 30 + name_size + extra_size


def _entry(stream: IO[bytes], entry: zipfile.ZipInfo) -> bytes:
    start = _start(stream, entry)
    if entry.file_size > _LARGEST_PICKLE_BYTES:
        raise WeightsError(
            f"{entry.filename} has {entry.file_size:,} bytes, too many for a description of tensors.",
            "Is it the right file?",
        )
    stream.seek(start)
    return stream.read(entry.file_size)


def _streamed(stream: IO[bytes]) -> tuple[Any, dict[str, tuple[int, int]]]:
    """As `_zipped`, for the older form: magic number, version, machine, content, keys, then the storages."""
    stream.seek(0)
    head = io.BytesIO(stream.read(_LARGEST_PICKLE_BYTES))
    if not head.getvalue().startswith(b"\x80\x02\x8a\x0a") or unpickled(head)[0] != _MAGIC:
        raise WeightsError("no PyTorch file: neither its zip archive nor its older stream.", "Is it the right file?")
    if unpickled(head)[0] != _VERSION:
        raise WeightsError("of an unknown version of PyTorch's older form.", "Save it again with torch.save.")
    machine, _ = unpickled(head)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise WeightsError("written on a big-endian machine.", "Save it on another one.")
    content, storages = unpickled(head)
    keys, _ = unpickled(head)
    end = stream.seek(0, io.SEEK_END)
    position, spans = head.tell(), {}
    for key in keys:
        stream.seek(position)
        (count,) = struct.unpack("<q", stream.read(8))
        size = count * storages[key].dtype.itemsize
        if count < 0 or position + 8 + size > end:
            raise ValueError(f"storage {key} at byte {position:,} has {count:,} numbers, more than the file")
        spans[key] = (position + 8, size)
        position += 8 + size
    return content, spans


def _tensor(path: Path, stream: IO[bytes], name: str, stored: Stored, spans: dict[str, tuple[int, int]]) -> Tensor:
    """A tensor whose rows are read from the file on demand."""
    storage, offset, shape, strides = stored
    contiguous = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if any(size > 1 and given != due for size, given, due in zip(shape, strides, contiguous, strict=True)):
        raise WeightsError(f"{name}: stored transposed (strides {strides}).", "Save it with .contiguous().")
    start, size_bytes = spans[storage.key]
    item = storage.dtype.itemsize
    if storage.size * item != size_bytes or start + size_bytes > stream.seek(0, io.SEEK_END):
        raise ValueError(f"{name}: {storage.size:,} numbers of {item} bytes do not fill the {size_bytes:,} it has")
    if offset + math.prod(shape) > storage.size:
        raise ValueError(f"{name}: {shape} from {offset} reaches beyond the {storage.size:,} numbers of its storage")
    shape = shape or (1,)
    row = math.prod(shape[1:])

    def read(first: int, last: int) -> np.ndarray:
        last = min(last, shape[0])
        stream.seek(start + (offset + first * row) * item)
        data = stream.read((last - first) * row * item)
        if len(data) != (last - first) * row * item:
            raise WeightsError(f"{path}: {name}: the file ends within it.", "Fetch it again.")
        return np.frombuffer(data, storage.dtype).astype(np.float32, copy=False).reshape(-1, *shape[1:])

    return Tensor(shape, read, "caffe")
