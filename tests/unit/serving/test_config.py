"""The configuration files of a server, parsed back by TensorFlow's own messages."""

import shlex

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from kseg.errors import ConfigError, DataError
from kseg.serving.config import BATCHING, METRICS, MODELS, MONITORING, write_config


@pytest.fixture
def base(tmp_path):
    for version in ("cells/1", "cells/2", 'the "other"/7'):
        (tmp_path / "models" / version).mkdir(parents=True)
        (tmp_path / "models" / version / "saved_model.pb").touch()
    (tmp_path / "models" / "notes").mkdir()
    return tmp_path / "models"


def message(name, *fields):
    """A message class with (number, name, type or message) fields, as the server's source declares them."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="test", syntax="proto3")
    inner = file.message_type.add(name="Inner")
    made = file.message_type.add(name=name)
    for number, called, kind in fields:
        if isinstance(kind, list):
            for place, word, plain in kind:
                inner.field.add(name=word, number=place, label=1, type=plain)
            made.field.add(name=called, number=number, label=1, type=11, type_name=".test.Inner")
        else:
            made.field.add(name=called, number=number, label=1, type=kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name], pool)[f"test.{name}"]


def test_the_files_are_those_of_tensorflow_serving(base, tmp_path):
    model_server_config_pb2 = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    labels = {"cells": {"stable": 1, "canary": 2}}
    lines = write_config(base, tmp_path / "server", labels=labels, batch=8)
    text = (tmp_path / "server" / MODELS).read_text()
    found = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    cells, other = found.model_config_list.config
    assert (cells.name, cells.base_path, cells.model_platform) == ("cells", "/models/cells", "tensorflow")
    assert list(cells.model_version_policy.specific.versions) == [1, 2]
    assert dict(cells.version_labels) == {"stable": 1, "canary": 2}
    assert (other.name, other.base_path) == ('the "other"', '/models/the "other"') and not other.version_labels
    words = shlex.split(lines[0])
    assert words[:2] == ["docker", "run"] and f"{base}:/models:ro" in words
    assert "--model_config_file=/config/models.config" in words and "--enable_batching=true" in words


def test_monitoring_and_batching_have_the_server_s_fields(base, tmp_path):
    write_config(base, tmp_path / "server", batch=8)
    monitoring = message("Monitoring", (1, "prometheus_config", [(1, "enable", 8), (2, "path", 9)]))
    found = text_format.Parse((tmp_path / "server" / MONITORING).read_text(), monitoring())
    assert found.prometheus_config.enable and found.prometheus_config.path == METRICS
    value = [(1, "value", 3)]
    batching = message("Batching", (1, "max_batch_size", value), (7, "pad_variable_length_inputs", 8))
    lines = (tmp_path / "server" / BATCHING).read_text().splitlines()
    known = "\n".join(line for line in lines if line.startswith(("max_batch_size", "pad_")))
    found = text_format.Parse(known, batching())
    assert found.max_batch_size.value == 8 and not found.pad_variable_length_inputs
    assert {line.split()[0].rstrip(":") for line in lines} == {
        "max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "pad_variable_length_inputs",
    }  # fmt: skip


def test_what_can_not_be_served_is_refused(base, tmp_path):
    with pytest.raises(DataError, match="there is no bundle here"):
        write_config(tmp_path, tmp_path / "server")
    with pytest.raises(ConfigError, match="canary is for version 3 of cells, but there is 1, 2"):
        write_config(base, tmp_path / "server", labels={"cells": {"canary": 3}})
    assert not (tmp_path / "server").exists()
    write_config(base, tmp_path / "server")
    with pytest.raises(ConfigError, match="this exists"):
        write_config(base, tmp_path / "server")
    assert "version_labels" not in (tmp_path / "server" / MODELS).read_text()
