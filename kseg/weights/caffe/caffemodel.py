"""Reads Caffe's files of weights, in all formats that Caffe wrote since 2013.

A `.caffemodel` is one NetParameter message. Its layers are of one of three kinds ("V2", "V1", "V0"), which have the
layer's name and blobs in different fields. A blob is a shape (newer files) or four sizes (older ones), and its numbers,
float32 or float64, packed, one by one, or mixed. A `.caffemodel.h5` has the same as HDF5 datasets, /data/LAYER/NUMBER.

The file's description of its network is ignored. The nesting is fixed: network, layer (in V0 one more), blob, shape;
no file can lead deeper. At first only the positions of the numbers are kept, a few kilobytes; the numbers are read with
each tensor.

Source: BVLC Caffe 1.0, caffe.proto, blob.cpp (Blob::FromProto), upgrade_proto.cpp.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kseg.errors import WeightsError
from kseg.weights.caffe.protobuf import EIGHT_BYTES, FOUR_BYTES, LENGTH, VARINT, Field, WireFile
from kseg.weights.hdf5 import open_hdf5, rows
from kseg.weights.layouts import Tensor

_LAYER, _OLD_LAYER, _OLDEST_LAYER = 100, 2, 1  # fields of NetParameter, NetParameter, V1LayerParameter
_NAME_AND_BLOBS = {_LAYER: (1, 7), _OLD_LAYER: (4, 6), _OLDEST_LAYER: (1, 50)}
_LONGEST_NAME_BYTES = 1000
START = 512  # bytes that tell the kind of a file
_MOST_AXES = 32  # Caffe's own limit

_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive (as .keras, .npz and .pth files are)",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"\x80\x02": "a Python pickle (as older .pth files are)",
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF",
}


class _Run(NamedTuple):
    """Numbers of a blob at equal distances.

    Attributes:
      start: the position of the first in the file, bytes.
      pitch: the distance from one to the next, bytes.
      numbers: how many there are.
      dtype: their type, as NumPy writes it.
    """

    start: int
    pitch: int
    numbers: int
    dtype: str


def read_caffemodel(path: str | Path) -> dict[str, list[Tensor]]:
    """The tensors of each layer, by its name with `/` written `.`, in the order of the file; most layers have none.

    Shapes are as stored, without the two leading ones of inner products in older files.

    Raises:
      WeightsError: no such file, another kind of file, or a broken one; the message names the byte.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            start = stream.read(START)
            if found := other_kind(start):
                raise WeightsError(
                    f"{path}: no caffemodel but {found}.", "Name the .caffemodel or .caffemodel.h5 file."
                )
            if start.startswith(b"\x89HDF"):
                return _read_hdf5(path)
            return _read_layers(WireFile(path, stream, size))
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: there is no such file.", "Name one that exists.") from error
    except IsADirectoryError as error:
        raise WeightsError(f"{path}: a folder.", "Name the .caffemodel file in it.") from error


def other_kind(start: bytes) -> str | None:
    """The kind of a file, by its first START bytes; None if it may be a caffemodel or HDF5."""
    if not start:
        return "an empty file"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return f"text, beginning {start[:20].decode()!r}; a .prototxt describes a network and has no weights"
    if start[8:10] == b'{"':
        return "a file of safetensors"
    return next((kind for signature, kind in _OTHER_KINDS.items() if start.startswith(signature)), None)


def _read_layers(file: WireFile) -> dict[str, list[Tensor]]:
    kinds: dict[int, list[Field]] = {_LAYER: [], _OLD_LAYER: []}
    for field in file.fields(0, file.size):
        if field.wire == LENGTH and field.number in kinds:
            kinds[field.number].append(field)
    kind = _LAYER if kinds[_LAYER] else _OLD_LAYER
    layers: dict[str, list[Tensor]] = {}
    for field in kinds[kind]:
        name, blobs = _read_layer(file, field, kind)
        if blobs and layers.get(name):
            raise file.broken(field.value, f"a second layer {name!r} with weights")
        tensors = [_read_blob(file, blob, f"layer {name!r}, blob {i}") for i, blob in enumerate(blobs)]
        layers[name] = tensors or layers.get(name, [])  # in snapshots two data layers have one name
    if not any(layers.values()):
        raise file.broken(0, f"a network of {len(kinds[kind])} layers, none with weights")
    return layers


def _read_layer(file: WireFile, layer: Field, kind: int) -> tuple[str, list[Field]]:
    """A layer's name, and the fields of its blobs."""
    name, blobs = "", []
    name_field, blobs_field = _NAME_AND_BLOBS[kind]
    for field in file.fields(layer.value, layer.stop):
        if field.wire != LENGTH:
            continue
        if kind == _OLD_LAYER and field.number == _OLDEST_LAYER:
            name, more = _read_layer(file, field, _OLDEST_LAYER)
            blobs += more
        elif field.number == name_field:
            if field.stop - field.value > _LONGEST_NAME_BYTES:
                raise file.broken(field.value, f"a layer's name of {field.stop - field.value:,} bytes")
            name = file.read(field.value, field.stop).decode(errors="backslashreplace").replace("/", ".")
        elif field.number == blobs_field:
            blobs.append(field)
    return name if name.isprintable() else name.encode("unicode_escape").decode(), blobs


