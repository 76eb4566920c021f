"""From a recipe to a run folder: what `train` does."""

from __future__ import annotations

import math
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import keras

from kseg import datasets
from kseg.callbacks import KeepBest, MetricsLog, Progress, Samples, Validate, save_network, write_samples
from kseg.datasets import Dataset, Survey, survey
from kseg.errors import ConfigError
from kseg.inference import Report, evaluate, geometry_of, load
from kseg.layers import InputScaling
from kseg.models import build
from kseg.pipeline import batches
from kseg.storage import write_json, writing
from kseg.training import recipes
from kseg.training.loop import make_augmentations, make_loss, make_optimizer, run_steps
from kseg.training.recipe import RECIPES, Recipe

__all__ = ["Run", "recipes", "train"]


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, and the scores of its best network on the held-out split."""

    folder: Path
    report: Report

    @property
    def model(self) -> keras.Model:
        """The best network by the recipe's measure on `val`."""
        return load(self.folder)


def train(
    recipe: str | Recipe = "demo",
    *,
    data_dir: str | Path | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Run:
    """Trains a network, scores it on the held-out split, and writes the run folder.

    Args:
      recipe: a registered name (`kseg models list`), or a recipe.
      data_dir: where the data set lies; the demo needs none.
      run: the folder to make; None for runs/RECIPE-N with the next free N.
      settings: fields to replace, by dotted name: {"optimizer.learning_rate": 1e-4}.

    Raises:
      ConfigError: a name, a field, or a run folder that exists.
      DataError: the data set, as far as it is at fault; nothing was written then.
      SizeError: the crop does not fit the network.
      TrainingDiverged: a loss that is no number.
    """
    recipe = (RECIPES.get(recipe)() if isinstance(recipe, str) else recipe).with_settings(settings or {})
    folder = _folder(recipe.name, run)
    started = time.monotonic()

    train_data, val_data = (_open(recipe, data_dir, split) for split in ("train", "val"))
    if recipe.measure == "seg" and not val_data.has_instances:
        raise ConfigError(f"measure is seg, but {val_data.name} has no numbered objects. Pass --set measure=mean_iu.")
    if recipe.measure == "v_rand" and len(val_data.classes) != 2:
        raise ConfigError(
            f"measure is v_rand, but {val_data.name} has more than two classes. Pass --set measure=mean_iu."
        )
    found, held_out = survey(train_data), survey(val_data)
    white = recipe.data.white or found.white
    _introduce(train_data, found, held_out, white)

    keras.utils.set_random_seed(recipe.seed)
    channels = found.channels
    model = build(
        recipe.model.name,
        classes=len(train_data.classes),
        input_shape=(None, None, channels),
        preprocessing=InputScaling(scale=1 / white),
        **recipe.model.options(),
    )
    geometry = geometry_of(model)
    geometry.check(*recipe.data.crop, "data.crop")
    epoch_steps = recipe.epoch_steps or math.ceil(len(train_data) / recipe.data.batch_size)
    steps = recipe.steps or (recipe.epochs or 0) * epoch_steps
    model.compile(optimizer=make_optimizer(recipe.optimizer, steps), loss=make_loss(recipe.loss))
    stream = batches(
        train_data,
        size=recipe.data.batch_size,
        seed=recipe.seed,
        augment=make_augmentations(recipe.data.augment),
        crop=recipe.data.crop,
        margin=geometry.border,
        channels=channels,
        white=white,
        border_weight=recipe.loss.border_weight if train_data.has_instances else 0.0,
        steps=steps,
    )

    with writing(folder):
        folder.mkdir(parents=True)
    write_json(folder / "config.json", _config(recipe, data_dir, train_data.classes, found, held_out))
    click.echo(f"network: {recipe.model.name}, {model.count_params():,} parameters; run folder: {folder}", err=True)
    tensorboard = keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False)
    run_steps(
        model,
        stream,
        steps=steps,
        epoch_steps=epoch_steps,
        callbacks=[
            Validate(val_data, [recipe.measure] if recipe.measure == "v_rand" else []),
            KeepBest(folder / "model.keras", monitor=f"val_{recipe.measure}"),
            Samples(val_data, folder / "samples"),
            MetricsLog(folder),
            tensorboard,
            Progress(steps),
        ],
    )
    save_network(model, folder / "last.keras")

    best = load(folder)
    scored = _open(recipe, data_dir, "test") if "test" in val_data.splits else val_data
    report = evaluate(best, scored)
    write_samples(best, scored, folder / "samples")
    write_json(
        folder / "report.json",
        {**report.to_json(), "recipe": recipe.name, "seconds": round(time.monotonic() - started)},
    )
    return Run(folder, report)


def default_recipe(dataset: str | None) -> str:
    """The recipe for a data set whose training was asked for by its name alone."""
    return {None: "demo", "demo": "demo", "isbi2012": "isbi2012-unet"}.get(dataset, "own-unet")


def _open(recipe: Recipe, data_dir: str | Path | None, split: str) -> Dataset:
    return datasets.open(recipe.data.name, data_dir, split=split, **recipe.data.options())


def _folder(name: str, run: str | Path | None) -> Path:
    """The folder of a new run.

    Raises:
      ConfigError: `run` exists.
    """
    if run is None:
        number = 1
        while (folder := Path("runs") / f"{name}-{number}").exists():
            number += 1
        return folder
    folder = Path(run)
    if folder.exists():
        raise ConfigError(
            f"{folder}: this run folder exists already. Choose another --run, or leave it out for the next free one."
        )
    return folder


def _introduce(data: Dataset, found: Survey, held_out: Survey, white: float) -> None:
    """Says what was found in the data, and what looks wrong with it."""
    total = max(1, int(found.class_pixels.sum()))
    shares = ", ".join(
        f"{name} {count / total:.1%}" for name, count in zip(data.classes, found.class_pixels, strict=True)
    )
    click.echo(
        f"data: {data.name}, {found.images} images to train on, {held_out.images} to choose by; "
        f"{len(data.classes)} classes: {shares}",
        err=True,
    )
    if found.brightest < white / 4:
        click.echo(
            f"warning: the brightest pixel is {found.brightest:g}, white is {white:g}. "
            f"Is that the camera's white? Else pass --set data.white={found.brightest:g}.",
            err=True,
        )
    for name, count in zip(data.classes, found.class_pixels, strict=True):
        if count == 0:
            click.echo(f"warning: class {name!r} has no pixel to train on.", err=True)


def _config(
    recipe: Recipe, data_dir: str | Path | None, classes: tuple[str, ...], found: Survey, held_out: Survey
) -> dict[str, Any]:
    """What must be known to tell this run from another."""
    packages = ("kseg", "tensorflow", "keras", "numpy", "opencv-python-headless")
    return {
        "recipe": recipe.to_json(),
        "data_dir": None if data_dir is None else str(Path(data_dir).resolve()),
        "precision": "float32",
        "classes": list(classes),
        "fingerprint": {"train": found.fingerprint, "val": held_out.fingerprint},
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        "command": sys.argv,
    }
