"""The parts of a recipe: the network, the data and their augmentation, the loss, the optimiser, the checkpoints,
and what was published of it.

A part that names something registered (`ModelSpec`, `DataSpec`, `LossSpec`, `OptimizerSpec`) has a few fields of its
own, and beside them the options of what it names: `ModelSpec("unet", width=16)`. An option that is not set is the
default of what is named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from kseg.errors import ConfigError
from kseg.metrics import in_words
from kseg.options import Option, check_required, options_of
from kseg.pages import in_figures

GIVEN = "given"  # the name of what a person handed over as an object


@dataclass(frozen=True, init=False)
class Chosen:
    """Fixed fields, and options, which are whatever the thing that is named takes.

    An option reads like a field (`spec.width`), where it is set.
    """

    kind: ClassVar[str]
    part: ClassVar[str]  # of a recipe
    options: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, *values: Any, **named: Any) -> None:
        own = [each for each in dataclasses.fields(self) if each.name != "options"]
        named = {**named.pop("options", {}), **dict(zip((each.name for each in own), values, strict=False)), **named}
        for each in own:
            default = each.default_factory() if callable(each.default_factory) else each.default
            object.__setattr__(self, each.name, named.pop(each.name, default))
        options = {name: value for name, value in named.items() if value is not None}
        object.__setattr__(self, "options", options)

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("options", {})
        if name not in options:
            raise AttributeError(f"{type(self).__name__} has no {name!r} set")
        return options[name]

    def replaced(self, **changes: Any) -> Any:
        """The same with other fields or options; an option that is None is left to its default again."""
        return type(self)(**{**self.fields, **self.options, **changes})

    @property
    def fields(self) -> dict[str, Any]:
        """The fixed fields by name."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "options"}

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        """The options that go with a name.

        Raises:
          ConfigError: nothing of that name is registered.
        """
        return {}

    def check_signature(self) -> None:
        """Checks that what is named can be made with these options: all can be set, and none that it needs is missing.

        Raises:
          ConfigError: it can't.
        """
        owner, taken = f"The {self.kind} {self.name!r}", self.takes(self.name)
        for name in taken:
            if name in self.fields and name != "name":
                raise ConfigError(
                    f"{owner} has an option {name!r}, but {self.part}.{name} is a setting of every training. Call the "
                    "option otherwise."
                )
        check_required(owner, taken, self.options, f"{self.part}.")

    def check(self) -> None:
        """Checks the options by what is named, where that is made of nothing else.

        Raises:
          ConfigError: they are out of range, or do not go together.
        """


@dataclass(frozen=True, init=False)
class ModelSpec(Chosen):
    """A network's name and options (`kseg models describe NAME`).

    The option `preprocessing` names an entry of kseg.layers.SCALINGS; "own" stands for the network's own, "none" for
    none.

    Attributes:
      name: the network (`kseg models list`).
    """

    kind: ClassVar[str] = "network"
    part: ClassVar[str] = "model"
    name: str = "unet"

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        from kseg.models import NETWORKS  # with TensorFlow

        if name == GIVEN:
            return {}
        taken = options_of(NETWORKS.get(name), without=("classes", "input_shape", "weights"))
        own = Option(
            str, "own", meaning="what is done to the image first: own, as the network has it, none, or a table's name."
        )
        return {key: own if key == "preprocessing" else option for key, option in taken.items()}


@dataclass(frozen=True, init=False)
class AugmentSpec(Chosen):
    """What is done to each crop: the names of augmentations (kseg.pipeline.AUGMENTATIONS), each with its options.

    `AugmentSpec(rotation={"degrees": 5.0})`; one that is not named is not done.

    Attributes:
      interpolation: of images in the warp, linear or cubic.
      beyond: what lies beyond the image: its mirror image, or void.
    """

    interpolation: Literal["linear", "cubic"] = "linear"
    beyond: Literal["mirror", "void"] = "mirror"


@dataclass(frozen=True, init=False)
class DataSpec(Chosen):
    """A data set's name and options, and how batches are made of it.

    Attributes:
      name: the data set (`kseg data list`).
      split: what is trained on; None for train where there is one, else trainval.
      order: every epoch a permutation of the images, or draws with replacement.
      batch_size: crops per step, over all devices.
      crop: height and width the network is given; for valid convolutions its border is part of it. None for whole
        images, which must be of one size within a batch.
      augment: what is done to each crop.
      white: the grey level that becomes 1; None for 255 or 65535, by the images' depth.
    """

    kind: ClassVar[str] = "data set"
    part: ClassVar[str] = "data"
    name: str = "demo"
    split: str | None = None
    order: Literal["epochs", "draws"] = "epochs"
    batch_size: int = 4
    crop: tuple[int, int] | None = (256, 256)
    augment: AugmentSpec = field(default_factory=lambda: AugmentSpec(mirror={}, rotation={}))
    white: float | None = None

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        from kseg.datasets import options_taken

        return {} if name == GIVEN else options_taken(name)


