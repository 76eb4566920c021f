"""What a run folder remembers: its configuration, and the data it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kseg import datasets
from kseg.datasets import Dataset
from kseg.errors import ConfigError
from kseg.inference import Average, resolved
from kseg.training.recipe import DataSpec, Recipe


def read_config(folder: str | Path) -> dict[str, Any] | None:
    """The configuration of the run in `folder`, or of the preset of that name; None where it is no run.

    Raises:
      ConfigError: the file is damaged.
    """
    path = resolved(folder) / "config.json"
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: damaged ({error}). Train again, or copy it from where it is whole.") from error


def average_of(model: str | Path, asked_for: Average | None) -> Average:
    """The average that was asked for, else the one of the run's recipe, else none."""
    config = read_config(model)
    return asked_for or (Recipe.from_json(config["recipe"]).average if config else "none")


def open_data(
    model: str | Path | None,
    dataset: str | None,
    data_dir: str | Path | None,
    split: str | None,
    settings: Mapping[str, Any],
) -> Dataset:
    """The data set a person means when they name a run, a data set, or both.

    Args:
      model: a run folder, whose data set, folder and options are the defaults.
      dataset, data_dir: what was named.
      split: which part; None for test where there is one, else val.
      settings: `data.` fields to replace, by dotted name.

    Raises:
      ConfigError: neither says which data set, or a setting is no field of the data.
    """
    config = read_config(model) if model is not None else None
    spec = Recipe.from_json(config["recipe"]).data if config else DataSpec(name=dataset or "")
    if dataset and spec.name != dataset:
        spec, config = DataSpec(name=dataset), None
    if not spec.name:
        raise ConfigError("On which data? Pass --dataset NAME --data-dir DIR; only a run folder remembers its own.")
    spec = Recipe("evaluation", data=spec, steps=1).with_settings(settings).data
    data_dir = data_dir or (config["data_dir"] if config else None)
    if split is None:
        held_out = datasets.open(spec.name, data_dir, split="val", **spec.options())
        split = "test" if "test" in held_out.splits else "val"
    return datasets.open(spec.name, data_dir, split=split, **spec.options())
