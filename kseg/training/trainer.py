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
import tensorflow as tf

from kseg import datasets
from kseg.callbacks import KeepBest, MetricsLog, Progress, Samples, Validate, save_network, write_samples
from kseg.datasets import Dataset, Survey, survey
from kseg.errors import ConfigError, DataError
from kseg.inference import Report, evaluate, geometry_of, load, resolved
from kseg.models import build, own_scaling
from kseg.pipeline import batches
from kseg.storage import write_json, writing
from kseg.training import recipes
from kseg.training.loop import dtype_policy, make_augmentations, make_loss, make_optimizer, run_steps
from kseg.training.recipe import RECIPES, Recipe
from kseg.weights import initial_weights

__all__ = ["Run", "default_recipe", "recipes", "train"]

USES = {"train": "train on", "val": "choose by", "test": "report on"}


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

    parts = _open_parts(recipe, data_dir)
    surveys = {split: survey(data) for split, data in parts.items()}
    _introduce(recipe, parts, surveys)
    model = _compiled(recipe, parts["train"], surveys["train"])
    stream = _stream(recipe, parts["train"], surveys["train"], model)

    with writing(folder):
        folder.mkdir(parents=True)
    write_json(folder / "config.json", _config(recipe, data_dir, parts["train"].classes, surveys))
    click.echo(f"network: {recipe.model.name}, {model.count_params():,} parameters; run folder: {folder}", err=True)
    steps, epoch_steps = _lengths(recipe, parts["train"])
    callbacks = [
        Validate(parts["val"], [recipe.measure] if recipe.measure == "v_rand" else []),
        KeepBest(folder / "model.keras", monitor=f"val_{recipe.measure}"),
        Samples(parts["val"], folder / "samples"),
        MetricsLog(folder),
        keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False),
        Progress(steps),
    ]
    run_steps(model, stream, steps=steps, epoch_steps=epoch_steps, callbacks=callbacks)
    save_network(model, folder / "last.keras")

    best = load(folder)
    scored = parts.get("test", parts["val"])
    report = evaluate(best, scored, average=recipe.average)
    write_samples(best, scored, folder / "samples")
    seconds = round(time.monotonic() - started)
    write_json(folder / "report.json", {**report.to_json(), "recipe": recipe.name, "seconds": seconds})
    return Run(folder, report)


def default_recipe(dataset: str | None) -> str:
    """The recipe for a data set whose training was asked for by its name alone."""
    own = {"isbi2012": "isbi2012-unet", "ctc": "ctc-unet", "camvid": "camvid-fcn8s"}
    return "demo" if dataset in (None, "demo") else own.get(dataset, "own-unet")


def _open_parts(recipe: Recipe, data_dir: str | Path | None) -> dict[str, Dataset]:
    """The splits to train on, to choose by, and, where there is one, to report on.

    Raises:
      ConfigError: the data can't be scored by the recipe's measure.
    """

    def part(split: str) -> Dataset:
        return datasets.open(recipe.data.name, data_dir, split=split, **recipe.data.options())

    parts = {split: part(split) for split in ("train", "val")}
    lacks = {
        "mean_iu": None,
        "seg": None if parts["val"].has_instances else "no numbered objects",
        "v_rand": None if len(parts["val"].classes) == 2 else "not two classes",
    }[recipe.measure]
    if lacks:
        raise ConfigError(
            f"measure is {recipe.measure}, but {recipe.data.name} has {lacks}. Pass --set measure=mean_iu."
        )
    return {**parts, "test": part("test")} if "test" in parts["val"].splits else parts


def _white(recipe: Recipe, found: Survey) -> float:
    """The grey level that is 1 to the network."""
    return recipe.data.white or found.white


def _lengths(recipe: Recipe, data: Dataset) -> tuple[int, int]:
    """The steps of the whole training and of an epoch."""
    epoch_steps = recipe.epoch_steps or math.ceil(len(data) / recipe.data.batch_size)
    return recipe.steps or (recipe.epochs or 0) * epoch_steps, epoch_steps


def _compiled(recipe: Recipe, data: Dataset, found: Survey) -> keras.Model:
    """The recipe's network for these data, with its loss and optimiser.

    Raises:
      SizeError: the crop does not fit it.
      WeightsError: what it starts from can't be read.
    """
    keras.utils.set_random_seed(recipe.seed)
    options = recipe.model.options()
    with dtype_policy(recipe.precision):
        model = build(
            recipe.model.name,
            classes=len(data.classes),
            input_shape=(None, None, found.channels),
            preprocessing=own_scaling(recipe.model.name, options).for_white(_white(recipe, found)),
            **options,
        )
    initial_weights(model, str(resolved(recipe.init_weights)))
    geometry_of(model).check(*recipe.data.crop, "data.crop")
    optimizer = make_optimizer(recipe.optimizer, _lengths(recipe, data)[0])
    model.compile(optimizer=optimizer, loss=make_loss(recipe.loss))
    return model


def _stream(recipe: Recipe, data: Dataset, found: Survey, model: keras.Model) -> tf.data.Dataset:
    """The batches of the whole training."""
    return batches(
        data,
        size=recipe.data.batch_size,
        seed=recipe.seed,
        augment=make_augmentations(recipe.data.augment),
        crop=recipe.data.crop,
        margin=geometry_of(model).border,
        channels=found.channels,
        white=_white(recipe, found),
        interpolation=recipe.data.augment.interpolation,
        border_weight=recipe.loss.border_weight if data.has_instances else 0.0,
        steps=_lengths(recipe, data)[0],
    )


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


def _introduce(recipe: Recipe, parts: Mapping[str, Dataset], surveys: Mapping[str, Survey]) -> None:
    """Says what was found in the data, and what looks wrong with it.

    Raises:
      DataError: the splits' images differ in depth.
    """
    data, found, white = parts["train"], surveys["train"], _white(recipe, surveys["train"])
    for split, other in surveys.items():
        if other.kind != found.kind:
            raise DataError(
                f"{data.name}: {split} has images of {other.kind}, train of {found.kind}. Save all in one depth."
            )
    total = max(1, int(found.class_pixels.sum()))
    shares = [f"{name} {count / total:.1%}" for name, count in zip(data.classes, found.class_pixels, strict=True)]
    counts = [f"{surveys[split].images} to {use}" for split, use in USES.items() if split in surveys]
    click.echo(f"data: {data.name}, images: {', '.join(counts)}; {len(shares)} classes: {', '.join(shares)}", err=True)
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
    recipe: Recipe, data_dir: str | Path | None, classes: tuple[str, ...], surveys: Mapping[str, Survey]
) -> dict[str, Any]:
    """What must be known to tell this run from another."""
    packages = ("kseg", "tensorflow", "keras", "numpy", "opencv-python-headless")
    return {
        "recipe": recipe.to_json(),
        "data_dir": None if data_dir is None else str(Path(data_dir).resolve()),
        "precision": recipe.precision,
        "classes": list(classes),
        "fingerprint": {split: found.fingerprint for split, found in surveys.items()},
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        "command": sys.argv,
    }
