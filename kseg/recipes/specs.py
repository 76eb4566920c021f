"""The parts of a recipe: the network, the data and their augmentation, the loss, and the published scores.

The optimiser and the checkpoints are the training machine's (kseg.training.specs). A part that names something
registered also takes the options of what it names: `ModelSpec("unet", width=16)`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from kseg.chosen import GIVEN, Chosen
from kseg.options import Above, AtLeast, Option, options_of


@dataclass(frozen=True, init=False)
class ModelSpec(Chosen):
    """A network's name and options (`kseg models describe NAME`).

    The option `preprocessing` names an entry of kseg.layers.SCALINGS, or is "own" (the network's own) or "none".

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
            str, "own", meaning="what is done to the image first: own (as the network has it), none, or a table's name."
        )
        return {key: own if key == "preprocessing" else option for key, option in taken.items()}


@dataclass(frozen=True, init=False)
class AugmentSpec(Chosen):
    """The augmentations of each crop by name (kseg.pipeline.AUGMENTATIONS), each with its options.

    `AugmentSpec(rotation={"degrees": 5.0})` does this one alone.

    Attributes:
      interpolation: how the warp reads images between pixels: linear or cubic.
      beyond: what lies outside the image: its mirror image, or void.
    """

    interpolation: Literal["linear", "cubic"] = "linear"
    beyond: Literal["mirror", "void"] = "mirror"


@dataclass(frozen=True, init=False)
class DataSpec(Chosen):
    """A data set's name and options, and how batches are made of it.

    Attributes:
      name: the data set (`kseg data list`).
      split: the part to train on; None for train if the data set has it, else trainval.
      order: epochs (each a permutation of the images) or draws (with replacement).
      batch_size: crops per step, over all devices.
      crop: height and width of the network's input, which includes the border of valid convolutions. None for whole
        images, which must have one size within a batch.
      augment: what is done to each crop.
      white: the grey level that becomes 1; None for 255 or 65535, by the images' depth.
    """

    kind: ClassVar[str] = "data set"
    part: ClassVar[str] = "data"
    name: str = "demo"
    split: str | None = None
    order: Literal["epochs", "draws"] = "epochs"
    batch_size: Annotated[int, Above(0)] = 4
    crop: tuple[int, int] | None = (256, 256)
    augment: AugmentSpec = field(default_factory=lambda: AugmentSpec(mirror={}, rotation={}))
    white: Annotated[float | None, Above(0)] = None

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        from kseg.datasets import options_taken

        return {} if name == GIVEN else options_taken(name)


@dataclass(frozen=True, init=False)
class LossSpec(Chosen):
    """A loss's name and options (kseg.objectives.LOSSES), and the weights of pixels.

    Attributes:
      name: the loss: cross_entropy or dice, or a plugin's.
      class_weights: weights of the pixels by class: none, inverse (1 / the class's share of the pixels) or median (the
        median share / the class's share).
      border_weight: height of the weights between touching objects (w0 of equation 2), where objects are numbered.
    """

    kind: ClassVar[str] = "loss"
    part: ClassVar[str] = "loss"
    name: str = "cross_entropy"
    class_weights: Literal["none", "inverse", "median"] = "none"
    border_weight: Annotated[float, AtLeast(0)] = 10.0

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        from kseg.objectives import LOSSES  # with Keras

        return {} if name == GIVEN else options_of(LOSSES.get(name), without=("name", "ignore_class"))

    def check(self) -> None:
        from kseg.objectives import LOSSES

        if self.options:
            self.check_signature()
            LOSSES.get(self.name)(**self.options)


@dataclass(frozen=True)
class PublishedSpec:
    """The published scores of a training; None for a measure that was not published.

    Attributes:
      source: the publication, and which scores are from memory.
      dataset, split: what was scored, by the names of a report. A split that kseg does not have is never reported.
      images: how many were scored.
      mean_iu, pixel_accuracy, mean_accuracy, frequency_weighted_iu, geometric_pixel_accuracy: 0..1, higher is better.
      warping_error, rand_error, pixel_error: 0..1, lower is better.
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
        """The published scores by measure."""
        without = ("source", "dataset", "split", "images")
        return {key: value for key, value in vars(self).items() if key not in without and value is not None}
