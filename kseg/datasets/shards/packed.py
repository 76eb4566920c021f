"""Reads a data set that `kseg data pack` wrote: TFRecord shards and an index, so that items can be read in any order.

    DIR/index.json                          the items of each shard and their offsets
    DIR/train-00000-of-00012.tfrecord       records (`records`), as TFRecord frames them: the length in 8 bytes, its
                                            checksum in 4, the record, its checksum in 4

Each record is checked by the CRC-32 in the index. The CRC-32C in the shard is for other readers of TFRecord files.

Source of the framing: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kseg.datasets.contract import DATASETS, Dataset, Item, find_root
from kseg.datasets.shards.addresses import is_address, join, read_bytes, size_of
from kseg.datasets.shards.records import item_from_bytes
from kseg.errors import DataError, in_a_line

INDEX = "index.json"
FORMAT = 1
# What a data set says about itself beside its items; and `colours`.
TRAITS = (
    ("classes", "scored_classes", "has_instances", "has_weights", "em_measures")
    + ("colour_channels", "colour_white", "upright")
)  # fmt: skip
BEFORE, AFTER = 12, 4  # bytes that TFRecord puts around a record
_LENGTH = struct.Struct("<Q")
_AGAIN = "Copy it again from where it is whole, or remove it and run the same `kseg data pack` again."


class Record(NamedTuple):
    """A record: its shard, its number there, the offset of its frame and its own length in bytes, and its CRC-32."""

    shard: str
    number: int
    offset: int
    length: int
    crc32: int


@DATASETS.register("packed")
class Packed(Dataset):
    """Any data set as `data pack` wrote it: TFRecord shards, item for item the same.

    Args:
      data_dir: the folder of shards, or the one around it; or gs://BUCKET/FOLDER, from which each item is read when it
        is needed.
      split: one that was packed.
    """

    name = "packed"

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        self._root = str(data_dir if is_address(data_dir) else find_root(self.name, data_dir, [INDEX]))
        path = join(self._root, INDEX)
        try:
            index = index_from_text(read_bytes(path).decode(errors="replace"), path)
        except FileNotFoundError as error:
            raise DataError(f"{self.name}: {data_dir} does not hold it.", f"Looked there for {INDEX}.") from error
        self.choose(split, list(index["splits"]))
        found = index["splits"][split]
        self.ids = found["ids"]
        for name, value in traits_from_json(found["traits"]).items():
            setattr(self, name, value)
        self._records = [record for shard in found["shards"] for record in self._of_shard(shard)]
        if len(self._records) != len(self.ids):
            what = f"{path}: of the split {split} {len(self._records)} of {len(self.ids)} items are packed."
            raise DataError(what, "Run the same `kseg data pack` again; it goes on where it stopped.")

    def read(self, index: int) -> Item:
        record = self._records[index]
        name = self.location(index)
        try:
            frame = read_bytes(join(self._root, record.shard), record.offset, BEFORE + record.length + AFTER)
        except FileNotFoundError as error:
            raise DataError(f"{name}: the shard is not there any more.", _AGAIN) from error
        data = frame[BEFORE : BEFORE + record.length]
        if len(frame) != BEFORE + record.length + AFTER or _LENGTH.unpack_from(frame) != (record.length,):
            raise DataError(f"{name}: no record of {record.length:,} bytes at byte {record.offset:,}.", _AGAIN)
        if zlib.crc32(data) != record.crc32:
            what = f"{name}: damaged: its CRC-32 is {zlib.crc32(data):08x}, but {record.crc32:08x} was written."
            raise DataError(what, _AGAIN)
        return item_from_bytes(data)

    def location(self, index: int) -> str:
        record = self._records[index]
        return f"{join(self._root, record.shard)}, record {record.number} ({self.ids[index]})"

    def _of_shard(self, shard: Mapping[str, Any] | None) -> list[Record]:
        """The records of one shard; none where it is not written yet.

        Raises:
          DataError: its file is not there, or of another size.
        """
        if shard is None:
            return []
        path = join(self._root, shard["file"])
        size = size_of(path)
        if size != shard["size_bytes"]:
            found = "is not there" if size is None else f"has {size:,} of {shard['size_bytes']:,} bytes"
            raise DataError(f"{path}: the shard {found}.", _AGAIN)
        frames = zip(shard["offsets"], shard["lengths"], shard["crc32"], strict=True)
        return [Record(shard["file"], number, *frame) for number, frame in enumerate(frames)]


def traits_to_json(data: Dataset) -> dict[str, Any]:
    """The traits of `data` beside its items, for the index."""
    return {**{name: getattr(data, name) for name in TRAITS}, "colours": _as_lists(data.colours)}


def traits_from_json(traits: Mapping[str, Any]) -> dict[str, Any]:
    """The traits as they were, with tuples in place of JSON's lists."""

    def restored(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: restored(one) for name, one in value.items()}
        return tuple(map(restored, value)) if isinstance(value, list) else value

    return restored(traits)


def _as_lists(colours: Any) -> Any:
    """Colours as JSON takes them; they may be arrays, or a dict of such."""
    if isinstance(colours, Mapping):
        return {head: _as_lists(one) for head, one in colours.items()}
    return None if colours is None else np.asarray(colours).tolist()


def index_to_text(index: Mapping[str, Any]) -> str:
    """An index as JSON, with its own CRC-32."""
    return json.dumps({**index, "crc32": _checksum(index)}, separators=(",", ":")) + "\n"


def index_from_text(text: str, path: str) -> dict[str, Any]:
    """The index that was read from `path`.

    Raises:
      DataError: it is damaged, or of another form.
    """
    try:
        index = json.loads(text)
        found, checksum = index["kseg_shards"], index.pop("crc32")
    except (ValueError, KeyError, TypeError) as error:
        what = f"{path}: no index of shards ({in_a_line(error)})."
        raise DataError(what, "Is this a folder that `kseg data pack` wrote?") from error
    if found != FORMAT:
        raise DataError(f"{path}: shards in format {found}, but this kseg reads format {FORMAT}.", "Pack them again.")
    if checksum != _checksum(index):
        raise DataError(f"{path}: damaged: its CRC-32 is {_checksum(index)}, not {checksum}.", _AGAIN)
    return index


def _checksum(index: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(index, separators=(",", ":")).encode())
