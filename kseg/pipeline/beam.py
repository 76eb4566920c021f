"""The same packing as an Apache Beam pipeline, a step per shard, on whatever runner there is (the extra `beam`)."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from kseg.datasets import Dataset
from kseg.datasets.shards.packed import INDEX, index_to_text
from kseg.errors import ConfigError, EnvironmentFailure, KsegError
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
    """Writes what `kseg.pipeline.shards.pack` writes, byte for byte, or goes on with it.

    A worker leaves the entry of a finished shard beside it; all are entered in the index at the end.

    Args:
      data: what to pack; every worker must find its files at the same place, and so the plugins that were loaded.
      folder: a folder that all workers share, or gs://BUCKET/FOLDER.
      options: Beam's own, as ["--runner=FlinkRunner", "--flink_master=host:8081"]; none for the direct runner.
      shards, settings: as `pack` takes them.

    Raises:
      ConfigError: Apache Beam is not installed, or as `pack`.
      DataError, EnvironmentFailure: as `pack`; what went wrong in another process is an EnvironmentFailure.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ConfigError("Apache Beam is not installed. Install it: pip install 'kseg[beam]'") from error
    with writing(folder):
        index, todo = plan(data, folder, shards=shards, settings=settings)
        try:
            with apache_beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
                steps = pipeline | apache_beam.Create(todo) | apache_beam.Reshuffle()
                _ = steps | apache_beam.Map(_write, pickle.dumps(data), folder, loaded_plugins())
        except KsegError:
            raise
        except RuntimeError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise EnvironmentFailure(
                f"{folder}: the pipeline failed ({reason}). The shards that are finished stay. "
                "Is kseg installed on every worker, and are the data there? Then run the same command again."
            ) from error
        for shard in todo:
            with tf.io.gfile.GFile(_entry(folder, shard)) as file:
                index["splits"][data.split]["shards"][shard.number] = json.loads(file.read())
        write_text(folder, INDEX, index_to_text(index))
        for shard in todo:
            tf.io.gfile.remove(_entry(folder, shard))


def _write(shard: Shard, packed: bytes, folder: str, plugins: Sequence[str]) -> None:
    """One step: a shard and its entry, unless a pipeline that broke off has left both.

    The data set comes as bytes of its own, so that a worker imports the plugin it may be from before it unpacks them.
    """
    for plugin in plugins:
        load_plugin(plugin)
    data: Dataset = pickle.loads(packed)
    if not tf.io.gfile.exists(_entry(folder, shard)):
        write_text(folder, f"{shard.file}.json", json.dumps(write_shard(shard, data, folder)))


def _entry(folder: str, shard: Shard) -> str:
    return tf.io.gfile.join(folder, f"{shard.file}.json")
