"""A recipe met with its data: what must be known and built before the first step."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import keras
import tensorflow as tf

from kseg import datasets
from kseg.callbacks import without_pixels
from kseg.datasets import Dataset, Survey, by_name, survey
from kseg.datasets.places import is_address
from kseg.datasets.statistics import class_weights
from kseg.errors import ConfigError, DataError, did_you_mean
from kseg.inference import geometry_of, resolved
from kseg.layers import SCALINGS, InputScaling
from kseg.models import build, own_scaling
from kseg.objectives import BatchLoss, CrossEntropyAndDice, PixelCrossEntropy
from kseg.pipeline import (
    Augmentation,
    Elastic,
    Grey,
    GreyCurve,
    Mirror,
    Rotation,
    Saturation,
    Scale,
    Shift,
    batch_indices,
    batches,
)
from kseg.training.devices import dtype_policy, synchronise, worker_of
from kseg.training.memory import check_memory
from kseg.training.optimizers import check_factors, freeze, make_optimizer
from kseg.training.recipe import Recipe
from kseg.training.specs import AugmentSpec, LossSpec, ModelSpec
from kseg.weights import initial_weights

USES = {"train": "train on", "val": "choose by", "test": "report on"}
# What the loss is multiplied by at first under mixed_float16: Keras' own; of a sum over some 2^18 pixels as much less.
FIRST_SCALE = {"pixels": 2.0**15, "none": 2.0**-3}
HELD_OUT = {False: ("val", "test"), True: ("test",)}  # by whether val is trained on


def make_loss(spec: LossSpec) -> BatchLoss:
    return CrossEntropyAndDice(spec.dice) if spec.dice else PixelCrossEntropy(average=spec.average)


def make_augmentations(spec: AugmentSpec) -> list[Augmentation]:
    """The augmentations a recipe asks for, the geometric ones from the output back to the image."""
    chosen: list[tuple[bool, Augmentation]] = [
        (spec.elastic > 0, Elastic(spec.elastic, spec.elastic_spacing)),
        (spec.mirror or spec.flip, Mirror(spec.mirror, spec.flip)),
        (spec.rotation > 0, Rotation(spec.rotation)),
        (spec.shift > 0, Shift(spec.shift)),
        (spec.scale != 1, Scale(spec.scale)),
        (spec.saturation > 0, Saturation(spec.saturation)),
        (spec.grey_curve, GreyCurve()),
        (spec.gain > 0 or spec.offset > 0, Grey(spec.gain, spec.offset)),
    ]
    return [augmentation for wanted, augmentation in chosen if wanted]


@dataclass(frozen=True)
class Prepared:
    """A recipe and its data, looked at once.

    Attributes:
      recipe: with its precision settled.
      data_dir: where the data lie; None for generated ones.
      parts: the splits to train on ("train", whatever its own name), and where there are such, to choose by ("val")
        and to report on ("test").
      surveys: what each of them holds.
    """

    recipe: Recipe
    data_dir: str | Path | None
    parts: Mapping[str, Dataset]
    surveys: Mapping[str, Survey]

    @property
    def white(self) -> float:
        """The grey level that is 1 to the network."""
        return self.recipe.data.white or self.surveys["train"].white

    @property
    def scalings(self) -> dict[str, InputScaling]:
        """What the network does to its images, by stream."""
        return {name: each.for_white(self.white) for name, each in by_name(_scaling(self.recipe.model)).items()}

    @property
    def epoch_steps(self) -> int:
        """The steps from one validation to the next."""
        return self.recipe.epoch_steps or math.ceil(len(self.parts["train"]) / self.recipe.data.batch_size)

    @property
    def steps(self) -> int:
        """The steps of the whole training."""
        return self.recipe.steps or (self.recipe.epochs or 0) * self.epoch_steps

    @property
    def scored(self) -> Dataset:
        """The split the network is reported on."""
        return self.parts["test"] if "test" in self.parts else self.parts["val"]

    @property
    def looked_at(self) -> Dataset:
        """The split whose pictures are drawn while the training goes on."""
        return self.parts.get("val", self.parts["train"])

    @property
    def _is_single(self) -> bool:
        """Whether there is one image at a time, not one per stream."""
        return "" in self.parts["train"][0].images

    def config(self) -> dict[str, Any]:
        """What must be known to tell this run from another."""
        classes = {head: list(names) for head, names in self.parts["train"].heads.items()}
        packages = ("kseg", "tensorflow", "keras", "numpy", "opencv-python-headless")
        return {
            "recipe": self.recipe.to_json(),
            "data_dir": _lasting(self.data_dir),
            "precision": self.recipe.precision,
            "classes": classes.get("", classes),
            "fingerprint": {split: found.fingerprint for split, found in self.surveys.items()},
            "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
            "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
            "command": sys.argv,
        }

    def network(self, start: Any = None) -> keras.Model:
        """The recipe's network for these data, with its loss and optimiser, on the devices whose scope this is in.

        Args:
          start: the weights it starts from, as `initial_weights` takes them; None for the recipe's.

        Raises:
          ConfigError: a factor of the optimiser is for no layer of it, or all its weights have the rate 0.
          EnvironmentFailure: a step can't fit into this machine's memory.
          SizeError: the crop does not fit it.
          WeightsError: what it starts from can't be read.
        """
        recipe, data = self.recipe, self.parts["train"]
        keras.utils.set_random_seed(recipe.seed)
        options = recipe.model.options()
        classes: Any = {head: len(names) for head, names in data.heads.items()}
        channels = self.surveys["train"].channels if self._is_single else 3
        with dtype_policy(recipe.precision):
            model = build(
                recipe.model.name,
                classes=classes.get("", classes),
                input_shape=(None, None, channels),
                preprocessing=self.scalings.get("", self.scalings),
                **options,
            )
        initial_weights(model, start or str(resolved(recipe.init_weights)))
        if recipe.data.crop:
            geometry_of(model).check(*recipe.data.crop, "data.crop")
        found = self.surveys["train"]
        _, workers = worker_of(tf.distribute.get_strategy())
        size = recipe.data.crop or (found.heights[1], found.widths[0])
        check_memory(model, math.ceil(recipe.data.batch_size / workers), *size)
        check_factors(recipe.optimizer, model)
        freeze(recipe.optimizer, model)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            synchronise(model)
        optimizer = make_optimizer(recipe.optimizer, self.steps)
        if recipe.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=FIRST_SCALE[recipe.loss.average])
        model.compile(optimizer=optimizer, loss=make_loss(recipe.loss))
        model.optimizer.build(model.trainable_variables)
        return model

    def batches(self, model: keras.Model, start: int = 0, worker: int = 0, workers: int = 1) -> tf.data.Dataset:
        """A worker's batches from step `start` to the end."""
        recipe, data = self.recipe, self.parts["train"]
        kind = recipe.loss.class_weights
        return batches(
            data,
            size=recipe.data.batch_size,
            seed=recipe.seed,
            order=recipe.data.order,
            worker=worker,
            workers=workers,
            augment=make_augmentations(recipe.data.augment),
            crop=recipe.data.crop,
            margin=geometry_of(model).border,
            channels=self.surveys["train"].channels if self._is_single else None,
            white=self.white,
            interpolation=recipe.data.augment.interpolation,
            beyond=recipe.data.augment.beyond,
            border_weight=recipe.loss.border_weight if data.has_instances else 0.0,
            class_weights=None if kind == "none" else class_weights(self.surveys["train"], kind),
            start=start,
            steps=self.steps - start,
        )

    def batch_names(self, step: int) -> list[str]:
        """The items in the batch of `step`, the first of which is 0."""
        recipe, ids = self.recipe, self.parts["train"].ids
        spec = recipe.data
        chosen = batch_indices(len(ids), size=spec.batch_size, seed=recipe.seed, step=step, order=spec.order)
        return [ids[index] for index in chosen]


