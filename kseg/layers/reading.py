"""How scores become class ids and objects; the network itself holds it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import keras

from kseg.errors import ConfigError, Setting, did_you_mean
from kseg.instances import ObjectRules

Average = Literal["none", "mirror", "rotations", "symmetries"]
AVERAGES: dict[str, str] = {
    "none": "no average",
    "mirror": "mean over the image and its mirror image",
    "rotations": "mean over 7 rotations",
    "symmetries": "mean over 8 symmetries",
}


@dataclasses.dataclass(frozen=True)
class ScoreReading:
    """How the scores of one head become class ids, and what these ids mean.

    Attributes:
      classes: the names of the classes, in the order of their ids; () if they are unknown.
      colours: red, green and blue of each class, 0..255; () for the colours of PASCAL VOC.
      average: the versions of an image over which the scores are averaged (kseg.inference.averaging).
      threshold: for two classes: a pixel is class 1 if its probability is above this; None for the largest score.
      upright: whether the images have an upper side, as photographs do; then the network has not learned rotated ones.
      min_size, fill_holes, separate: what counts as an object of a class (kseg.instances.ObjectRules).

    Raises:
      ConfigError: there is no such average, or a number is out of range.
    """

    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    average: Average = "none"
    threshold: float | None = None
    upright: bool = False
    min_size: int = 0
    fill_holes: bool = False
    separate: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(str, self.classes)))
        object.__setattr__(self, "colours", tuple((int(r), int(g), int(b)) for r, g, b in self.colours))
        check_average(self.average, upright=self.upright)
        if self.threshold is not None and not 0 <= self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}, but must be a probability: at least 0 and below 1.")
        if self.threshold is not None and len(self.classes) not in (0, 2):
            raise ConfigError(f"threshold is for two classes, but there are {len(self.classes)}.", "Leave it out.")
        if self.colours and self.classes and len(self.colours) != len(self.classes):
            raise ConfigError(
                f"There are {len(self.colours)} colours for {len(self.classes)} classes.", "Give one for each, or none."
            )
        _ = self.rules  # raises if they are wrong

    @property
    def rules(self) -> ObjectRules:
        """What counts as an object."""
        return ObjectRules(self.min_size, self.fill_holes, self.separate)

    @property
    def margin(self) -> float | None:
        """The difference of the two scores that corresponds to `threshold`; None without a threshold."""
        if self.threshold is None:
            return None
        return math.log(self.threshold / (1 - self.threshold)) if self.threshold else -math.inf

    def names(self, count: int) -> tuple[str, ...]:
        """The names of `count` classes; "class 0", "class 1", ... if they are unknown."""
        return self.classes or tuple(f"class {number}" for number in range(count))


def check_average(average: str, *, upright: bool) -> None:
    """Checks that an average exists and suits the images.

    Raises:
      ConfigError: there is no such average, or it rotates images that have an upper side.
    """
    if average not in AVERAGES:
        raise ConfigError(f"There is no average {average!r}.", did_you_mean(average, AVERAGES))
    if upright and average in ("rotations", "symmetries"):
        raise ConfigError(
            f"average is {average}, but the images of this network have an upper side, and it was not trained on "
            "rotated images, which make its scores worse.",
            *("Use ", Setting("average", "mirror"), " or ", Setting("average", "none"), "."),
        )


@keras.saving.register_keras_serializable("kseg")
class ReadScores(keras.layers.Layer):
    """Returns scores as float32. Its configuration holds a `ScoreReading`, so every copy of the network has it.

    It takes the fields of a ScoreReading by name, and what every layer takes.

    Attributes:
      reading: the ScoreReading.
    """

    def __init__(self, **kwargs: Any) -> None:
        own = {each.name for each in dataclasses.fields(ScoreReading)}
        self.reading = ScoreReading(**{name: kwargs[name] for name in own & kwargs.keys()})
        super().__init__(**{"dtype": "float32", **{name: kwargs[name] for name in kwargs.keys() - own}})

    def call(self, inputs: Any) -> Any:
        """(N, H, W, K), unchanged."""
        return inputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), **dataclasses.asdict(self.reading)}


def with_reading(model: keras.Model, readings: ScoreReading | Mapping[str, ScoreReading]) -> keras.Model:
    """The network with a reading for each head.

    Args:
      model: a functional network, or a Sequential that was built.
      readings: one reading, or readings by head.

    Returns:
      `model` itself with other readings if it has such layers already; else a new network that shares all its layers.
    """
    by_head = dict(readings) if isinstance(readings, Mapping) else {"": readings}
    layers = reading_layers(model)
    if layers:
        for head, layer in layers.items():
            layer.reading = by_head[head]
        return model
    if isinstance(model, keras.Sequential) or isinstance(model.output, list | tuple):
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    outputs = model.output if isinstance(model.output, Mapping) else {"": model.output}
    read = {
        head: ReadScores(**dataclasses.asdict(by_head[head]), name=f"reading_{head}" if head else "reading")(scores)
        for head, scores in outputs.items()
    }
    return keras.Model(model.input, read.get("", read), name=model.name)


def reading_layers(model: keras.Model) -> dict[str, ReadScores]:
    """The layers of `model` that hold a reading, by head; {} if there are none."""
    found = [layer for layer in model.layers if isinstance(layer, ReadScores)]
    return {layer.name.removeprefix("reading").removeprefix("_"): layer for layer in found}


def readings_of(model: keras.Model) -> dict[str, ScoreReading]:
    """The reading of each head; {} for a network without readings."""
    return {head: layer.reading for head, layer in reading_layers(model).items()}
