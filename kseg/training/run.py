"""What a run folder remembers: its configuration, and the data it was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from kseg import datasets
from kseg.datasets import Dataset
from kseg.errors import ConfigError
from kseg.inference import Average, resolved
from kseg.training.recipe import Recipe, field_names
from kseg.training.specs import DataSpec


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


def open_run(run: str | Path | None, resume: str | Path) -> tuple[Path | None, dict[str, Any] | None]:
    """The run folder that was named and the configuration it holds; None for either that is not there.

    Args:
      run: the folder; None for a new one, or for that of the checkpoint.
      resume: "auto", "never", or a checkpoint's folder.

    Raises:
      ConfigError: the folder is there and may not be, holds something else, or the checkpoint is not one of it.
    """
    if resume not in ("auto", "never"):
        of_checkpoint = Path(resume).resolve().parent.parent
        if not Path(resume).is_dir():
            raise ConfigError(f"{resume}: there is no such checkpoint. They lie in RUN/checkpoints/step-...")
        if run is not None and Path(run).resolve() != of_checkpoint:
            raise ConfigError(f"{resume}: this is a checkpoint of {of_checkpoint}, not of {run}. Leave --run out.")
        run = run or of_checkpoint
    if run is None:
        return None, None
    folder = Path(run)
    if folder.exists() and resume == "never":
        raise ConfigError(f"{folder}: this run folder exists already. Choose another --run, or leave --resume out.")
    config = read_config(folder) if folder.is_dir() else None
    if config is None and folder.exists():
        inside = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ["a file"]
        found = [name for name in inside if not name.startswith(".kseg-")][:3]
        if found:
            raise ConfigError(
                f"{folder}: no run folder (no config.json; found {', '.join(found)}). Choose another --run."
            )
    return folder, config


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps every other process from training in `folder`, where the system has locks for files.

    Raises:
      ConfigError: one does.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (folder / "config.json").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"{folder}: another process trains there. Wait for it, or choose another --run."
            ) from error
        except OSError:
            pass  # a file system without locks
        yield


def check_same(folder: Path, recorded: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Whether a run may go on with the configuration that was asked for.

    Raises:
      ConfigError: not all of recipe, classes and data are the same; the message names what differs.
    """
    before, now = _flat(recorded), _flat(config)
    lines = [
        f"  {name}: {before.get(name, 'not there')} in this run, {now.get(name, 'not there')} asked for"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if lines:
        raise ConfigError(
            f"{folder}: this run has another configuration.\n" + "\n".join(lines) + "\n"
            f"Ask for the same (--run alone does), or go on from its network: --run NEW --init-weights {folder}."
        )
    if recorded["versions"] != config["versions"]:
        changed = [f"{name} {old}" for name, old in recorded["versions"].items() if old != config["versions"].get(name)]
        click.echo(f"warning: this run began with {', '.join(changed)}; figures may differ by rounding.", err=True)
    if recorded.get("threads", config.get("threads")) != config.get("threads"):
        words = f"{recorded['threads']} threads, and goes on with {config['threads']}"
        click.echo(f"warning: this run began with {words}; figures may differ by rounding.", err=True)


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two runs the same: the recipe's fields by dotted name, classes, and the data's fingerprints."""
    recipe = Recipe.from_json(config["recipe"])
    fingerprints = {f"fingerprint.{split}": value[:12] for split, value in config["fingerprint"].items()}
    # How often the state is saved changes no result.
    fields = {name: recipe.value(name) for name in field_names() if not name.startswith("checkpoint.")}
    return {**fields, "classes": config["classes"], **fingerprints}


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
    splits = ("test", "val") if split is None else (split,)
    return datasets.open_first(spec.name, data_dir, splits, **spec.options())