def _read_blob(file: WireFile, blob: Field, what: str) -> Tensor:
    """The tensor of a BlobProto; of float64 and float32 numbers the first are used, as in Caffe."""
    four: dict[int, int] = {}
    shape: list[int] = []
    runs: dict[int, list[_Run]] = {5: [], 8: []}
    for field in file.fields(blob.value, blob.stop):
        if field.number in (1, 2, 3, 4) and field.wire == VARINT:
            four[field.number] = _signed(field.value)
        elif field.number == 7 and field.wire == LENGTH:
            shape += _read_shape(file, field)
        elif field.number in runs:
            runs[field.number] += _read_run(file, field, what)
    if four:
        shape = [four.get(number, 0) for number in (1, 2, 3, 4)]
    numbers = runs[8] or runs[5]
    found, wanted = sum(run.numbers for run in numbers), math.prod(shape)
    if len(shape) > _MOST_AXES or min(shape, default=1) < 1 or found != wanted:
        sizes = f"{len(shape)} axes" if len(shape) > _MOST_AXES else f"sizes {tuple(shape)}"
        raise file.broken(blob.value, f"{what} of {sizes} with {found:,} numbers")
    if four and shape[:2] == [1, 1]:
        shape = shape[2:]  # of an inner product or a bias, whose first axis comes behind these two
    return _tensor(tuple(shape) or (1,), lambda start, stop: _read_numbers(file, numbers, start, stop))


def _read_shape(file: WireFile, shape: Field) -> Iterator[int]:
    """The sizes in a BlobShape."""
    for field in file.fields(shape.value, shape.stop):
        if field.number == 1 and field.wire == VARINT:
            yield _signed(field.value)
        elif field.number == 1 and field.wire == LENGTH:
            position = field.value
            if field.stop - position > 10 * _MOST_AXES:
                raise file.broken(position, f"a list of sizes of {field.stop - position:,} bytes")
            while position < field.stop:
                value, position = file.varint(position, field.stop)
                yield _signed(value)


def _read_run(file: WireFile, field: Field, what: str) -> list[_Run]:
    """The numbers of a data field, which are packed, or a field each."""
    item, single, dtype = (4, FOUR_BYTES, "<f4") if field.number == 5 else (8, EIGHT_BYTES, "<f8")
    if field.wire == single:
        return [_Run(field.value, item + 1, field.times, dtype)]
    length = field.stop - field.value
    if field.wire != LENGTH or length % item:
        raise file.broken(field.value, f"{what} with data of wire type {field.wire}, {length:,} bytes")
    return [_Run(field.value, item, length // item, dtype)] if length else []


def _read_numbers(file: WireFile, runs: list[_Run], start: int, stop: int) -> np.ndarray:
    """Numbers start..stop of those in the runs, (stop - start,) float32."""
    found = np.empty(stop - start, np.float32)
    first = 0
    with file.path.open("rb") as stream:
        again = WireFile(file.path, stream, file.size)
        for run in runs:
            begin, end = max(start, first), min(stop, first + run.numbers)
            if begin < end:
                position = run.start + (begin - first) * run.pitch
                raw = again.read(position, position + (end - begin - 1) * run.pitch + np.dtype(run.dtype).itemsize)
                part = np.ndarray((end - begin,), run.dtype, raw, strides=(run.pitch,))
                with np.errstate(over="ignore"):  # it becomes infinity, which no layer takes
                    found[begin - start : end - start] = part
            first += run.numbers
    return found


def _tensor(shape: tuple[int, ...], numbers: Callable[[int, int], np.ndarray]) -> Tensor:
    """A tensor from its shape and a reader of its numbers."""
    each = math.prod(shape[1:])
    return Tensor(shape, lambda start, stop: numbers(start * each, stop * each).reshape(-1, *shape[1:]), "caffe")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _read_hdf5(path: Path) -> dict[str, list[Tensor]]:
    found: dict[str, dict[int, Tensor]] = {}
    with open_hdf5(path) as datasets:
        for key, dataset in datasets.items():
            match = re.fullmatch(r"data/(.+)/([0-9]{1,2})", key)
            if match and math.prod(dataset.shape):
                name = match[1].replace("/", ".")
                found.setdefault(name, {})[int(match[2])] = _hdf5_tensor(path, key, dataset.shape or (1,))
    if not found or any(sorted(blobs) != list(range(len(blobs))) for blobs in found.values()):
        raise WeightsError(
            f"{path}: an HDF5 file, but not one of Caffe's, which have numbers at /data/LAYER/0 and /data/LAYER/1.",
            "Is it the right file? Those of keras.applications go through load_keras_applications.",
        )
    return {name: [blobs[index] for index in sorted(blobs)] for name, blobs in found.items()}


def _hdf5_tensor(path: Path, key: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor of the dataset at `key`; the file is opened and checked again for every read."""

    def read(start: int, stop: int) -> np.ndarray:
        with open_hdf5(path) as datasets:
            if key not in datasets or (datasets[key].shape or (1,)) != shape:
                raise WeightsError(f"{path}: {key} of sizes {shape} is gone.", "Has the file been changed meanwhile?")
            return rows(datasets[key])(start, stop)

    return Tensor(shape, read, "caffe")
