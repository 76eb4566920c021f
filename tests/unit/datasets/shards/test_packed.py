"""The reader of shards. What writes them is tested beside it (tests/unit/pipeline/test_shards.py)."""

import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kseg.datasets import Dataset, Item, open, open_first
from kseg.datasets.shards.packed import INDEX, index_from_text, index_to_text
from kseg.datasets.shards.records import item_from_bytes, item_to_bytes
from kseg.errors import DataError, EnvironmentFailure
from kseg.pipeline.shards import pack


def same(one: Item, other: Item) -> bool:
    """Whether two items are equal to the bit."""

    def plain(item: Item) -> list:
        named = {f"image {stream}": image for stream, image in item.images.items()}
        named |= {f"label {head}": label for head, label in item.labels.items()} | {"instances": item.instances}
        return [
            (name, None if array is None else (array.dtype, array.shape, array.tobytes()))
            for name, array in named.items()
        ]

    return (one.id, one.weight, plain(one)) == (other.id, other.weight, plain(other))


@given(
    image=st.sampled_from([np.uint8, np.uint16, np.float32]).flatmap(
        lambda kind: arrays.arrays(kind, st.tuples(*[st.integers(1, 5)] * 3))
    ),
    weight=st.floats(0, 1e9),
    number=st.integers(0, 2**31 - 1),
)
def test_an_item_comes_back_to_the_bit(image, weight, number):
    label = np.arange(image[..., 0].size, dtype=np.int32).reshape(image.shape[:2]) % 256
    for item in (
        Item("größe 1", image, label, weight=weight),
        Item("a", {"rgb": image, "hha": image[::-1]}, {"kind": label, "side": label.T}, np.full_like(label, number)),
    ):
        again = item_from_bytes(item_to_bytes(item))
        assert same(item, again)
        assert all(array.flags.writeable for array in (*again.images.values(), *again.labels.values()))


@pytest.fixture
def folder(tmp_path):
    """The demo's val in two shards of four."""
    pack(open("demo", split="val"), str(tmp_path), shards=2)
    return tmp_path


def test_items_are_those_of_the_data_set(folder):
    data, packed = open("demo", split="val"), open("packed", folder, split="val")
    assert packed.ids == data.ids and packed.classes == data.classes and packed.has_instances
    assert all(same(one, other) for one, other in zip(data, packed, strict=True))
    assert same(pickle.loads(pickle.dumps(packed))[3], data[3])


def test_a_flipped_bit_anywhere_in_a_record_is_named_with_shard_and_record(folder):
    packed = open("packed", folder, split="val")
    path = folder / "val-00001-of-00002.tfrecord"
    whole = path.read_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    for place in (0, 12, 12 + length // 2, 12 + length - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DataError, match=rf"val-00001-of-00002.tfrecord, record 0 \({packed.ids[4]}\): .*data pack"):
            packed[4]
        packed[5]


def test_a_shard_cut_short_or_lost_is_told_at_once_and_while_reading(folder):
    packed = open("packed", folder, split="val")
    path = folder / "val-00000-of-00002.tfrecord"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"val-00000-of-00002.tfrecord: the shard has {size - 1:,} of {size:,} bytes"):
        open("packed", folder, split="val")
    with pytest.raises(DataError, match="val-00000-of-00002.tfrecord, record 3 .*: no record of .* bytes at byte"):
        packed[3]
    path.unlink()
    with pytest.raises(DataError, match="val-00000-of-00002.tfrecord: the shard is not there. Copy it again"):
        open("packed", folder, split="val")
    with pytest.raises(DataError, match=r"val-00000-of-00002.tfrecord, record 0 .*: the shard is not there any more"):
        packed[0]


