import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from test_batches import Numbered, TwoTasks

from kseg import datasets
from kseg.cli.data import data as verb
from kseg.datasets import Dataset, Item
from kseg.errors import ConfigError, DataError, EnvironmentFailure
from kseg.pipeline import Elastic, Grey, Mirror, batch_indices, batches
from kseg.pipeline.shards import pack


class Breaking(Numbered):
    """Reads up to an item, then stops; `reads` counts."""

    def __init__(self, count: int, stop: int, error: type[BaseException]) -> None:
        super().__init__(count)
        self.stop, self.error, self.reads = stop, error, 0

    def read(self, index: int) -> Item:
        self.reads += 1
        if index == self.stop:
            raise self.error(f"item {index}")
        return super().read(index)


class Deep(Dataset):
    """16 bits, weighed, with numbered objects and names that are no plain words."""

    name, split, splits, classes = "deep", "held out/1", ("held out/1",), ("no", "ja ✓")
    ids, has_instances, has_weights, scored_classes = ("a b", "ä"), True, True, (1,)

    def read(self, index: int) -> Item:
        cells = np.zeros((6, 7), np.int32)
        cells[1:3, 1:3], cells[1:3, 4:6] = 1, 70_000
        image = np.random.default_rng(index).integers(0, 65536, (6, 7, 2)).astype(np.uint16)
        return Item(self.ids[index], image, (cells > 0).astype(np.int32), cells, weight=0.1 * (index + 1))


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("worker", "workers"), [(0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("data", [Numbered(5, has_instances=True), TwoTasks(), Deep()], ids=lambda data: data.name)
def test_each_workers_batches_from_shards_are_those_from_files_to_the_bit(data, worker, workers, tmp_path):
    pack(data, str(tmp_path), shards=2)
    packed = datasets.open("packed", tmp_path, split=data.split)
    assert (packed.classes, packed.scored_classes) == (data.classes, data.scored_classes)
    options = {
        "size": 3,
        "seed": 3,
        "worker": worker,
        "workers": workers,
        "augment": [Mirror(), Elastic(), Grey()],
        "crop": (5, 5),
        "steps": 3,
        "border_weight": 10.0 if data.has_instances else 0.0,
    }
    for one, other in zip(batches(data, **options), batches(packed, **options), strict=True):
        for first, second in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second)


def test_a_worker_reads_its_own_share_of_the_items_and_no_other(tmp_path):
    pack(Numbered(6), str(tmp_path), shards=2)
    packed = datasets.open("packed", tmp_path, split="train")
    reads: list[int] = []
    read = packed.read
    packed.read = lambda index: reads.append(index) or read(index)
    for _ in batches(packed, size=3, seed=1, worker=1, workers=2, steps=2):
        pass
    # The first item is read for its shape. Of each step's three the second worker has the second.
    assert reads[0] == 0
    assert sorted(reads[1:]) == sorted(batch_indices(6, size=3, seed=1, step=step)[1] for step in (0, 1))


def test_shards_are_tfrecords_that_tensorflow_reads_and_verifies(tmp_path):
    pack(Numbered(5), str(tmp_path), shards=2)
    records = [tf.data.TFRecordDataset(str(path)) for path in sorted(tmp_path.glob("*.tfrecord"))]
    assert [len(list(shard)) for shard in records] == [2, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_a_pack_that_broke_off_goes_on_behind_its_last_shard(error, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    pack(Numbered(9), str(whole), shards=3)
    with pytest.raises(error, match="item 4"):
        pack(Breaking(9, 4, error), str(broken), shards=3)
    assert set(files(broken)) == {"index.json", "train-00000-of-00003.tfrecord"}
    with pytest.raises(DataError, match="3 of 9 items are packed"):
        datasets.open("packed", broken, split="train")
    rest = Breaking(9, -1, error)
    done: list[int] = []
    pack(rest, str(broken), shards=3, progress=done.append)
    assert rest.reads == 6 and done == [3, 3, 3]
    assert files(broken) == files(whole)


def test_what_a_killed_pack_left_aside_is_removed(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    pack(Numbered(4), str(whole), shards=2)
    broken.mkdir()
    for name in ("train-00000-of-00002.tfrecord.12ab34cd.part", "index.json.12ab34cd.part"):
        (broken / name).write_bytes(b"half")
    (broken / "train-00001-of-00002.tfrecord").write_bytes(b"not entered in the index")
    pack(Numbered(4), str(broken), shards=2)
    assert files(broken) == files(whole)


def test_a_damaged_shard_that_was_removed_is_made_again(tmp_path):
    pack(Numbered(4), str(tmp_path), shards=2)
    before = files(tmp_path)
    (tmp_path / "train-00001-of-00002.tfrecord").unlink()
    rest = Breaking(4, -1, KeyError)
    pack(rest, str(tmp_path), shards=2)
    assert rest.reads == 2 and files(tmp_path) == before


def test_another_data_set_or_division_does_not_go_on_in_the_same_folder(tmp_path):
    pack(Numbered(4), str(tmp_path), shards=2, settings={"data.values": (0, 255)})
    same = {"shards": 2, "settings": {"data.values": (0, 255)}}
    pack(Numbered(4), str(tmp_path), **same)
    for data, change, message in (
        (Numbered(5), {}, "packed here with other items"),
        (Numbered(4, has_instances=True), {}, "packed here with other classes"),
        (Numbered(4), {"shards": 3}, r"with other number of shards \(2\)"),
        (Numbered(4), {"settings": {}}, "index.json: the shards are of .*'data.values'"),
        (Deep(), {}, "index.json: the shards are of .*numbered.*, not of .*deep"),
    ):
        with pytest.raises(ConfigError, match=message):
            pack(data, str(tmp_path), **{**same, **change})


def test_a_number_of_shards_that_can_not_be_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="^shards is 5, but train has 4 items. Give 1 to 4"):
        pack(Numbered(4), str(tmp_path), shards=5)
    with pytest.raises(DataError, match="numbered: the split train is empty"):
        pack(Numbered(0), str(tmp_path))


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailure, match="file/inner: can't be written .*Finished shards stay"):
        pack(Numbered(1), str(tmp_path / "file" / "inner"))


def test_shards_are_written_through_gfile_and_so_to_any_of_its_file_systems(tmp_path):
    pack(Numbered(3), "ram://bucket/cells", shards=2)
    for name in tf.io.gfile.listdir("ram://bucket/cells"):
        tf.io.gfile.copy(f"ram://bucket/cells/{name}", str(tmp_path / name))
    pack(Numbered(3), str(tmp_path / "local"), shards=2)
    assert files(tmp_path / "local") == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_the_command_packs_the_parts_a_training_uses_and_counts_them(tmp_path):
    out = str(tmp_path / "shards")
    result = CliRunner().invoke(verb, ["pack", "--dataset", "demo", "-o", out, "--shards", "2"])
    assert result.exit_code == 0 and "train: 24 images" in result.stderr and "val: 8 images" in result.stderr
    figures = [
        json.loads(CliRunner().invoke(verb, ["stats", "--json", "-", "--split", "val", *name]).stdout)
        for name in (["--dataset", "demo"], ["--dataset", "packed", "--data-dir", out])
    ]
    assert figures[0].pop("dataset") == "demo" and figures[1].pop("dataset") == "packed"
    assert figures[0] == figures[1] and figures[0]["images"] == 8


def test_a_shard_that_was_cut_is_made_again(tmp_path):
    pack(Numbered(4), str(tmp_path), shards=2)
    before = files(tmp_path)
    shard = tmp_path / "train-00001-of-00002.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-5])
    pack(Numbered(4), str(tmp_path), shards=2)
    assert files(tmp_path) == before
