"""The parts of a recipe: the network, the data and their augmentation, the loss, the optimiser, the checkpoints,
and what was published of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from kseg.pages import in_figures
from kseg.pictures import in_words


@dataclass(frozen=True)
class ModelSpec:
    """A network's name and options; None stands for the network's own default.

    `preprocessing` names an entry of kseg.layers.SCALINGS.
    """

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
    preprocessing: str | None = None

    def options(self) -> dict[str, Any]:
        """What `kseg.build` is given beside name, classes, channels and preprocessing."""
        return _given(self, "name", "preprocessing")


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
      split: what is trained on; None for train where there is one, else trainval.
      order: every epoch a permutation of the images, or draws with replacement.
      batch_size: crops per step, over all devices.
      crop: height and width the network is given; for valid convolutions its border is part of it. None for whole
        images, which must be of one size within a batch.
      augment: what is done to each crop.
      white: the grey level that becomes 1; None for 255 or 65535, by the images' depth.
      instances, classes, ignore_class, values: as the data set takes them.
      drop: frame numbers of the Cell Tracking Challenge to leave out.
      truth: its gold truth, made by hand, or its silver, computed.
      view: of NYUDv2: colour, colour and depth, HHA, or colour and HHA as two streams.
    """

    name: str = "demo"
    split: str | None = None
    order: Literal["epochs", "draws"] = "epochs"
    batch_size: int = 4
    crop: tuple[int, int] | None = (256, 256)
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
        return _given(self, "name", "split", "order", "batch_size", "crop", "augment", "white")


@dataclass(frozen=True)
class LossSpec:
    """Cross-entropy.

    Attributes:
      average: over the pixels that count, or their sum, as the FCN authors' release has it.
      dice: how much of the Dice loss is added.
      class_weights: of each pixel by its class: inverse to the class's share, or the median frequency over its own.
      border_weight: height of the weights between touching objects (equation 2's w0), where objects are numbered.
    """

    average: Literal["pixels", "none"] = "pixels"
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
      weight_decay: this times the weight is added to its gradient (Caffe's L2, not the decoupled decay).
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

    name: Literal["sgd", "adam"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.99
    schedule: Literal["constant", "cosine", "polynomial"] = "cosine"
    power: float = 0.9
    weight_decay: float = 0.0
    rate_factors: tuple[str, ...] = ()
    decay_factors: tuple[str, ...] = ()
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float = 0.0
    skip: int = 20


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
        return _given(self, "source", "dataset", "split", "images")

    def __str__(self) -> str:
        """The first of its figures, and where it stands."""
        name, value = next(iter(self.figures.items()))
        return f"{in_words(name)} {in_figures(value)} ({self.source})"


def _given(spec: Any, *without: str) -> dict[str, Any]:
    return {key: value for key, value in vars(spec).items() if key not in without and value is not None}
