"""Writes Caffe's files of weights, in every form Caffe ever wrote: for the tests of the reader, and benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import keras
import numpy as np

from kseg.layers import BilinearUpsampling, ScaleChannels, bilinear_kernel

Version = Literal["V2", "V1", "V0"]
Data = Literal["packed", "unpacked", "mixed", "double", "double unpacked"]
Layers = Mapping[str, Sequence[np.ndarray]]


def varint(value: int) -> bytes:
    """A number, 0 to 2^64 - 1; negative ones as their two's complement."""
    value %= 2**64
    groups = []
    while True:
        groups.append(value & 0x7F)
        value >>= 7
        if not value:
            return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, content: bytes) -> bytes:
    """A field with a length: a string, a message, packed numbers."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def blob(array: np.ndarray, version: Version = "V2", data: Data = "packed", diff: bool = False) -> bytes:
    """A BlobProto; V1 and V0 have four sizes, with ones before those of a bias or an inner product."""
    sizes = (1,) * (4 - array.ndim) + array.shape
    parts = [number(field, size) for field, size in enumerate(sizes, start=1)]
    if version == "V2":
        parts = [chunk(7, chunk(1, b"".join(map(varint, array.shape))))]
    flat = array.ravel()
    parts.append(_data(flat, 5, 8, data))
    if diff:
        parts.insert(1, _data(np.zeros_like(flat), 6, 9, data))
    return b"".join(parts)


def layer(name: str, blobs: Sequence[bytes], version: Version = "V2", kind: str = "Convolution") -> bytes:
    """A field of a NetParameter with one layer."""
    if version == "V2":
        return chunk(100, chunk(1, name.encode()) + chunk(2, kind.encode()) + b"".join(chunk(7, b) for b in blobs))
    if version == "V1":
        return chunk(2, chunk(4, name.encode()) + number(5, 4) + b"".join(chunk(6, b) for b in blobs))
    inner = chunk(1, name.encode()) + chunk(2, b"conv") + b"".join(chunk(50, b) for b in blobs)
    return chunk(2, chunk(1, inner) + chunk(3, b"top"))


def network(layers: Layers, version: Version = "V2", data: Data = "packed", diff: bool = False) -> Iterator[bytes]:
    """A NetParameter in parts, a layer each; beside the layers one without weights."""
    yield chunk(1, b"network") + layer("data", [], version, "Input")
    for name, arrays in layers.items():
        yield layer(name, [blob(array, version, data, diff) for array in arrays], version)


def weights_of(model: keras.Model) -> Iterator[tuple[str, list[np.ndarray]]]:
    """A network's weights as Caffe has them, up-sampling dense, by the layers' names."""
    for layer in model.layers:
        if isinstance(layer, BilinearUpsampling):
            single, classes = bilinear_kernel(layer.size), layer.output.shape[-1]
            yield layer.name, [np.einsum("ab,i,j->abij", np.eye(classes), single, single).astype(np.float32)]
        elif isinstance(layer, ScaleChannels):
            yield layer.name, [np.asarray(layer.scale)]
        elif layer.weights:
            kernel, *bias = map(np.asarray, layer.weights)
            if kernel.ndim == 2:
                yield layer.name, [_product(kernel, layer, model), *bias]
            else:
                yield layer.name, [kernel.transpose(3, 2, 0, 1), *bias]


def _product(kernel: np.ndarray, layer: keras.Layer, model: keras.Model) -> np.ndarray:
    """(in, out) over a map flattened as (H, W, C), to (out, in) over one flattened as (C, H, W)."""
    for other in model.layers:
        if isinstance(other, keras.layers.Flatten) and other.output is layer.input:
            return kernel.reshape(*other.input.shape[1:], -1).transpose(3, 2, 0, 1).reshape(kernel.shape[::-1])
    return kernel.T


def _data(flat: np.ndarray, single: int, double: int, data: Data) -> bytes:
    dtype, field = ("<f8", double) if data.startswith("double") else ("<f4", single)
    flat = flat.astype(dtype)
    if data in ("packed", "double"):
        return chunk(field, flat.tobytes())
    one_by_one = varint(field << 3 | (1 if dtype == "<f8" else 5))
    if data == "mixed":
        half = flat.size // 2
        return chunk(field, flat[:half].tobytes()) + b"".join(one_by_one + value.tobytes() for value in flat[half:])
    return b"".join(one_by_one + value.tobytes() for value in flat)
