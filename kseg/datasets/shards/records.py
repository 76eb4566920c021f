"""Turns an item into the bytes of a record in a shard and back, without loss.

    4 bytes       the length of the header, little-endian
    header        JSON: id, weight, and the arrays in order: name, dtype, shape, bytes
    the arrays    each packed by itself with Zstandard; images (H, W, C) uint8 or uint16 as the differences to the
                  pixel on the left, which pack better

Zstandard unpacks photographs four times as fast as PNG, and faster than JPEG, but takes a tenth more space than PNG.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import imagecodecs
import numpy as np

from kseg.datasets.contract import Item

_LENGTH = struct.Struct("<I")
_LEVEL = 3


def item_to_bytes(item: Item) -> bytes:
    """The record of `item`."""
    arrays = {f"image/{stream}": image for stream, image in item.images.items()}
    arrays |= {f"label/{head}": label for head, label in item.labels.items()}
    if item.instances is not None:
        arrays["instances"] = item.instances
    packed = [_pack(array, name) for name, array in arrays.items()]
    parts = [
        {"name": name, "dtype": array.dtype.str, "shape": array.shape, "bytes": len(data)}
        for (name, array), data in zip(arrays.items(), packed, strict=True)
    ]
    header = json.dumps({"id": item.id, "weight": float(item.weight), "arrays": parts}).encode()
    return b"".join([_LENGTH.pack(len(header)), header, *packed])


def item_from_bytes(record: bytes) -> Item:
    """The item in a `record`, whose checksum must be verified before."""
    (length,) = _LENGTH.unpack_from(record)
    offset = _LENGTH.size + length
    header = json.loads(record[_LENGTH.size : offset])
    arrays: dict[str, dict[str, np.ndarray]] = {"image": {}, "label": {}, "instances": {}}
    for part in header["arrays"]:
        kind, _, name = part["name"].partition("/")
        arrays[kind][name] = _unpack(record[offset : offset + part["bytes"]], part)
        offset += part["bytes"]
    image, label, instances = arrays["image"], arrays["label"], arrays["instances"]
    return Item(header["id"], image.get("", image), label.get("", label), instances.get(""), header["weight"])


def _pack(array: np.ndarray, name: str) -> bytes:
    array = np.ascontiguousarray(array)
    if _as_differences(name, array.dtype):
        array = imagecodecs.delta_encode(array, axis=1)
    return bytes(imagecodecs.zstd_encode(array.tobytes(), level=_LEVEL))


def _unpack(data: bytes, part: dict[str, Any]) -> np.ndarray:
    """The array that `part` of a header describes; it is writable."""
    kind = np.dtype(part["dtype"])
    array = np.empty(part["shape"], kind)
    imagecodecs.zstd_decode(data, out=array.reshape(-1).view(np.uint8).data)
    return imagecodecs.delta_decode(array, axis=1) if _as_differences(part["name"], kind) else array


def _as_differences(name: str, kind: np.dtype) -> bool:
    return name.startswith("image/") and kind in (np.uint8, np.uint16)
