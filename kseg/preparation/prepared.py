"""A recipe with its data: what is known before the first step, and the network and batches made from it."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kseg.check.preflight import check_parts, check_scored, open_parts, surveyed
from kseg.chosen import GIVEN
from kseg.datasets import Dataset, Survey, by_name
from kseg.datasets.agreement import check_whole_images
from kseg.datasets.folds import in_folds
from kseg.datasets.shards.addresses import is_address
from kseg.datasets.statistics import class_weights
from kseg.device import has_onednn, settings
from kseg.errors import ConfigError, did_you_mean
from kseg.folders import path_of
from kseg.inference import geometry_of, set_precision
from kseg.layers import SCALINGS, InputScaling, ScoreReading, check_average, with_reading
from kseg.log import LOG
from kseg.metrics import Measure, measure
from kseg.models import NETWORKS, build, own_scaling
from kseg.objectives import LOSSES, BatchLoss
from kseg.pipeline import AUGMENTATIONS, Augmentation, batch_indices, batches
from kseg.preparation.brought import check_brought, copied, plain
from kseg.preparation.given import Given, as_batch_loss
from kseg.preparation.introduction import introduce, propose_folds
from kseg.preparation.memory import check_memory
from kseg.preparation.needs import needs_of
from kseg.preparation.plan import Choice, planned, told
from kseg.recipes.recipe import Recipe
from kseg.recipes.specs import AugmentSpec, LossSpec, ModelSpec
from kseg.reports import measures_for, usual_measures
from kseg.training.devices import Devices, synchronise
from kseg.training.optimizers import check_factors, freeze, make_optimizer
from kseg.training.step import is_compiled
from kseg.weights import initial_weights

# The first loss scale in mixed_float16: Keras' own for the mean over pixels, 2^18 times less for a sum over as many.
FIRST_SCALE = {"pixels": 2.0**15, "none": 2.0**-3}


def make_loss(spec: LossSpec) -> BatchLoss:
    """The loss of a recipe.

    Raises:
      ConfigError: the registered entry makes something else.
    """
    made = LOSSES.get(spec.name)(**spec.options)
    return as_batch_loss(made, f"The loss {spec.name!r}")


def make_augmentations(spec: AugmentSpec) -> list[Augmentation]:
    """The augmentations of a recipe, in the order in which they are registered."""
    return [AUGMENTATIONS.get(name)(**spec.options[name]) for name in AUGMENTATIONS if name in spec.options]


@dataclass(frozen=True)
class Prepared:
    """A recipe and its data, each image of which was read once.

    Attributes:
      recipe: with its precision and measure settled.
      data_dir: where the data lie; None for generated data.
      parts: the splits by use: "train" (to train on, whatever its own name is), and where they exist "val" (to choose
        by) and "test" (to report on).
      surveys: the content of each part.
      given: objects that take the place of what the recipe names.
      doubts: sentences on what looks wrong with the data.
      began_compiled: whether XLA compiled the steps of the run that goes on; None for a new run.
      plan: what the images said about the recipe's settings.
    """

    recipe: Recipe
    data_dir: str | Path | None
    parts: Mapping[str, Dataset]
    surveys: Mapping[str, Survey]
    given: Given = field(default_factory=Given)
    doubts: Sequence[str] = ()
    began_compiled: bool | None = None
    plan: Sequence[Choice] = ()

    @property
    def white(self) -> float:
        """The grey level that the network scales to 1."""
        return self.recipe.data.white or self.surveys["train"].white

    @property
    def scalings(self) -> dict[str, InputScaling | None]:
        """The scaling of images inside the network, by stream."""
        own = by_name(_scaling(self.recipe.model))
        return {name: each and each.for_white(self.white) for name, each in own.items()}

    @property
    def readings(self) -> dict[str, ScoreReading]:
        """How the network's scores are read while it is trained, by head.

        Objects smaller than a quarter of the median true object are left out. A half-trained network finds many such
        specks, and they would dominate its score.

        Raises:
          ConfigError: the recipe's average does not suit the images, or a data set's colours do not fit its classes.
        """
        data = self.parts["train"]
        colours = by_name(data.colours) if data.colours is not None else {}
        average, specks = self.recipe.average, int((self.surveys["train"].object_area or 0) / 4)
        return {
            head: ScoreReading(names, colours.get(head, ()), average, upright=data.upright, min_size=specks)
            for head, names in data.heads.items()
        }

    @property
    def epoch_steps(self) -> int:
        """Steps from one validation to the next."""
        return self.recipe.epoch_steps or math.ceil(len(self.parts["train"]) / self.recipe.data.batch_size)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.recipe.steps or (self.recipe.epochs or 0) * self.epoch_steps

    @property
    def scored(self) -> Dataset:
        """The split that the network is reported on; in a whole cross-validation without test all images."""
        return next(self.parts[use] for use in ("test", "val", "train") if use in self.parts)

    @property
    def measure(self) -> Measure:
        """The measure that the network is chosen by."""
        return self.given.measure or measure(self.recipe.measure)

    @property
    def scored_by(self) -> list[Measure]:
        """The measures that the network is reported by."""
        return measures_for(self.scored, [*usual_measures(self.scored), self.measure])

    @property
    def looked_at(self) -> Dataset:
        """The split whose pictures are drawn during the training."""
        return self.parts.get("val", self.parts["train"])

    @property
    def loss(self) -> BatchLoss:
        """The loss to minimise."""
        return self.given.loss or make_loss(self.recipe.loss)

    @property
    def channels(self) -> int | None:
        """The channels of the network's images; None where there is one image per stream."""
        if "" not in self.parts["train"][0].images:
            return None
        if self.given.model is not None:
            return self.given.model.input.shape[-1]
        return self.surveys["train"].channels

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.json: what distinguishes this run from another."""
        classes = {head: list(names) for head, names in self.parts["train"].heads.items()}
        packages = ("kseg", "tensorflow", "keras", "numpy", "opencv-python-headless")
        return {
            "recipe": self.recipe.to_json(),
            "data_dir": _absolute(self.data_dir),
            "precision": self.recipe.precision,
            "processor": settings().kind,
            "onednn": has_onednn(),
            "classes": classes.get("", classes),
            "plan": [asdict(each) for each in self.plan],
            "split_rule": getattr(self.parts["train"], "split_rule", None),
            "fingerprint": {split: found.fingerprint for split, found in self.surveys.items()},
            "plugins": self.recipe.plugins(),
            "objects": self.given.to_json(),
            "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
            "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
            "command": sys.argv,
        }

    def is_compiled(self, devices: Devices) -> bool:
        """Whether XLA compiles a step on `devices`: as when the run began, else as is faster on this processor."""
        return is_compiled(self.began_compiled, devices, one_size=self.recipe.data.crop is not None)

    def network(self, devices: Devices, start: Any = None) -> keras.Model:
        """The recipe's network for these data, compiled, on `devices`.

        Args:
          devices: those that train it.
          start: the weights it starts from, as `initial_weights` takes them; None for the recipe's.

        Raises:
          ConfigError: a factor of the optimiser fits no layer, all weights have the rate 0, a given network does not
            fit, or whole images can't stand in one batch.
          EnvironmentFailure: a step can't fit into this machine's memory.
          SizeError: the crop, or an image without a crop, does not fit the network.
          WeightsError: the weights to start from can't be read.
        """
        recipe, found = self.recipe, self.surveys["train"]
        keras.utils.set_random_seed(recipe.seed)
        with devices.strategy.scope():
            model = with_reading(self._bare_network(), self.readings)
            initial_weights(model, start or str(path_of(recipe.init_weights)))
            if recipe.data.crop:
                geometry_of(model).check(*recipe.data.crop, "data.crop")
            else:
                check_whole_images(found, geometry_of(model), recipe.data.batch_size)
            size = recipe.data.crop or max(found.sizes, key=math.prod)
            check_memory(model, math.ceil(recipe.data.batch_size / devices.workers), *size)
            check_factors(recipe.optimizer, model)
            freeze(recipe.optimizer, model)
            if devices.count > 1:
                synchronise(model)
            model.compile(optimizer=self._optimizer(), loss=self.loss)
            model.optimizer.build(model.trainable_variables)
        return model

    def _bare_network(self) -> keras.Model:
        """The network with random weights, or a copy of the given one."""
        recipe, data = self.recipe, self.parts["train"]
        if self.given.model is not None:
            self._check_brought(self.given.model)
            model = copied(self.given.model)
        else:
            classes: Any = {head: len(names) for head, names in data.heads.items()}
            options = dict(recipe.model.options)
            if "preprocessing" in recipe.model.takes(recipe.model.name):
                options["preprocessing"] = self.scalings.get("", self.scalings)
            shape = (None, None, self.channels or 3)
            model = build(recipe.model.name, classes=classes.get("", classes), input_shape=shape, **options)
            if NETWORKS.origin(recipe.model.name) is not None:
                model = plain(model)
                self._check_brought(model)
        set_precision(model, recipe.precision)
        return model

    def _check_brought(self, model: keras.Model) -> None:
        """Checks a network that kseg did not build, with the crop and with the images that it will get whole.

        Of each part it takes the four sizes with the fewest factors of 2, which are the hardest for strides.
        """
        crop, border = self.recipe.data.crop, geometry_of(model).border
        found, sizes = self.surveys, []
        for part, each in found.items():
            if crop is None or part != "train":
                sizes += sorted(each.sizes, key=lambda size: min(side & -side for side in size))[:4]
        if crop:  # which includes the border
            sizes.append((crop[0] - 2 * border, crop[1] - 2 * border))
        check_brought(model, self.parts["train"], found["train"].channels, sizes)

    def _optimizer(self) -> keras.optimizers.Optimizer:
        recipe, given = self.recipe, self.given.optimizer
        if given is None:
            made = make_optimizer(recipe.optimizer, self.steps)
        else:
            made = type(given).from_config(given.get_config())
        if recipe.precision != "mixed_float16" or isinstance(made, keras.optimizers.LossScaleOptimizer):
            return made
        scale = FIRST_SCALE[recipe.loss.options.get("average", "pixels")]
        return keras.optimizers.LossScaleOptimizer(made, initial_scale=scale)

    def batches(self, model: keras.Model, devices: Devices, start: int = 0) -> tf.data.Dataset:
        """This worker's batches from step `start` to the end."""
        recipe, data = self.recipe, self.parts["train"]
        kind, given = recipe.loss.class_weights, self.given.augment
        return batches(
            data,
            size=recipe.data.batch_size,
            seed=recipe.seed,
            order=recipe.data.order,
            worker=devices.worker,
            workers=devices.workers,
            augment=make_augmentations(recipe.data.augment) if given is None else given,
            crop=recipe.data.crop,
            margin=geometry_of(model).border,
            channels=self.channels,
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


def with_measure(recipe: Recipe, parts: Mapping[str, Dataset]) -> Recipe:
    """The recipe with `auto` replaced by the measure that it stands for on these data."""
    if recipe.measure != "auto":
        return recipe
    numbered = all(data.has_instances for data in parts.values())
    return replace(recipe, measure="object_f1" if numbered else "mean_iu")


def _absolute(data_dir: str | Path | None) -> str | None:
    """The folder as an absolute path, which holds in any working folder; an address as it is."""
    if data_dir is None:
        return None
    return str(data_dir if is_address(data_dir) else Path(data_dir).resolve())


def _scaling(spec: ModelSpec) -> Any:
    """The scaling of images inside the network: its own, the named one, or None for none."""
    named = spec.options.get("preprocessing", "own")
    if spec.name == GIVEN or named == "none":
        return None
    if named == "own":
        return own_scaling(spec.name, spec.options)
    if named not in SCALINGS:
        raise ConfigError(f"model.preprocessing is {named!r}.", did_you_mean(named, ["own", "none", *SCALINGS]))
    return SCALINGS[named]


def _parts(recipe: Recipe, data_dir: str | Path | None, given: Given) -> dict[str, Dataset]:
    """The parts of the data by use, as in Prepared."""
    parts = dict(given.data) or open_parts(recipe.data.name, data_dir, recipe.data.split, recipe.data.options)
    if recipe.folds is not None:
        return in_folds(parts, recipe.folds, recipe.fold)
    check_parts(parts)
    return parts


def prepare(
    recipe: Recipe,
    data_dir: str | Path | None,
    given: Given | None = None,
    asked: Collection[str] | None = None,
) -> Prepared:
    """Opens and reads the data once, and logs what they hold, what looks wrong, and the plan.

    Args:
      recipe: the recipe.
      data_dir: where its data set lies.
      given: objects in place of what the recipe names.
      asked: the settings that stay as they are where a recipe is planned; None for all.

    Raises:
      ConfigError: the data can't be scored by the recipe's measure, or the average does not suit them.
      DataError: something is wrong with the data set.
    """
    given = given or Given()
    for spec in (recipe.data, recipe.model, recipe.loss):
        spec.check_signature()
    parts = _parts(recipe, data_dir, given)
    recipe = with_measure(recipe, parts)
    chosen = given.measure or measure(recipe.measure)
    check_scored(parts, chosen)
    check_average(recipe.average, upright=parts["train"].upright)
    needs = needs_of(recipe)
    surveys = surveyed(parts, needs)
    plan = planned(recipe, parts["train"], surveys, asked) if recipe.plan and asked is not None else []
    recipe = recipe.with_settings({each.name: each.value for each in plan})
    if any(each.name.startswith("data.upright") for each in plan):
        parts = _parts(recipe, data_dir, given)
    prepared = Prepared(recipe, data_dir, parts, surveys, given, plan=plan)
    depends_on_white = needs.is_scaled or by_name(_scaling(recipe.model)) != prepared.scalings
    doubts = introduce(parts, prepared.surveys, white=prepared.white if depends_on_white else None)
    if recipe.folds is None and not recipe.stages:
        propose_folds(parts)
    for line in told(plan):
        LOG.info("%s", line)
    return replace(prepared, doubts=doubts)
