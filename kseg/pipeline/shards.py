"""Packs a data set into TFRecord shards for the data set `packed`: on a disk, or on gs:// through tf.io.gfile.

Every shard is written under another name, renamed, and then entered in the index, which is replaced as a whole. So a
killed pack can go on behind the last shard that was entered. Only one pack at a time may write to a folder.
"""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

import tensorflow as tf

from kseg.datasets import Dataset
from kseg.datasets.shards.packed import AFTER, BEFORE, FORMAT, INDEX, index_from_text, index_to_text, traits_to_json
from kseg.datasets.shards.records import item_to_bytes
from kseg.errors import ConfigError, DataError, EnvironmentFailure, in_a_line

ITEMS_PER_SHARD = 256  # about 100 MB of VOC's photographs
READ_AT_ONCE = 16
UNFINISHED = ".part"


class Shard(NamedTuple):
    """A shard of a split: its number, its file's name, and the indices of its items."""

    number: int
    file: str
    indices: range


def pack(
    data: Dataset,
    folder: str,
    *,
    shards: int | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] = lambda items: None,
) -> None:
    """Writes the split `data` into shards in `folder`, beside those already there, or goes on with it.

    A shard that is in the index and in the folder is not written again; its items are not compared.

    Args:
      data: the split; every item is checked as it is read.
      folder: a folder, or gs://BUCKET/FOLDER; it is made if it does not exist.
      shards: their number; None for one per 256 items.
      settings: the settings with which the data set was opened, stored in the index.
      progress: called with the number of items that were added to shards.

    Raises:
      DataError: the split is empty, or an item is damaged.
      ConfigError: `folder` holds another data set, or another division of this split.
      EnvironmentFailure: the folder can't be written.
    """
    with writing(folder):
        index, todo = plan(data, folder, shards=shards, settings=settings)
        progress(len(data) - sum(len(shard.indices) for shard in todo))
        for shard in todo:
            index["splits"][data.split]["shards"][shard.number] = write_shard(shard, data, folder)
            write_text(folder, INDEX, index_to_text(index))
            progress(len(shard.indices))


