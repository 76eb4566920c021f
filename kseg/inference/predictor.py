"""A network in the form that answers fastest, and what must be known to put borders and tiles around it.

Networks of several streams or heads take and give dicts. Inside kseg their images and scores lie one behind the other
along the channels, so that tiles and averages know one image and one map of scores.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import tensorflow as tf

from kseg.errors import ConfigError, DataError, KsegError, SizeError, WeightsError, in_a_line
from kseg.geometry import Geometry
from kseg.images import with_channels
from kseg.inference.precision import computing_in, settled_precision
from kseg.layers import Average, ScaleInput, ScoreReading, SizeCheck, check_average, readings_of

SEGMENTS = (
    "A functional network from images (N, H, W, C) to the scores of two or more classes for each pixel (N, H, W, K) is "
    "wanted, as kseg.build makes them."
)
Parts = Mapping[str, int]  # channels by name; of a network that takes or gives one array, {"": channels}


@dataclass(eq=False, repr=False)
class Predictor:
    """Calls a network: (N, H, W, C) grey levels or colours to scores (N, H', W', K) float32.

    Attributes:
      call: the network on images of all streams, one behind the other; gives the scores of all heads.
      geometry: the sizes it takes and the border it loses.
      streams, heads: channels of each input and classes of each output, by name; {"": C} and {"": K} without names.
      precision: what it computes in: float32, mixed_float16 or mixed_bfloat16.
      white: the grey level that is white to it; None where that is not known.
      readings: how the scores of each head are read.
      has_average: whether the call itself averages, as a bundle's graph does.
    """

    call: Callable[[Any], Any]
    geometry: Geometry
    streams: Parts
    heads: Parts
    precision: str = "float32"
    white: float | None = None
    readings: Mapping[str, ScoreReading] = field(default_factory=dict)
    has_average: bool = False

    def __post_init__(self) -> None:
        self.readings = {head: self.readings.get(head, ScoreReading()) for head in self.heads}
        self._warned = False

    def __repr__(self) -> str:
        return f"<Predictor: {_counts(self.streams)} channels to {_counts(self.heads)} classes, {self.precision}>"

    @property
    def average(self) -> Average:
        """The network's own average."""
        return next(iter(self.readings.values())).average

    def outer_average(self, asked: Average | None) -> Average:
        """The average that is still to be done around the call: the one asked for, else the network's own.

        Raises:
          ConfigError: there is no such average, it does not suit the images, or the graph holds another.
        """
        own, upright = self.average, next(iter(self.readings.values())).upright
        if asked is not None:
            check_average(asked, upright=upright)
        if not self.has_average:
            return asked or own
        if asked not in (None, own):
            raise ConfigError(
                f"average is {asked}, but this bundle holds another in its graph ({own}). Export it with that average, "
                "or take the network it came from."
            )
        return "none"

    @property
    def channels(self) -> int:
        """C, of all streams together."""
        return sum(self.streams.values())

    @property
    def classes(self) -> int:
        """K, of all heads together."""
        return sum(self.heads.values())

    def __call__(self, images: Any) -> Any:
        """Scores of exactly the network's own shape; with several streams or heads, dicts of them.

        Raises:
          SizeError: H or W does not fit the network.
          DataError: a stream is missing.
        """
        return self.split(self.joined(self.join(images)))

    def joined(self, images: np.ndarray) -> np.ndarray:
        """The scores of all heads of images (N, H, W, C) of all streams, both one behind the other."""
        height, width = images.shape[1:3]
        self.geometry.check(height, width, "input")
        try:
            return np.asarray(self.call(images))
        except KsegError:
            raise
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            raise SizeError(
                f"This network does not take {height} x {width} pixels ({what_failed(error)}). Where its stride has to "
                "divide them, build it with kseg.layers.SizeCheck(STRIDE, smallest=STRIDE) behind its input: images "
                "are then widened to such sizes, and cut again."
            ) from error

    def image_of(self, image: Any, name: str) -> Any:
        """An image as the network takes it: (H, W, C), or arrays by stream as they are.

        Where its depth can't be that of the images the network was trained on, a warning is printed, once.

        Args:
          image: (H, W) or (H, W, C).
          name: which one, for messages.

        Raises:
          DataError: it is no such array of finite numbers, or has other channels.
        """
        if "" not in self.streams:
            return image
        image = with_channels(checked(image, name), self.channels, name)
        doubt = "" if self._warned or self.white is None else doubt_of_depth(image, self.white)
        if doubt:
            self._warned = True
            say_above_bar(f"warning: {name}: {doubt}")
        return image

    def join(self, images: Any) -> np.ndarray:
        """Arrays by stream as one.

        Raises:
          DataError: other streams than the network's, or images of different sizes.
        """
        if "" in self.streams:
            return np.asarray(images)
        if not isinstance(images, Mapping) or set(images) != set(self.streams):
            found = ", ".join(images) if isinstance(images, Mapping) else "one array"
            raise DataError(f"image: this network takes a dict of {', '.join(self.streams)}; found {found}.")
        parts = [np.asarray(images[name]) for name in self.streams]
        sizes = [part.shape[:-1] for part in parts]
        channels = [part.shape[-1] for part in parts]
        if len(set(sizes)) > 1 or channels != list(self.streams.values()):
            shapes = ", ".join(f"{name} {part.shape}" for name, part in zip(self.streams, parts, strict=True))
            wanted = ", ".join(f"{name} {count}" for name, count in self.streams.items())
            raise DataError(f"image: {shapes}. All streams are of one size, with channels: {wanted}.")
        return np.concatenate(parts, axis=-1)

    def split(self, scores: np.ndarray) -> Any:
        """What `joined` gave, by head."""
        return scores if "" in self.heads else parts_of(scores, self.heads)