def _lasting(data_dir: str | Path | None) -> str | None:
    """The place, fit to be found from any folder; an address as it is."""
    if data_dir is None:
        return None
    return str(data_dir if is_address(data_dir) else Path(data_dir).resolve())


def _scaling(spec: ModelSpec) -> Any:
    """What the network does to its images: its own table, or the one that is named."""
    if spec.preprocessing is None:
        return own_scaling(spec.name, spec.options())
    if spec.preprocessing not in SCALINGS:
        raise ConfigError(
            f"model.preprocessing is {spec.preprocessing!r}. {did_you_mean(spec.preprocessing, SCALINGS)}"
        )
    return SCALINGS[spec.preprocessing]


def prepare(recipe: Recipe, data_dir: str | Path | None) -> Prepared:
    """Opens and reads the data once, and says what was found in them and what looks wrong.

    Raises:
      ConfigError: the data can't be scored by the recipe's measure.
      DataError: the data set, as far as it is at fault.
    """
    parts = _open_parts(recipe, data_dir)
    prepared = Prepared(recipe, data_dir, parts, {split: survey(data) for split, data in parts.items()})
    _introduce(prepared)
    return prepared


def _open_parts(recipe: Recipe, data_dir: str | Path | None) -> dict[str, Dataset]:
    """The splits to train on, and where there are such, to choose by and to report on.

    Raises:
      DataError: there is nothing to report on.
      ConfigError: the data can't be scored by the recipe's measure.
    """
    spec = recipe.data

    def part(*splits: str) -> Dataset:
        return datasets.open_first(spec.name, data_dir, splits, **spec.options())

    train = part("train", "trainval") if spec.split is None else part(spec.split)
    held_out = [split for split in HELD_OUT[train.split == "trainval"] if split in train.splits]
    if not held_out:
        raise DataError(
            f"{train.name}: there is nothing to report on that {train.split} does not hold; there are "
            f"{', '.join(train.splits)}. Train on another part, or keep some images apart."
        )
    lacks = {
        "mean_iu": None,
        "seg": None if train.has_instances else "no numbered objects",
        "v_rand": None if len(train.heads.get("", ())) == 2 else "not two classes",
    }[recipe.measure]
    if lacks:
        raise ConfigError(
            f"measure is {recipe.measure}, but {recipe.data.name} has {lacks}. Pass --set measure=mean_iu."
        )
    return {"train": train, **{split: part(split) for split in held_out}}


