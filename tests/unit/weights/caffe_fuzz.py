"""Damaged files of weights, and what the reader makes of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
from caffe_writer import Layers, network, number, varint

from kseg.errors import WeightsError
from kseg.weights.caffe.caffemodel import read_caffemodel
from kseg.weights.caffe.recognition import own_preprocessing, recognised, renamed

# What an index and its errors take, whatever the file; and per byte: fields of two bytes become objects of 100.
MOST_BYTES, MOST_BYTES_EACH = 4 << 20, 60


# A few layers of networks that can be recognised, with few numbers.
NETWORKS: list[dict[str, list[tuple[int, ...]]]] = [
    {
        "conv1_1": [(4, 3, 3, 3), (4,)],
        "fc6": [(2, 4), (2,)],
        "score_fr": [(2, 2, 1, 1), (2,)],
        "upscore2": [(2, 2, 4, 4)],
        "scale_pool4": [(3,)],
    },
    {"conv1": [(1, 3, 11, 11), (1,)], "norm1": [], "pool1": [], "fc6": [(2, 4), (2,)], "fc8": [(5, 2), (5,)]},
    {"conv_d0a-b": [(2, 1, 3, 3), (2,)], "conv_d1a-b": [(4, 2, 3, 3)], "conv_u0d-score": [(2, 2, 1, 1), (2,)]},
]


def seeds(folder: Path) -> list[bytes]:
    """Whole files in every form."""
    rng = np.random.default_rng(0)
    made: list[Layers] = [
        {name: [rng.standard_normal(shape, np.float32) for shape in shapes] for name, shapes in layers.items()}
        for layers in NETWORKS
    ]
    forms = [(version, data) for version in ("V2", "V1", "V0") for data in ("packed", "mixed", "double unpacked")]
    files = [b"".join(network(layers, *form, diff=True)) for layers in made for form in forms]
    for layers in made:
        path = folder / "seed.caffemodel.h5"
        with h5py.File(path, "w") as file:
            for name, arrays in layers.items():
                for index, array in enumerate(arrays):
                    file.create_dataset(f"data/{name}/{index}", data=array, compression="gzip" if index else None)
        files.append(path.read_bytes())
    return files


def damaged(whole: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """The file with one to four things changed: bits, bytes, lengths, pieces left out, doubled or of another file."""
    data = bytearray(whole)
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(len(data) + 1))
        length = int(rng.integers(1, 20))
        match rng.integers(7):
            case 0:
                data[place : place + 1] = bytes(byte ^ 1 << int(rng.integers(8)) for byte in data[place : place + 1])
            case 1:
                data[place : place + 1] = rng.bytes(1)
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = data[place : place + 10 * length]
            case 4:
                data[place : place + length] = varint(int(rng.choice([0, 2**31 - 1, 2**31, 2**40, 2**63, 2**64 - 1])))
            case 5:
                data[place:place] = number(int(rng.integers(1, 101)), int(rng.integers(2**62)))
            case 6:
                del data[place:]
                data += other[int(rng.integers(len(other))) :]
        if not data:
            return b""
    return bytes(data)


def outcome(path: Path) -> str:
    """What reading the file ended in: `read`, `refused` or, where its layers are of no network, `unknown`.

    Raises:
      AssertionError: it took more memory than the file can justify.
      Exception: whatever a reader must not raise.
    """
    tracemalloc.start()
    try:
        return _read(path)
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most <= MOST_BYTES + MOST_BYTES_EACH * path.stat().st_size, f"{most:,} bytes"


def _read(path: Path) -> str:
    try:
        source = renamed(read_caffemodel(path))
        for tensors in source.values():
            for tensor in tensors:
                assert tensor.whole().shape == tensor.shape
    except WeightsError as error:
        assert str(error).startswith(str(path))
        return "refused"
    try:
        own_preprocessing(*recognised(source))
    except WeightsError:
        return "unknown"
    return "read"