def predictor(model: keras.Model | Predictor, *, precision: str = "float32") -> Predictor:
    """`model` as a graph. It is traced once for all sizes and kept as long as the network lives.

    Args:
      model: a network; a Predictor comes back as it is.
      precision: float32, mixed_float16, mixed_bfloat16, or auto for what this device computes fastest.

    Raises:
      ConfigError: there is no such precision, a Predictor computes in another, or `model` is neither.
      WeightsError: the network has no input or output of its own.
    """
    precision = settled_precision(precision)
    if isinstance(model, Predictor):
        if precision not in ("float32", model.precision):
            raise ConfigError(
                f"precision is {precision}, but this bundle or predictor computes in {model.precision}. Ask for the "
                "precision where it is made."
            )
        return model
    if not isinstance(model, keras.Model):
        load = f" Load it first: kseg.load({str(model)!r})." if isinstance(model, str | Path) else ""
        raise ConfigError(f"model: found {model!r:.80}, but a keras.Model or a kseg.predictor is wanted.{load}")
    heads = heads_of(model)
    return Predictor(
        _traced(model, precision),
        geometry_of(model),
        streams_of(model),
        heads,
        precision,
        white_of(model),
        readings_of(model),
    )


_graphs: weakref.WeakKeyDictionary[keras.Model, dict[str, Any]] = weakref.WeakKeyDictionary()


def _traced(model: keras.Model, precision: str) -> Callable[[Any], Any]:
    """The network on images of all streams, joined, to the scores of all heads; traced at the first call."""
    if keras.backend.backend() != "tensorflow":

        def plain(images: Any) -> Any:
            with computing_in(model, precision):
                return keras.ops.convert_to_numpy(call_joined(model, keras.ops.cast(images, "float32")))

        return plain

    def call(images: Any) -> Any:
        graphs = _graphs.setdefault(model, {})  # they know the network weakly; this function keeps it alive
        if precision not in graphs:
            graphs[precision] = _graph(model, precision)
        return graphs[precision](tf.cast(images, tf.float32))

    return call


def _graph(model: keras.Model, precision: str) -> Any:
    """A tf.function that knows the network weakly; for all sizes, or anew for each where a layer asks for the size."""
    channels, network = sum(streams_of(model).values()), weakref.ref(model)

    def scores(images: tf.Tensor) -> tf.Tensor:
        living = network()
        assert living is not None
        with computing_in(living, precision):
            return call_joined(living, images)

    graph = tf.function(scores, input_signature=[tf.TensorSpec((None, None, None, channels), tf.float32)])
    try:
        # Traced by a call, one network after another looks to TensorFlow like one that is retraced.
        graph.get_concrete_function()
    except KsegError:
        raise
    except (ValueError, TypeError, NotImplementedError):  # as Keras' bilinear UpSampling2D, which asks for the size
        return tf.function(scores)
    return graph


def what_failed(error: Exception) -> str:
    """The first line of an error that says what went wrong in a graph; not where, and not in which files."""
    without = ("File ", "Graph execution error", "Detected at", "Exception encountered", "[[")
    lines = [line for line in str(error).splitlines() if line.strip() and not line.strip().startswith(without)]
    return in_a_line(lines[0] if lines else error)


def _counts(parts: Parts) -> str:
    return ", ".join(f"{name} {count}".strip() for name, count in parts.items())


def say_above_bar(text: str) -> None:
    """Prints a line on standard error, on a terminal in place of a progress bar, which is drawn anew below it."""
    click.echo(("\r\x1b[K" if sys.stderr.isatty() else "") + text, err=True)


