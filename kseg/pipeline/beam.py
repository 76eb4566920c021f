"""The same packing as an Apache Beam pipeline, one step per shard, on any runner (the extra `beam`)."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from kseg.datasets import Dataset
from kseg.datasets.shards.packed import INDEX, index_to_text
from kseg.errors import ConfigError, EnvironmentFailure, KsegError, in_a_line
from kseg.pipeline.shards import Shard, plan, write_shard, write_text, writing
from kseg.registry import load_plugin, loaded_plugins


def pack_on_beam(
    data: Dataset,
    folder: str,
    *,
    options: Sequence[str] = (),
    shards: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Writes the same files as `kseg.pipeline.shards.pack`, byte for byte, or goes on with it.

    A worker writes the entry of a finished shard beside it; at the end all are entered in the index.

    Args:
      data: the split; every worker must find its files, and the loaded plugins, under the same paths.
      folder: a folder that all workers share, or gs://BUCKET/FOLDER.
      options: Beam's own, as ["--runner=FlinkRunner", "--flink_master=host:8081"]; none for the direct runner.
      shards, settings: as for `pack`.

    Raises:
      ConfigError: Apache Beam is not installed, or as `pack`.
      DataError, EnvironmentFailure: as `pack`; an error in another process is an EnvironmentFailure.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ConfigError("Apache Beam is not installed.", "Install it: pip install 'kseg[beam]'.") from error
    with writing(folder):
        index, todo = plan(data, folder, shards=shards, settings=settings)
        try:
            with apache_beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
                steps = pipeline | apache_beam.Create(todo) | apache_beam.Reshuffle()
                _ = steps | apache_beam.Map(_write, pickle.dumps(data), folder, loaded_plugins())
        except KsegError:
            raise
        except RuntimeError as error:
            *_, reason = [error, *str(error).strip().splitlines()]  # the last line
            raise EnvironmentFailure(
                f"{folder}: the pipeline failed ({in_a_line(reason)}). Finished shards stay.",
                "Check that kseg and the data are on every worker, and pack again.",
            ) from error
        for shard in todo:
            with tf.io.gfile.GFile(_entry(folder, shard)) as file:
                index["splits"][data.split]["shards"][shard.number] = json.loads(file.read())
        write_text(folder, INDEX, index_to_text(index))
        for shard in todo:
            tf.io.gfile.remove(_entry(folder, shard))


def _write(shard: Shard, packed: bytes, folder: str, plugins: Sequence[str]) -> None:
    """One step: writes a shard and its entry, unless an earlier pipeline has written both.

    The data set is pickled separately, so that a worker can import the plugin that defines it before it unpickles it.
    """
    for plugin in plugins:
        load_plugin(plugin)
    data: Dataset = pickle.loads(packed)
    if not tf.io.gfile.exists(_entry(folder, shard)):
        write_text(folder, f"{shard.file}.json", json.dumps(write_shard(shard, data, folder)))


def _entry(folder: str, shard: Shard) -> str:
    return tf.io.gfile.join(folder, f"{shard.file}.json")
