"""What a training is: one frozen dataclass, to JSON and back, every field within reach by its dotted name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kseg.errors import ConfigError
from kseg.recipes import settings
from kseg.recipes.specs import DataSpec, LossSpec, ModelSpec, PublishedSpec
from kseg.registry import Registry
from kseg.training.specs import CheckpointSpec, OptimizerSpec

POSITIVE = (
    "steps",
    "epochs",
    "epoch_steps",
    "data.batch_size",
    "data.white",
    "optimizer.learning_rate",
    "optimizer.clip_norm",
    "optimizer.accumulate",
    "checkpoint.every_steps",
    "checkpoint.every_minutes",
    "checkpoint.keep",
)
NOT_NEGATIVE = (
    "seed",
    "loss.border_weight",
    "optimizer.power",
    "optimizer.weight_decay",
    "optimizer.ema",
    "optimizer.skip",
)
# The seed's bound is that of keras.utils.set_random_seed.
BELOW = {"seed": 2**32, "optimizer.ema": 1}


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
      name: the registered name.
      init_weights: what the network starts from: none, imagenet (its backbone's classifier), or a file or preset.
        With stages it is what the first of them starts from.
      stages: names of the recipes whose networks this one starts from, one, or one per stream; they are trained first,
        with what was set here. A learning rate that was set changes each stage's own by the same factor.
      steps: how many; None where `epochs` says it.
      epochs: how many; None where `steps` says it.
      epoch_steps: steps from one validation to the next; None for one pass over the data.
      measure: what the best network is chosen by on `val` (kseg.metrics.MEASURES). auto: F1 of objects where they are
        numbered, else mean IU.
      precision: what the network computes in; its weights, scores and loss are float32 in each. auto: float32 unless
        this device computes another several times quicker (kseg.inference.settled_precision).
      average: how its network predicts and is reported: none, mirror, rotations or symmetries.
      seed: of the weights, the order and every augmentation.
      deterministic: the same seed gives the same weights, bit for bit, on one device with one number of threads.
      published: what its authors scored; for a person to compare with, and not to be set.
    """

    name: str
    model: ModelSpec = field(default_factory=ModelSpec)
    data: DataSpec = field(default_factory=DataSpec)
    loss: LossSpec = field(default_factory=LossSpec)
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    init_weights: str = "none"
    stages: tuple[str, ...] = ()
    steps: int | None = None
    epochs: int | None = None
    epoch_steps: int | None = None
    measure: str = "mean_iu"
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    average: Literal["none", "mirror", "rotations", "symmetries"] = "none"
    seed: int = 0
    deterministic: bool = False
    published: tuple[PublishedSpec, ...] = ()

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(
                f"{self.name}: give either steps or epochs, found steps={self.steps}, epochs={self.epochs}."
            )
        self._check_numbers()
        if self.data.crop is not None and (len(self.data.crop) != 2 or min(self.data.crop) < 1):
            raise ConfigError(f"data.crop is {self.data.crop}, but must be a height and a width: --crop 256,256.")

    def _check_numbers(self) -> None:
        """Raises ConfigError where a number is one that nothing can be done with."""
        for name in field_names():
            value = self.value(name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{name} is {value}, but must be a finite number.")
            if name in POSITIVE and value is not None and value <= 0:
                raise ConfigError(f"{name} is {value}, but must be above 0.")
            if name in NOT_NEGATIVE and value < 0:
                raise ConfigError(f"{name} is {value}, but must not be below 0.")
            if name in BELOW and value >= BELOW[name]:
                raise ConfigError(f"{name} is {value}, but must be below {BELOW[name]}.")

    def value(self, name: str) -> Any:
        """The field or option of that dotted name; None for an option that is not set."""
        here: Any = self
        for part in name.split("."):
            here = here.get(part) if isinstance(here, Mapping) else getattr(here, part, None)
        return here

    def fields(self) -> dict[str, Any]:
        """All fields that can be set, and the options that are set otherwise than by default, by dotted name."""
        found = {**{name: self.value(name) for name in field_names()}, **settings.option_fields(self)}
        order = [each.name for each in dataclasses.fields(self)]
        return dict(sorted(found.items(), key=lambda field: order.index(field[0].partition(".")[0])))

    def differences(self, other: Recipe) -> dict[str, Any]:
        """The settings that make this recipe of `other`."""
        mine, theirs = self.fields(), other.fields()
        changed = {name: value for name, value in mine.items() if theirs.get(name, ...) != value}
        gone = {settings.whole_name(name): None for name in theirs if name not in mine}
        return {**{name: value for name, value in gone.items() if name not in mine}, **changed}

    def published_on(self, dataset: str, split: str) -> list[PublishedSpec]:
        """What was published of this training on that split of that data set."""
        return [each for each in self.published if (each.dataset, each.split) == (dataset, split)]

    @property
    def _task(self) -> tuple[Any, ...]:
        """What the published scores are of: with another it is no longer the training that was published."""
        options = self.model.options
        return self.model.name, options.get("backbone"), options.get("streams"), self.data.options

    def to_json(self) -> dict[str, Any]:
        return settings.to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
          ConfigError: an unknown field or option, or a value of another type.
        """
        return settings.from_json(cls, settings.upgraded(values), "")

    def with_settings(self, changes: Mapping[str, Any]) -> Recipe:
        """The recipe with fields replaced.

        Args:
          changes: values by dotted name ("optimizer.learning_rate", "model.width"); text is read as the type of the
            field or option. With a network of another family ("model.name") or another data set ("data.name") its
            options are its own again, and the data set's split; with another of the same family, as fcn16s for fcn32s,
            only the stages are dropped. What was published is dropped with another network, backbone, streams or
            options of the data set.

        Raises:
          ConfigError: there is no such field (the message names the nearest), or the text is no such value.
        """
        changed = settings.changed(self, changes)
        return changed if changed._task == self._task else dataclasses.replace(changed, published=())


RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe")


def as_registered(recipe: Recipe) -> Recipe:
    """The recipe of its name before anything was set; itself where none is registered."""
    return RECIPES.get(recipe.name)() if recipe.name in RECIPES else recipe


def field_names() -> list[str]:
    """The dotted names of the fixed fields that can be set, which `published` can't; options come on top."""
    return [name for name in settings.fixed_names(Recipe) if name != "published"]