def checked(image: Any, name: str) -> np.ndarray:
    """`image` as (H, W, C), C = 1 where it is (H, W).

    Raises:
      DataError: it is something else, empty, or holds what is no finite number; `name` says which.
    """
    if isinstance(image, str | Path):
        raise DataError(f"{name}: a path, not an array. Read it first: kseg.images.read_image({str(image)!r}).")
    try:
        array = np.asarray(image)
    except ValueError as error:
        raise DataError(f"{name}: {error}. Give an array (H, W) or (H, W, C).") from error
    if array.ndim not in (2, 3) or not array.size:
        several = " Of several images give one at a time." if array.ndim == 4 else ""
        raise DataError(f"{name}: an array of shape {array.shape}; (H, W) or (H, W, C) is wanted.{several}")
    if array.dtype.kind not in "buif":
        raise DataError(f"{name}: values of type {array.dtype}. Give grey levels or colours as numbers.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        share = 1 - np.isfinite(array).mean()
        raise DataError(f"{name}: {share:.1%} of its values are NaN or infinite. Replace them first.")
    return array if array.ndim == 3 else array[..., None]


def doubt_of_depth(image: np.ndarray, white: float) -> str:
    """Why an image can't be as deep as those whose white is `white`; nothing where it can.

    Far too bright is twice white. Far too dark is only told from the type, as a night is no fault: 8 bits where white
    lies far beyond, or fractions up to 1.
    """
    brightest = float(image.max())
    fractions = image.dtype.kind == "f" and 0 < brightest <= 1
    if image.dtype == np.uint8 and white > 2 * 255:
        found = "it has 8 bits"
    elif brightest > 2 * white or fractions and white > 2:
        found = f"its brightest pixel is {brightest:g}"
    else:
        return ""
    return (
        f"{found}, but white is {white:g} to this network. It was trained on images of another depth: the prediction "
        "will mean little. Save the images as those it was trained on, or train on such."
    )


def call_joined(model: keras.Model, images: Any) -> Any:
    """`model` on the images (N, H, W, C) of all its streams: the scores (N, H', W', K) of all its heads."""
    streams = streams_of(model)
    given: Any = images if "" in streams else parts_of(images, streams)
    if isinstance(getattr(model, "input", None), list | tuple) and not isinstance(model, keras.Sequential):
        given = [given]  # built as keras.Model([image], [scores])
    scores = model(given, training=False)
    if isinstance(scores, list | tuple):
        (scores,) = scores
    if not isinstance(scores, dict):
        return scores
    return keras.ops.concatenate([scores[head] for head in heads_of(model)], axis=-1)


def white_of(model: keras.Model) -> float | None:
    """The grey level that is white to a network, by its first layer; None of depth, or where no layer says it."""
    for layer in _layers_of(model):
        if isinstance(layer, ScaleInput):
            return layer.scaling.white
    return None


def streams_of(model: keras.Model) -> dict[str, int]:
    """The channels of each input by its name, {"": C} where there is one without.

    Raises:
      WeightsError: there is none, or several without names.
    """
    return _channels(model, "input")


def heads_of(model: keras.Model) -> dict[str, int]:
    """The classes of each output by its name, {"": K} where there is one without.

    Raises:
      WeightsError: there is none, or several without names.
    """
    return _channels(model, "output")


def _channels(model: keras.Model, end: str) -> dict[str, int]:
    tensors = getattr(model, end, None)
    if isinstance(model, keras.Sequential) and model.built:
        tensors = getattr(model, f"{end}s")
    if isinstance(tensors, list | tuple) and len(tensors) == 1:
        (tensors,) = tensors
    parts: dict[str, Any] = tensors if isinstance(tensors, dict) else {"": tensors}
    if not all(hasattr(tensor, "shape") for tensor in parts.values()):
        raise WeightsError(f"{model.name}: no {end}, or several without names. {SEGMENTS}")
    return {name: tensor.shape[-1] for name, tensor in parts.items()}


def parts_of(joined: Any, parts: Parts) -> dict[str, Any]:
    """Views of an array (..., C) by the names of its parts along the last axis."""
    stops = np.cumsum(list(parts.values())).tolist()
    return {name: joined[..., stop - count : stop] for (name, count), stop in zip(parts.items(), stops, strict=True)}


def geometry_of(model: keras.Model) -> Geometry:
    """The sizes a network takes: its SizeCheck's, or that of a network within it; one without takes any, whole."""
    checks = (layer for layer in _layers_of(model) if isinstance(layer, SizeCheck))
    return next((layer.geometry for layer in checks), Geometry(margin=None))


def _layers_of(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a network, in the place of a network within it those of that."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers_of(layer)
        else:
            yield layer
