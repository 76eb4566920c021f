"""The configuration of a TensorFlow Serving server for the bundles in a folder, and the commands that start it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kseg.errors import ConfigError, DataError
from kseg.storage import aside

MODELS, MONITORING, BATCHING = "models.config", "monitoring.config", "batching.config"
IMAGE = "tensorflow/serving"
METRICS = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class Served:
    """A model of the server.

    Attributes:
      name: its name there, that of its folder.
      versions: those that are served; () for the highest alone.
      labels: versions by label, for requests that name no number ({"stable": 3, "canary": 4}).
    """

    name: str
    versions: Sequence[int] = ()
    labels: Mapping[str, int] = field(default_factory=dict)


def write_config(
    base: str | Path,
    output: str | Path,
    *,
    labels: Mapping[str, Mapping[str, int]] | None = None,
    inside: str = "/models",
    batch: int | None = None,
) -> list[str]:
    """Writes the files of a server that serves every bundle in `base`.

    Args:
      base: the folder with a folder for each model (`kseg.export`).
      output: a new folder for the files.
      labels: by model, versions by label. A model with labels serves all versions that have one.
      inside: where the server finds `base`; in a container of the published image that is /models.
      batch: how many requests the server may compute together; None for each alone. Only for servers whose images all
        have one size, or come as files: arrays of different sizes that meet in a batch fail.

    Returns:
      The lines that start the server in a container, and that ask whether it is ready.

    Raises:
      DataError: there is no bundle in `base`.
      ConfigError: a label names a model or a version that is not there.
      EnvironmentFailure: `output` exists, or can't be written.
    """
    base, output = Path(base), Path(output)
    models = found_in(base)
    if not models:
        raise DataError(f"{base}: there is no bundle here.", "`kseg export` writes BASE/NAME/VERSION: name BASE.")
    for name, asked in (labels or {}).items():
        for label, version in asked.items():
            if version not in models.get(name, ()):
                there = ", ".join(map(str, models.get(name, ()))) or "no version of it"
                raise ConfigError(f"The label {label} is for version {version} of {name}, but there is {there}.")
    served = [
        Served(name, sorted(set((labels or {}).get(name, {}).values())), (labels or {}).get(name, {}))
        for name in models
    ]
    files = {MODELS: _models(served, inside), MONITORING: _monitoring()}
    if batch is not None:
        files[BATCHING] = _batching(batch)
    if output.exists():
        raise ConfigError(f"{output}: this exists.", "Name a new folder.")
    with aside(output) as new:
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text, encoding="utf-8")
    return _lines(base, output, inside, next(iter(models)), is_batched=batch is not None)


def found_in(base: Path) -> dict[str, list[int]]:
    """The versions of each model in a folder, by name."""
    found = {}
    for folder in sorted(base.iterdir()) if base.is_dir() else ():
        versions = sorted(
            int(each.name) for each in folder.glob("*") if each.name.isdigit() and (each / "saved_model.pb").is_file()
        )
        if versions:
            found[folder.name] = versions
    return found


def _models(served: Sequence[Served], inside: str) -> str:
    lines = ["model_config_list {"]
    for each in served:
        lines += ["  config {", f"    name: {_quoted(each.name)}"]
        lines += [f"    base_path: {_quoted(f'{inside}/{each.name}')}", '    model_platform: "tensorflow"']
        if each.versions:
            versions = " ".join(f"versions: {version}" for version in each.versions)
            lines.append(f"    model_version_policy {{ specific {{ {versions} }} }}")
        lines += [f"    version_labels {{ key: {_quoted(key)} value: {value} }}" for key, value in each.labels.items()]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """A string of protocol buffers' text form."""
    return json.dumps(text, ensure_ascii=False)


def _monitoring() -> str:
    return f"prometheus_config {{\n  enable: true\n  path: {_quoted(METRICS)}\n}}\n"


def _batching(batch: int) -> str:
    if batch < 1:
        raise ConfigError(f"batch is {batch}, but must be at least 1.")
    return (
        f"max_batch_size {{ value: {batch} }}\nbatch_timeout_micros {{ value: 5000 }}\n"
        f"max_enqueued_batches {{ value: 100 }}\npad_variable_length_inputs: false\n"
    )


def _lines(base: Path, output: Path, inside: str, model: str, *, is_batched: bool) -> list[str]:
    """The commands for a person."""
    config = "/config"
    words = ["docker", "run", "--rm", "-p", "8500:8500", "-p", "8501:8501"]
    words += ["-v", f"{base.resolve()}:{inside}:ro", "-v", f"{output.resolve()}:{config}:ro", IMAGE]
    words += [f"--model_config_file={config}/{MODELS}", f"--monitoring_config_file={config}/{MONITORING}"]
    words += ["--allow_version_labels_for_unavailable_models=true"]
    if is_batched:
        words += ["--enable_batching=true", f"--batching_parameters_file={config}/{BATCHING}"]
    ready = f"curl http://localhost:8501/v1/models/{model}"
    return [shlex.join(words), ready]