@dataclass(frozen=True, init=False)
class LossSpec(Chosen):
    """A loss's name and options (kseg.objectives.LOSSES), and the weights of pixels.

    Attributes:
      name: the loss: cross_entropy or dice, or a plugin's.
      class_weights: of each pixel by its class: inverse to the class's share, or the median frequency over its own.
      border_weight: height of the weights between touching objects (equation 2's w0), where objects are numbered.
    """

    kind: ClassVar[str] = "loss"
    part: ClassVar[str] = "loss"
    name: str = "cross_entropy"
    class_weights: Literal["none", "inverse", "median"] = "none"
    border_weight: float = 10.0

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        from kseg.objectives import LOSSES  # with Keras

        return {} if name == GIVEN else options_of(LOSSES.get(name), without=("name", "ignore_class"))

    def check(self) -> None:
        from kseg.objectives import LOSSES

        if self.options:
            self.check_signature()
            LOSSES.get(self.name)(**self.options)


@dataclass(frozen=True, init=False)
class OptimizerSpec(Chosen):
    """An optimiser of Keras, its options, and how the learning rate falls to nothing over all steps.

    Attributes:
      name: the class's name in small letters: sgd, adam, adamw, rmsprop, lion, ...
      learning_rate: at the start.
      schedule: constant, cosine, or polynomial: (1 - step / steps) ** power.
      power: of the polynomial.
      weight_decay: this times the weight is added to its gradient (Caffe's L2); of adamw and muon the decoupled decay.
      rate_factors: "PATTERN:FACTOR" of the learning rate, for the variables whose layer ("conv1_*") or layer and
        variable ("*/bias") fits; of several that fit the last counts, and 0 freezes. Caffe's lr_mult.
      decay_factors: the same of the weight decay, Caffe's decay_mult.
      clip_norm: gradients, all taken as one vector, are shortened to this length; None for not at all.
      accumulate: batches whose gradients are averaged into one update, Caffe's iter_size. Steps count batches. Those
        left over at the end of the training, too few for an update, change nothing.
      ema: what the running average of the weights keeps of itself at each update; it is what is validated, saved as a
        network and reported. 0 for none.
      skip: steps in a row, at most, whose gradients are no numbers; they change nothing, the next ends the training.
    """

    kind: ClassVar[str] = "optimiser"
    part: ClassVar[str] = "optimizer"
    name: str = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "polynomial"] = "cosine"
    power: float = 0.9
    weight_decay: float = 0.0
    rate_factors: tuple[str, ...] = ()
    decay_factors: tuple[str, ...] = ()
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float = 0.0
    skip: int = 20

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        from kseg.training.optimizers import options_taken  # with Keras

        return {} if name == GIVEN else options_taken(name)

    def check(self) -> None:
        from kseg.training.optimizers import make_optimizer

        if self.options:
            make_optimizer(self, 1)


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


@dataclass(frozen=True)
class PublishedSpec:
    """The scores that were published of a training; None for a measure that was not.

    Attributes:
      source: where they stand, and which of them are from memory.
      dataset, split: what was scored, as a report names it; a split that kseg has not is never reported on.
      images: how many.
      mean_iu, pixel_accuracy, mean_accuracy, frequency_weighted_iu, geometric_pixel_accuracy: 0..1, more is better.
      warping_error, rand_error, pixel_error: 0..1, less is better.
    """

    source: str
    dataset: str
    split: str
    images: int
    mean_iu: float | None = None
    pixel_accuracy: float | None = None
    mean_accuracy: float | None = None
    frequency_weighted_iu: float | None = None
    geometric_pixel_accuracy: float | None = None
    warping_error: float | None = None
    rand_error: float | None = None
    pixel_error: float | None = None

    @property
    def figures(self) -> dict[str, float]:
        """What was published, by measure."""
        without = ("source", "dataset", "split", "images")
        return {key: value for key, value in vars(self).items() if key not in without and value is not None}

    def __str__(self) -> str:
        """The first of its figures, and where it stands."""
        name, value = next(iter(self.figures.items()))
        return f"{in_words(name)} {in_figures(value)} ({self.source})"
