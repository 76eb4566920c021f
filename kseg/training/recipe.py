"""What a training is: one frozen dataclass, to JSON and back, every field within reach by its dotted name."""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kseg.errors import ConfigError, did_you_mean
from kseg.registry import Registry
from kseg.training.specs import CheckpointSpec, DataSpec, LossSpec, ModelSpec, OptimizerSpec, PublishedSpec

POSITIVE = (
    "steps",
    "epochs",
    "epoch_steps",
    "data.batch_size",
    "data.white",
    "data.augment.scale",
    "data.augment.elastic_spacing",
    "optimizer.learning_rate",
    "optimizer.clip_norm",
    "optimizer.accumulate",
    "checkpoint.every_steps",
    "checkpoint.every_minutes",
    "checkpoint.keep",
)
NOT_NEGATIVE = (
    "seed",
    "data.augment.rotation",
    "data.augment.shift",
    "data.augment.elastic",
    "data.augment.gain",
    "data.augment.offset",
    "data.augment.saturation",
    "loss.dice",
    "loss.border_weight",
    "optimizer.momentum",
    "optimizer.power",
    "optimizer.weight_decay",
    "optimizer.ema",
    "optimizer.skip",
)
# The seed's bound is that of keras.utils.set_random_seed.
BELOW = {"seed": 2**32, "optimizer.momentum": 1, "optimizer.ema": 1}


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
      measure: what the best network is chosen by on `val`, a name of kseg.metrics.MEASURES: mean_iu, dice, iu.CLASS.
      precision: what the network computes in; its weights, scores and loss are float32 in each. auto: float32 unless
        this device computes another several times quicker (kseg.training.devices.settled_precision).
      average: how its network predicts and is reported: none, rotations or symmetries.
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
    average: Literal["none", "rotations", "symmetries"] = "none"
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
        if self.loss.dice and self.loss.average != "pixels":
            raise ConfigError(
                "loss.average is none, but Dice is a mean. Pass --set loss.dice=0 or loss.average=pixels."
            )

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
        """The field of that dotted name."""
        here: Any = self
        for part in name.split("."):
            here = getattr(here, part)
        return here

    def published_on(self, dataset: str, split: str) -> list[PublishedSpec]:
        """What was published of this training on that split of that data set."""
        return [each for each in self.published if (each.dataset, each.split) == (dataset, split)]

    @property
    def _task(self) -> tuple[Any, ...]:
        """What the published scores are of: with another it is no longer the training that was published."""
        return self.model.name, self.model.backbone, self.model.streams, self.data.options()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
          ConfigError: an unknown field, or a value of another type.
        """
        return _from_json(cls, values, "")

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """The recipe with fields replaced.

        Args:
          settings: values by dotted name ("optimizer.learning_rate"); text is read as the field's type. With a network
            of another family ("model.name") or another data set ("data.name") its options are its own again, and the
            data set's split; with another of the same family, as fcn16s for fcn32s, only the stages are dropped.
            What was published is dropped with another network, backbone, streams or options of the data set.

        Raises:
          ConfigError: there is no such field (the message names the nearest), or the text is no such value.
        """
        values = self.to_json()
        network = settings.get("model.name", self.model.name)
        if network != self.model.name:
            values["stages"] = ()
            if not _are_alike(network, self.model.name):
                values["model"] = dataclasses.asdict(ModelSpec())
        if settings.get("data.name", self.data.name) != self.data.name:
            plain = DataSpec()
            values["data"] |= {name: getattr(plain, name) for name in ("split", *self.data.options())}
        known = field_names()
        for name, value in settings.items():
            if name not in known:
                raise ConfigError(f"A recipe has no field {name!r}. {did_you_mean(name, known)}")
            inner = values
            *path, leaf = name.split(".")
            for part in path:
                inner = inner[part]
            inner[leaf] = value
            if name == "steps" or name == "epochs":
                values["epochs" if name == "steps" else "steps"] = None
        changed = Recipe.from_json(values)
        return changed if changed._task == self._task else dataclasses.replace(changed, published=())


RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe")


def as_registered(recipe: Recipe) -> Recipe:
    """The recipe of its name before anything was set; itself where none is registered."""
    return RECIPES.get(recipe.name)() if recipe.name in RECIPES.names() else recipe


def _are_alike(network: str, other: str) -> bool:
    """Whether the two networks take the same options, as those of one family do.

    Raises:
      ConfigError: there is no such network.
    """
    from kseg.models import NETWORKS  # with TensorFlow, which `kseg data` does without

    first, second = (inspect.signature(NETWORKS.get(name)) for name in (network, other))
    return first == second


def field_names(kind: Any = Recipe, prefix: str = "") -> list[str]:
    """The dotted names of all fields that can be set, which `published` can't."""
    names = []
    for name, hint in typing.get_type_hints(kind).items():
        names += field_names(hint, f"{prefix}{name}.") if dataclasses.is_dataclass(hint) else [prefix + name]
    return [name for name in names if name != "published"]


def _from_json(kind: Any, values: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    arguments = {}
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(f"A recipe has no field {prefix + key!r}. {did_you_mean(prefix + key, field_names())}")
        arguments[key] = convert(value, hints[key], prefix + key)
    return kind(**arguments)


def convert(value: Any, hint: Any, name: str) -> Any:
    """`value`, from JSON or as text, as the type `hint` says.

    Raises:
      ConfigError: it is not of that type.
    """
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} is {value!r}, but must be fields by name.")
        return _from_json(hint, value, f"{name}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or value in ("none", "None", ""):
            return None
        first, *others = (one for one in arguments if one is not type(None))
        try:
            return convert(value, first, name)
        except ConfigError:
            if not others:
                raise
            return convert(value, others[0], name)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{name} is {value!r}, but must be one of {', '.join(arguments)}.")
        return value
    if origin in (tuple, Sequence):
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(
            convert(part.strip() if isinstance(part, str) else part, arguments[0], name) for part in parts if part != ""
        )
    if hint is bool and not isinstance(value, bool):
        if str(value).lower() not in ("true", "false"):
            raise ConfigError(f"{name} is {value!r}, but must be true or false.")
        return str(value).lower() == "true"
    try:
        if hint is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        return hint(value)
    except (TypeError, ValueError, OverflowError) as error:
        kind = {"int": "a whole number", "float": "a number"}.get(hint.__name__, hint.__name__)
        raise ConfigError(f"{name} is {value!r}, but must be {kind}.") from error