def _places(data: Dataset) -> set[str]:
    """Where the items' labels lie, as far as the set says so: ids may be those of other images in another part."""
    places = (data.place(index) for index in range(len(data)))
    return {place for place, name in zip(places, data.ids, strict=True) if place != name}


def _introduce(prepared: Prepared) -> None:
    """Says what was found in the data, and what looks wrong with it.

    Raises:
      DataError: the splits' images differ in depth.
    """
    data, surveys, white = prepared.parts["train"], prepared.surveys, prepared.white
    found = surveys["train"]
    for split, other in surveys.items():
        if other.kind != found.kind:
            raise DataError(
                f"{data.name}: {split} has images of {other.kind}, train of {found.kind}. Save all in one depth."
            )
    counts = [f"{surveys[split].images} to {use}" for split, use in USES.items() if split in surveys]
    text = f"data: {data.name}, images: {', '.join(counts)}"
    for head, pixels in by_name(found.class_pixels).items():
        total = max(1, int(pixels.sum()))
        shares = [f"{name} {count / total:.1%}" for name, count in zip(data.heads[head], pixels, strict=True)]
        text += f"; {len(shares)} {f'{head} classes'.strip()}: {', '.join(shares)}"
    click.echo(text, err=True)
    if data.doubt:
        click.echo(f"warning: {data.doubt}", err=True)
    depends_on_white = by_name(_scaling(prepared.recipe.model)) != prepared.scalings
    trained_on = _places(data)
    for split, part in prepared.parts.items():
        seen = trained_on & _places(part)
        if split != "train" and seen:
            words = f"{len(seen)} of {len(part)} images of {part.split} are trained on too: its scores say little."
            click.echo(f"warning: {words}", err=True)
    if depends_on_white and found.brightest < white / 4:
        click.echo(
            f"warning: the brightest pixel is {found.brightest:g}, white is {white:g}. "
            f"Is that the camera's white? Else pass --set data.white={found.brightest:g}.",
            err=True,
        )
    for head, pixels in by_name(found.class_pixels).items():
        warning = without_pixels(data.heads[head], pixels)
        if warning:
            click.echo(f"warning: {warning}", err=True)
