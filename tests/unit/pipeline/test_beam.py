"""The direct runner; skipped where Apache Beam is not installed, as the refusal is where it is."""

import importlib.util

import pytest
from test_batches import Numbered

from kseg import datasets
from kseg.datasets import Item
from kseg.errors import ConfigError, DataError, EnvironmentFailure
from kseg.pipeline.beam import pack_on_beam
from kseg.pipeline.shards import pack

INSTALLED = importlib.util.find_spec("apache_beam") is not None
# Beam's own imports warn of what they will drop.
with_beam = [pytest.mark.skipif(not INSTALLED, reason="needs apache-beam"), pytest.mark.filterwarnings("ignore")]


class Lost(Numbered):
    """What a distant worker that ends looks like here."""

    def read(self, index: int) -> Item:
        raise RuntimeError("the worker was lost")


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.skipif(INSTALLED, reason="apache-beam is installed")
def test_without_beam_the_message_says_how_to_get_it(tmp_path):
    with pytest.raises(ConfigError, match=r"Apache Beam is not installed. Install it: pip install 'kseg\[beam\]'"):
        pack_on_beam(datasets.open("demo", split="val"), str(tmp_path))
    assert not list(tmp_path.iterdir())


class TestOnTheDirectRunner:
    pytestmark = with_beam

    def test_a_pipeline_writes_the_same_bytes(self, tmp_path):
        data = datasets.open("demo", split="val")
        pack(data, str(tmp_path / "alone"), shards=3)
        pack_on_beam(data, str(tmp_path / "beam"), shards=3)
        assert files(tmp_path / "beam") == files(tmp_path / "alone")

    def test_a_pipeline_goes_on_with_what_a_pack_has_begun(self, tmp_path):
        data = datasets.open("demo", split="val")
        pack(data, str(tmp_path), shards=3)
        before = files(tmp_path)
        (tmp_path / "val-00001-of-00003.tfrecord").unlink()
        pack_on_beam(data, str(tmp_path), shards=3)
        assert files(tmp_path) == before

    def test_a_damaged_item_ends_the_pipeline_by_its_name(self, tmp_path):
        data = datasets.open("demo", split="val")
        pack(data, str(tmp_path / "first"), shards=1)
        packed = datasets.open("packed", tmp_path / "first", split="val")
        path = tmp_path / "first" / "val-00000-of-00001.tfrecord"
        whole = path.read_bytes()
        path.write_bytes(whole[:-100] + b"!" + whole[-99:])
        with pytest.raises(DataError, match="val-00000-of-00001.tfrecord, record 7"):
            pack_on_beam(packed, str(tmp_path / "second"), shards=2)
        with pytest.raises(DataError, match="0 of 8 items are packed"):
            datasets.open("packed", tmp_path / "second", split="val")

    def test_a_worker_that_is_lost_is_an_error_of_the_surroundings(self, tmp_path):
        with pytest.raises(EnvironmentFailure, match=r"the pipeline failed \(the worker was lost.*and pack again"):
            pack_on_beam(Lost(4), str(tmp_path), shards=2)
        pack_on_beam(Numbered(4), str(tmp_path), shards=2)
        assert len(datasets.open("packed", tmp_path, split="train")) == 4
