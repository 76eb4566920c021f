"""What a training is: one frozen dataclass, to JSON and back, every field within reach by its dotted name."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kseg.errors import ConfigError, did_you_mean
from kseg.registry import Registry


@dataclass(frozen=True)
class ModelSpec:
    """A network's name and options; None stands for the network's own default."""

    name: str = "unet"
    width: int | float | None = None
    depth: int | None = None
    variant: str | None = None
    padding: str | None = None
    dropout: float | None = None
    normalization: str | None = None
    backbone: str | None = None
    fc_width: int | None = None
    upsampling: str | None = None
    streams: tuple[str, ...] | None = None

    def options(self) -> dict[str, Any]:
        """What `kseg.build` is given beside name, classes and channels."""
        return _given(self, "name")


@dataclass(frozen=True)
class AugmentSpec:
    """What is done to each crop; 0 and false stand for not at all (kseg.pipeline.augment).

    Attributes:
      mirror: left and right.
      flip: up and down.
      rotation: by up to so many degrees either way.
      shift: by up to so many pixels along each axis, beside the crop's random place.
      scale: enlarged by up to this factor, or made smaller by it; 1 for not at all.
      elastic: deviation of the elastic displacements, pixels.
      elastic_spacing: pixels between their grid points; None for 3 x 3 points over the crop.
      gain, offset: grey levels times 1 +- gain, plus +- offset times white.
      grey_curve: grey levels through a random rising curve.
      saturation: colours times 1 +- saturation away from grey.
      interpolation: of images in the warp, linear or cubic.
      beyond: what lies beyond the image: its mirror image, or void.
    """

    mirror: bool = True
    flip: bool = True
    rotation: float = 180.0
    shift: float = 0.0
    scale: float = 1.0
    elastic: float = 0.0
    elastic_spacing: float | None = None
    gain: float = 0.0
    offset: float = 0.0
    grey_curve: bool = False
    saturation: float = 0.0
    interpolation: Literal["linear", "cubic"] = "linear"
    beyond: Literal["mirror", "void"] = "mirror"


@dataclass(frozen=True)
class DataSpec:
    """A data set's name and options (None: its own default), and how batches are made of it.

    Attributes:
      batch_size: crops per step.
      crop: height and width the network is given; for valid convolutions its border is part of it.
      augment: what is done to each crop.
      white: the grey level that becomes 1; None for 255 or 65535, by the images' depth.
      instances, classes, ignore_class, values: as the data set takes them.
      drop: frame numbers of the Cell Tracking Challenge to leave out.
      truth: its gold truth, made by hand, or its silver, computed.
      view: of NYUDv2: colour, colour and depth, HHA, or colour and HHA as two streams.
    """

    name: str = "demo"
    batch_size: int = 4
    crop: tuple[int, int] = (256, 256)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    white: float | None = None
    instances: bool | None = None
    classes: int | None = None
    ignore_class: int | None = None
    values: tuple[int, ...] | None = None
    drop: tuple[int, ...] | None = None
    truth: Literal["gold", "silver"] | None = None
    view: Literal["rgb", "rgbd", "hha", "rgb-hha"] | None = None

    def options(self) -> dict[str, Any]:
        """What `kseg.datasets.open` is given beside name, folder and split."""
        return _given(self, "name", "batch_size", "crop", "augment", "white")


@dataclass(frozen=True)
class LossSpec:
    """Cross-entropy, averaged over the pixels that count.

    Attributes:
      dice: how much of the Dice loss is added.
      class_weights: of each pixel by its class: inverse to the class's share, or the median frequency over its own.
      border_weight: height of the weights between touching objects (equation 2's w0), where objects are numbered.
    """

    dice: float = 0.0
    class_weights: Literal["none", "inverse", "median"] = "none"
    border_weight: float = 10.0


@dataclass(frozen=True)
class OptimizerSpec:
    """SGD or Adam, and how the learning rate falls to nothing over all steps.

    Attributes:
      name: sgd or adam.
      learning_rate: at the start.
      momentum: of SGD.
      schedule: constant, cosine, or polynomial: (1 - step / steps) ** power.
      power: of the polynomial.
      clip_norm: gradients, all taken as one vector, are shortened to this length; None for not at all.
      accumulate: batches whose gradients are averaged into one update, Caffe's iter_size. Steps count batches.
    """

    name: Literal["sgd", "adam"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.99
    schedule: Literal["constant", "cosine", "polynomial"] = "cosine"
    power: float = 0.9
    clip_norm: float | None = None
    accumulate: int = 1


@dataclass(frozen=True)
class CheckpointSpec:
    """When the state of a training is saved, beside each epoch's end, its interruption and its own end.

    Attributes:
      every_steps: after so many steps; None for not by steps.
      every_minutes: so long after the last; None for not by the clock.
      keep: how many of the newest stay, beside that of the best network.
    """

    every_steps: int | None = None
    every_minutes: float | None = 10.0
    keep: int = 3


POSITIVE = (
    "steps",
    "epochs",
    "epoch_steps",
    "data.batch_size",
    "data.white",
    "data.augment.scale",
    "optimizer.learning_rate",
    "optimizer.clip_norm",
    "optimizer.accumulate",
    "checkpoint.every_steps",
    "checkpoint.every_minutes",
    "checkpoint.keep",
)


@dataclass(frozen=True)
class Recipe:
    """One training.

    Attributes:
      name: the registered name.
      init_weights: what the network starts from: none, imagenet (its backbone's classifier), or a file or preset.
      steps: how many; None where `epochs` says it.
      epochs: how many; None where `steps` says it.
      epoch_steps: steps from one validation to the next; None for one pass over the data.
      measure: what the best network is chosen by on `val`, the higher the better: mean_iu, seg or v_rand.
      precision: what the network computes in; its weights, scores and loss are float32 in each. auto: float32 unless
        this device computes another several times quicker (kseg.training.loop.settled_precision).
      average: how its network predicts and is reported: none, rotations or symmetries.
      seed: of the weights, the order and every augmentation.
      deterministic: the same seed gives the same weights, bit for bit, on one device with one number of threads.
    """

    name: str
    model: ModelSpec = field(default_factory=ModelSpec)
    data: DataSpec = field(default_factory=DataSpec)
    loss: LossSpec = field(default_factory=LossSpec)
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)
    init_weights: str = "none"
    steps: int | None = None
    epochs: int | None = None
    epoch_steps: int | None = None
    measure: Literal["mean_iu", "seg", "v_rand"] = "mean_iu"
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    average: Literal["none", "rotations", "symmetries"] = "none"
    seed: int = 0
    deterministic: bool = False

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(
                f"{self.name}: give either steps or epochs, found steps={self.steps}, epochs={self.epochs}."
            )
        for name in POSITIVE:
            value = self.value(name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} is {value}, but must be above 0.")
        if len(self.data.crop) != 2 or min(self.data.crop) < 1:
            raise ConfigError(f"data.crop is {self.data.crop}, but must be a height and a width: --crop 256,256.")

    def value(self, name: str) -> Any:
        """The field of that dotted name."""
        here: Any = self
        for part in name.split("."):
            here = getattr(here, part)
        return here

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
          settings: values by dotted name ("optimizer.learning_rate"); text is read as the field's type. With another
            network ("model.name") or data set ("data.name") its options are its own again.

        Raises:
          ConfigError: there is no such field (the message names the nearest), or the text is no such value.
        """
        values = self.to_json()
        if settings.get("model.name", self.model.name) != self.model.name:
            values["model"] = dataclasses.asdict(ModelSpec())  # another network has options of its own
        if settings.get("data.name", self.data.name) != self.data.name:
            plain = DataSpec()  # another data set too
            values["data"] |= {name: getattr(plain, name) for name in self.data.options()}
        for name, value in settings.items():
            inner, leaf = values, name
            *path, leaf = name.split(".")
            for part in path:
                inner = inner.get(part, {}) if isinstance(inner, dict) else {}
            if leaf not in inner or isinstance(inner[leaf], dict):
                raise ConfigError(f"A recipe has no field {name!r}. {did_you_mean(name, field_names())}")
            inner[leaf] = value
            if name == "steps" or name == "epochs":
                values["epochs" if name == "steps" else "steps"] = None
        return Recipe.from_json(values)


RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe")


def field_names(kind: Any = Recipe, prefix: str = "") -> list[str]:
    """The dotted names of all fields."""
    names = []
    for name, hint in typing.get_type_hints(kind).items():
        names += field_names(hint, f"{prefix}{name}.") if dataclasses.is_dataclass(hint) else [prefix + name]
    return names


def _given(spec: Any, *without: str) -> dict[str, Any]:
    return {key: value for key, value in vars(spec).items() if key not in without and value is not None}


def _from_json(kind: Any, values: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    arguments = {}
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(f"A recipe has no field {prefix + key!r}. {did_you_mean(prefix + key, field_names())}")
        hint = hints[key]
        arguments[key] = (
            _from_json(hint, value, f"{prefix}{key}.")
            if dataclasses.is_dataclass(hint)
            else convert(value, hint, prefix + key)
        )
    return kind(**arguments)


def convert(value: Any, hint: Any, name: str) -> Any:
    """`value`, from JSON or as text, as the type `hint` says.

    Raises:
      ConfigError: it is not of that type.
    """
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
    except (TypeError, ValueError) as error:
        kind = {"int": "a whole number", "float": "a number"}.get(hint.__name__, hint.__name__)
        raise ConfigError(f"{name} is {value!r}, but must be {kind}.") from error
