"""A recipe: everything that makes a training, as one frozen dataclass whose fields have dotted names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from kseg.errors import ConfigError, Setting
from kseg.options import Above, AtLeast, Below, check_values
from kseg.recipes import settings
from kseg.recipes.specs import DataSpec, LossSpec, ModelSpec, PublishedSpec
from kseg.registry import REGISTRIES, Registry
from kseg.training.specs import CheckpointSpec, OptimizerSpec


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
      name: the registered name.
      init_weights: what the network starts from: none, imagenet (a classifier's weights for its backbone), or a file, a
        run or a preset. In a recipe with stages, the first stage starts from it.
      plan: whether crop, depth, augmentation and what else was not set follow from a look at the images
        (kseg.preparation.plan). What was chosen stands in config.json.
      stages: names of the recipes that are trained first, with the same settings. This one starts from their networks:
        from one, or from one per stream. A learning rate that was set changes each stage's own by the same factor.
      steps: how many steps to train; None where `epochs` says it.
      epochs: how many epochs to train; None where `steps` says it.
      minutes: how long a new training may take on this machine. Its steps are measured before the first one, and stand
        in config.json. None to train for `steps` or `epochs`, as a deterministic training does in any case.
      epoch_steps: steps from one validation to the next; None for one pass over the data.
      measure: what the best network is chosen by on `val` (kseg.metrics.MEASURES). auto: the F1 of objects where they
        are numbered, else mean IU.
      precision: what the network computes in. Its weights, scores and loss are float32 in any case. auto: float32,
        unless this device computes another precision several times faster (kseg.inference.settled_precision).
      average: the versions of an image whose scores are averaged: none, mirror, rotations or symmetries.
      seed: of the weights, the order of the images and the augmentations.
      deterministic: the same seed gives the same weights, bit for bit, on one device with one number of threads.
      folds: how many parts the images to train on and to choose by are divided into, for a cross-validation: each part
        is held out by a training of its own. The networks of all are one ensemble. None for a single training.
      fold: the only part to hold out, 1 to `folds`; None for all, one after another.
      published: the authors' scores, for comparison. It can't be set.
    """

    name: str
    model: ModelSpec = field(default_factory=ModelSpec)
    data: DataSpec = field(default_factory=DataSpec)
    loss: LossSpec = field(default_factory=LossSpec)
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    init_weights: str = "none"
    plan: bool = False
    stages: tuple[str, ...] = ()
    steps: Annotated[int | None, Above(0)] = None
    epochs: Annotated[int | None, Above(0)] = None
    minutes: Annotated[float | None, Above(0)] = None
    epoch_steps: Annotated[int | None, Above(0)] = None
    measure: str = "mean_iu"
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    average: Literal["none", "mirror", "rotations", "symmetries"] = "none"
    seed: Annotated[int, AtLeast(0), Below(2**32)] = 0  # the bounds of keras.utils.set_random_seed
    deterministic: bool = False
    folds: Annotated[int | None, AtLeast(2)] = None
    fold: Annotated[int | None, AtLeast(1)] = None
    published: tuple[PublishedSpec, ...] = ()

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(
                f"{self.name}: steps={self.steps} and epochs={self.epochs}.", "Give either steps or epochs."
            )
        if self.fold is not None and (self.folds is None or self.fold > self.folds):
            fix = "It is the number of one of several: ", Setting("folds", max(self.fold, 2)), " or more."
            raise ConfigError(f"fold is {self.fold}, but folds is {self.folds}.", *fix)
        if self.folds is not None and (self.stages or self.data.split):
            what = "trains in stages" if self.stages else f"is told what to train on (data.split={self.data.split})"
            raise ConfigError(f"folds is {self.folds}, but {self.name} {what}.", "Leave folds out.")
        for prefix in ("", *(f"{part}." for part in (*settings.PARTS, "checkpoint"))):
            part = self.value(prefix[:-1]) if prefix else self
            check_values(type(part), vars(part), prefix)
        if self.data.crop is not None and (len(self.data.crop) != 2 or min(self.data.crop) < 1):
            raise ConfigError(
                f"data.crop is {self.data.crop}, but must be a height and a width.",
                *("For example ", Setting("data.crop", (256, 256)), "."),
            )

    @property
    def is_in_folds(self) -> bool:
        """Whether this is a whole cross-validation, and not one training."""
        return self.folds is not None and self.fold is None

    def value(self, name: str) -> Any:
        """The value of a field or option by its dotted name; None for an option that is not set."""
        here: Any = self
        for part in name.split("."):
            here = here.get(part) if isinstance(here, Mapping) else getattr(here, part, None)
        return here

    def fields(self) -> dict[str, Any]:
        """The values by dotted name of all fields that can be set, and of the options that are not at their default."""
        found = {**{name: self.value(name) for name in field_names()}, **settings.option_fields(self)}
        order = [each.name for each in dataclasses.fields(self)]
        return dict(sorted(found.items(), key=lambda field: order.index(field[0].partition(".")[0])))

    def differences(self, other: Recipe) -> dict[str, Any]:
        """The settings that turn `other` into this recipe."""
        mine, theirs = self.fields(), other.fields()
        changed = {name: value for name, value in mine.items() if theirs.get(name, ...) != value}
        gone = {settings.whole_name(name): None for name in theirs if name not in mine}
        return {**{name: value for name, value in gone.items() if name not in mine}, **changed}

    def published_on(self, dataset: str, split: str) -> list[PublishedSpec]:
        """The published scores of this training on a split of a data set."""
        return [each for each in self.published if (each.dataset, each.split) == (dataset, split)]

    @property
    def _task(self) -> tuple[Any, ...]:
        """The task of the published scores. A recipe with another task is no longer the published training."""
        options = self.model.options
        return self.model.name, options.get("backbone"), options.get("streams"), self.data.options

    def plugins(self) -> list[dict[str, str]]:
        """What the recipe names that a plugin brings: the kind, the name, and the plugin or module."""
        named = [("recipe", self.name), ("measure", self.measure.partition(".")[0])]
        named += [(spec.kind, spec.name) for spec in (self.model, self.data, self.loss)]
        named += [("augmentation", name) for name in self.data.augment.options]
        origins = {(kind, name): REGISTRIES[kind].origin(name) for kind, name in named if kind in REGISTRIES}
        return [{"kind": kind, "name": name, "plugin": origin} for (kind, name), origin in origins.items() if origin]

    def to_json(self) -> dict[str, Any]:
        return settings.to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe of `to_json`.

        Raises:
          ConfigError: a field or option is unknown, or a value has another type or is out of bounds.
        """
        return settings.from_json(cls, settings.upgraded(values), "")

    def with_settings(self, changes: Mapping[str, Any]) -> Recipe:
        """The recipe with other values of some fields or options.

        Another network of the same family (fcn16s for fcn32s) drops the stages. One of another family ("model.name"),
        or another data set ("data.name"), also resets its options to their defaults, and the data set's split. The
        published scores are dropped with another network, backbone, streams or data set options.

        Args:
          changes: values by dotted name ("optimizer.learning_rate", "model.width"). A text is read as the type of the
            field or option.

        Raises:
          ConfigError: there is no such field (the message names the nearest), or the value does not fit it.
        """
        changed = settings.changed(self, changes)
        return changed if changed._task == self._task else dataclasses.replace(changed, published=())


RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe")


def as_registered(recipe: Recipe) -> Recipe:
    """The registered recipe of the same name, without settings; `recipe` itself where none is registered."""
    return RECIPES.get(recipe.name)() if recipe.name in RECIPES else recipe


def field_names() -> list[str]:
    """The dotted names of all fields that can be set, without options."""
    return [name for name in settings.fixed_names(Recipe) if name != "published"]