def test_a_damaged_index_is_told(folder):
    path = folder / INDEX
    text = path.read_text()
    for damaged, message in (
        (text[: len(text) // 2], "no index of shards"),
        (text.replace("cells_", "cell__", 1), "damaged: its CRC-32 is"),
        ("[]", "no index of shards"),
        ('{"kseg_shards":2,"crc32":0}', "shards in format 2, but this kseg reads format 1"),
        ("\x00\xff", "no index of shards"),
    ):
        path.write_bytes(damaged.encode("latin-1"))
        with pytest.raises(DataError, match=f"index.json: {message}"):
            open("packed", folder, split="val")


class Coloured(Dataset):
    """An image that has an up, and colours of its own."""

    name, split, splits, classes, ids = "coloured", "val", ("val",), ("no", "yes"), ("a",)
    upright, colours = True, np.array([[0, 0, 0], [255, 128, 1]], np.uint8)

    def read(self, index: int) -> Item:
        return Item("a", np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2), np.int32))


def test_whether_images_have_an_up_and_the_colours_come_back(tmp_path):
    pack(Coloured(), str(tmp_path), shards=1)
    packed = open("packed", tmp_path, split="val")
    assert packed.upright is True and packed.colours == ((0, 0, 0), (255, 128, 1))


def test_an_index_from_before_there_were_colours_still_opens_and_packing_goes_on(folder):
    index = index_from_text((folder / INDEX).read_text(), "index.json")
    for trait in ("upright", "colours"):
        del index["splits"]["val"]["traits"][trait]
    (folder / INDEX).write_text(index_to_text(index))
    packed = open("packed", folder, split="val")
    assert packed.upright is False and packed.colours is None
    pack(open("demo", split="val"), str(folder), shards=2)


def test_an_index_that_is_not_finished_says_how_to_go_on(folder):
    index = index_from_text((folder / INDEX).read_text(), "index.json")
    index["splits"]["val"]["shards"][1] = None
    (folder / INDEX).write_text(index_to_text(index))
    with pytest.raises(
        DataError, match="of the split val 4 of 8 items are packed. Run the same `kseg data pack` again"
    ):
        open("packed", folder, split="val")


@pytest.fixture
def address(request):
    """A folder of TensorFlow's file system in memory, which is reached as a bucket is; empty again afterwards."""
    folder = f"ram://{request.node.name}/shards"
    yield folder
    tf.io.gfile.rmtree(folder)


def test_shards_at_an_address_are_read_where_they_lie(address, tmp_path):
    data = open("demo", split="val")
    pack(data, address, shards=2)
    for packed in (open("packed", address, split="val"), open("packed", address + "/", split="val")):
        assert packed.ids == data.ids and packed.location(4).startswith(
            f"{address}/val-00001-of-00002.tfrecord, record 0"
        )
        assert all(same(one, other) for one, other in zip(data, packed, strict=True))
    assert same(pickle.loads(pickle.dumps(packed))[3], data[3])
    assert same(open_first("packed", address, ["test", "val"])[7], data[7])


def test_what_is_lost_or_out_of_reach_at_an_address_is_told(address):
    pack(open("demo", split="val"), address, shards=2)
    packed = open("packed", address, split="val")
    shard = f"{address}/val-00000-of-00002.tfrecord"
    tf.io.gfile.remove(shard)
    with pytest.raises(DataError, match=f"{shard}, record 0 .*: the shard is not there any more"):
        packed[0]
    with pytest.raises(DataError, match=f"{shard}: the shard is not there. Copy it again"):
        open("packed", address, split="val")
    tf.io.gfile.copy(f"{address}/index.json", shard)
    with pytest.raises(DataError, match=f"{shard}: the shard has .* bytes"):
        open("packed", address, split="val")
    with pytest.raises(DataError, match="packed: ram://nowhere/at/all does not hold it. Looked there for index.json"):
        open("packed", "ram://nowhere/at/all", split="val")
    with pytest.raises(EnvironmentFailure, match="s4://bucket/index.json: can't be read .File system scheme 's4'"):
        open("packed", "s4://bucket", split="val")


def test_a_folder_of_shards_starts_no_tensorflow(folder):
    code = (
        "import sys\nfrom kseg import datasets\n"
        f"assert len([item.label for item in datasets.open('packed', {str(folder)!r}, split='val')]) == 8\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