def plan(
    data: Dataset, folder: str, *, shards: int | None, settings: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[Shard]]:
    """The index in `folder` with an entry for the split `data`, and the shards still to write; arguments as for `pack`.

    Unfinished files of a killed pack are removed, and the index is written.
    """
    data.check_settled()
    if not len(data):
        raise DataError(f"{data.name}: the split {data.split} is empty.", "Use another split, or add images.")
    count = shards or math.ceil(len(data) / ITEMS_PER_SHARD)
    if not 1 <= count <= len(data):
        raise ConfigError(f"shards is {count}, but {data.split} has {len(data)} items.", f"Give 1 to {len(data)}.")
    tf.io.gfile.makedirs(folder)
    index = _read_index(folder, _as_json({"dataset": data.name, "settings": dict(settings or {})}))
    part = _part(index, data, count, folder)
    for name in tf.io.gfile.listdir(folder):
        if name.endswith(UNFINISHED):
            tf.io.gfile.remove(tf.io.gfile.join(folder, name))
    write_text(folder, INDEX, index_to_text(index))
    todo = [
        Shard(
            number,
            f"{quote(data.split, safe='')}-{number:05d}-of-{count:05d}.tfrecord",
            range(number * len(data) // count, (number + 1) * len(data) // count),
        )
        for number, entry in enumerate(part["shards"])
        if not _is_there(folder, entry)
    ]
    return index, todo


def write_shard(shard: Shard, data: Dataset, folder: str) -> dict[str, Any]:
    """Writes a shard of `data`, whole or not at all.

    Returns:
      Its entry in the index: `file`, `size_bytes`, and for each record `offsets`, `lengths` (bytes) and `crc32`.
    """
    lengths, checksums = [], []
    with _aside(tf.io.gfile.join(folder, shard.file)) as path, tf.io.TFRecordWriter(path) as writer:
        for record in _records(data, shard.indices):
            writer.write(record)
            lengths.append(len(record))
            checksums.append(zlib.crc32(record))
    *offsets, size = itertools.accumulate((BEFORE + length + AFTER for length in lengths), initial=0)
    return {"file": shard.file, "size_bytes": size, "offsets": offsets, "lengths": lengths, "crc32": checksums}


def write_text(folder: str, file: str, text: str) -> None:
    """Writes `text` to a file in `folder`, whole or not at all."""
    with _aside(tf.io.gfile.join(folder, file)) as path, tf.io.gfile.GFile(path, "w") as stream:
        stream.write(text)


@contextmanager
def _aside(path: str) -> Iterator[str]:
    """A unique path to write to (Beam may run a step twice), renamed to `path` if the block ends without an error."""
    unfinished = f"{path}.{uuid4().hex[:8]}{UNFINISHED}"
    try:
        yield unfinished
        tf.io.gfile.rename(unfinished, path, overwrite=True)
    finally:
        if tf.io.gfile.exists(unfinished):
            tf.io.gfile.remove(unfinished)


def _is_there(folder: str, shard: Mapping[str, Any] | None) -> bool:
    """Whether the shard of an entry is there in its full size; a person may have deleted a damaged one."""
    if shard is None:
        return False
    path = tf.io.gfile.join(folder, shard["file"])
    return tf.io.gfile.exists(path) and tf.io.gfile.stat(path).length == shard["size_bytes"]


def _records(data: Dataset, indices: range) -> Iterator[bytes]:
    """The records of `indices` in order, made by several threads."""
    with ThreadPoolExecutor() as threads:
        for start in range(0, len(indices), READ_AT_ONCE):
            yield from threads.map(lambda index: item_to_bytes(data[index]), indices[start : start + READ_AT_ONCE])


def _read_index(folder: str, made_of: Mapping[str, Any]) -> dict[str, Any]:
    """The index in `folder`, or a new one.

    Raises:
      ConfigError: the shards are of another data set or other settings.
    """
    path = tf.io.gfile.join(folder, INDEX)
    if not tf.io.gfile.exists(path):
        return {"kseg_shards": FORMAT, **made_of, "splits": {}}
    with tf.io.gfile.GFile(path, "rb") as file:
        index = index_from_text(file.read().decode(errors="replace"), path)
    found = {name: index.get(name) for name in made_of}
    if found != made_of:
        raise ConfigError(f"{path}: the shards are of {found}, not of {dict(made_of)}.", "Choose another folder.")
    return index


def _part(index: dict[str, Any], data: Dataset, count: int, folder: str) -> dict[str, Any]:
    """The entry of the split `data` in `index`; it is added if it is not there.

    Raises:
      ConfigError: the entry has other items, other classes, or another number of shards.
    """
    new = _as_json({"traits": traits_to_json(data), "ids": list(data.ids), "shards": [None] * count})
    part = index["splits"].setdefault(data.split, new)
    differs = [
        name
        for name, same in (
            ("items", part["ids"] == new["ids"]),
            ("classes", part["traits"].items() <= new["traits"].items()),
            (f"number of shards ({len(part['shards'])})", len(part["shards"]) == count),
        )
        if not same
    ]
    if differs:
        raise ConfigError(
            f"{folder}: the split {data.split} was packed here with other {' and '.join(differs)}.",
            "Pack it with the same, or choose another folder.",
        )
    return part


def _as_json(value: Any) -> Any:
    """`value` as JSON returns it: tuples become lists."""
    return json.loads(json.dumps(value))


@contextmanager
def writing(folder: str) -> Iterator[None]:
    """Turns errors of tf.io.gfile into EnvironmentFailure."""
    try:
        yield
    except tf.errors.OpError as error:
        raise EnvironmentFailure(
            f"{folder}: can't be written ({in_a_line(error.message, 200)}). Finished shards stay.",
            "Free some space or choose another folder, and pack again.",
        ) from error
