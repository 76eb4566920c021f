"""A network in the form that answers fastest, with what tiles and averages must know of it."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.device import asked_onednn, onednn_advice
from kseg.errors import ConfigError, DataError, KsegError, SizeError
from kseg.geometry import Geometry
from kseg.images import with_channels
from kseg.inference.graphs import NetworkGraph, class_ids
from kseg.inference.input_images import checked_image, depth_warning
from kseg.inference.precision import computing_in, settled_precision
from kseg.inference.signature import (
    Parts,
    call_joined,
    geometry_of,
    heads_of,
    parts_of,
    reason_of_call,
    streams_of,
    white_of,
)
from kseg.layers import Average, ScoreReading, check_average, readings_of
from kseg.log import LOG


@dataclass(eq=False, repr=False)
class Predictor:
    """Calls a network: (N, H, W, C) grey levels or colours to scores (N, H', W', K) float32.

    Attributes:
      call: the network: from images of all streams to scores of all heads, both joined along the channels.
      geometry: the sizes it takes and the border it loses.
      streams, heads: channels of each input and classes of each output, by name; {"": C} and {"": K} without names.
      precision: what it computes in: float32, mixed_float16 or mixed_bfloat16.
      white: the grey level that is white to it; None if that is not known.
      readings: how the scores of each head are read.
      has_average: whether the call itself averages, as a bundle's graph does.
      ids_call: the network with class ids: from images of all streams to those of each head; None if the graph gives
        scores only.
      model: the network that `call` computes, which lives as long as this object; None for a bundle.
    """

    call: Callable[[Any], Any]
    geometry: Geometry
    streams: Parts
    heads: Parts
    precision: str = "float32"
    white: float | None = None
    readings: Mapping[str, ScoreReading] = field(default_factory=dict)
    has_average: bool = False
    ids_call: Callable[[Any], Mapping[str, Any]] | None = None
    model: keras.Model | None = None

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
        """The average that must still be computed around the call: the one asked for, else the network's own.

        Raises:
          ConfigError: there is no such average, it does not suit the images, or the graph holds another one.
        """
        own, upright = self.average, next(iter(self.readings.values())).upright
        if asked is not None:
            check_average(asked, upright=upright)
        if not self.has_average:
            return asked or own
        if asked not in (None, own):
            raise ConfigError(
                f"average is {asked}, but this bundle holds another one in its graph ({own}).",
                "Export it with that average, or use the network it came from.",
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
        """The scores of all heads for images (N, H, W, C) of all streams, both joined along the channels.

        Raises:
          SizeError: H or W does not fit the network.
        """
        with self._checked(images):
            return _not_empty(np.asarray(self.call(images)))

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The scores of `joined`, (N, H', W', K), of each head."""
        return parts_of(self.joined(images), self.heads)

    def ids(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The class ids (N, H', W') of each head for images (N, H, W, C) of all streams.

        They are uint8, or uint16 for more than 256 classes.

        Raises:
          SizeError: H or W does not fit the network.
        """
        if self.ids_call is None:
            return {head: class_ids(part, self.readings[head]) for head, part in self.scores(images).items()}
        with self._checked(images):
            return {head: _not_empty(np.asarray(found)) for head, found in self.ids_call(images).items()}

    @contextmanager
    def _checked(self, images: np.ndarray) -> Iterator[None]:
        """A context for a call of the network on `images`."""
        height, width = images.shape[1:3]
        self.geometry.check(height, width, "input")
        try:
            yield
        except KsegError:
            raise
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            raise SizeError(
                f"This network does not take {height} x {width} pixels ({reason_of_call(error)}).",
                "If height and width must be multiples of its stride, build it with kseg.layers.SizeCheck(STRIDE, "
                "smallest=STRIDE) behind its input: images are then widened to such sizes, and cut again.",
            ) from error

    def image_of(self, image: Any, name: str) -> Any:
        """An image as the network takes it: (H, W, C); arrays by stream are returned unchanged.

        The first image whose depth differs from that of the training images gives a warning.

        Args:
          image: (H, W) or (H, W, C).
          name: which image it is, for messages.

        Raises:
          DataError: it is no such array of finite numbers, or has other channels.
        """
        if "" not in self.streams:
            return image
        image = with_channels(checked_image(image, name), self.channels, name)
        if not self._warned and self.white is not None and (warning := depth_warning(image, self.white)):
            self._warned = True
            LOG.warning("%s: %s", name, warning)
        return image

    def join(self, images: Any) -> np.ndarray:
        """The arrays of all streams as one, joined along the channels.

        Raises:
          DataError: the streams are not the network's, or the images differ in size.
        """
        if "" in self.streams:
            return np.asarray(images)
        if not isinstance(images, Mapping) or set(images) != set(self.streams):
            found = ", ".join(images) if isinstance(images, Mapping) else "one array"
            raise DataError(f"image: found {found}.", f"Give this network a dict of {', '.join(self.streams)}.")
        parts = [np.asarray(images[name]) for name in self.streams]
        sizes = [part.shape[:-1] for part in parts]
        channels = [part.shape[-1] for part in parts]
        if len(set(sizes)) > 1 or channels != list(self.streams.values()):
            shapes = ", ".join(f"{name} {part.shape}" for name, part in zip(self.streams, parts, strict=True))
            wanted = ", ".join(f"{name} {count}" for name, count in self.streams.items())
            raise DataError(f"image: {shapes}.", f"Give streams of one size, with channels: {wanted}.")
        return np.concatenate(parts, axis=-1)

    def split(self, scores: np.ndarray) -> Any:
        """The scores that `joined` gives, by head."""
        return scores if "" in self.heads else parts_of(scores, self.heads)


def predictor(model: keras.Model | Predictor, *, precision: str = "float32") -> Predictor:
    """The predictor of a network. Its graphs are traced once for all sizes and kept as long as the network lives.

    One graph gives scores, another one class ids. A long use traces them a second time, to hold the weights.

    Args:
      model: a network; a Predictor is returned as it is.
      precision: float32, mixed_float16, mixed_bfloat16, or auto for what this device computes fastest.

    Raises:
      ConfigError: there is no such precision, the Predictor computes in another one, or `model` is neither.
      WeightsError: the network has no input or output, or several without names.
    """
    precision = settled_precision(precision)
    if isinstance(model, Predictor):
        if precision not in ("float32", model.precision):
            raise ConfigError(
                f"precision is {precision}, but this bundle or predictor computes in {model.precision}.",
                "Ask for the precision when you make it.",
            )
        return model
    if not isinstance(model, keras.Model):
        is_path = isinstance(model, str | Path)
        advice = f"Load it first: kseg.load({str(model)!r})." if is_path else "Give a keras.Model or a kseg.predictor."
        raise ConfigError(f"model: found {model!r:.80}, which is no network.", advice)
    if keras.backend.backend() == "tensorflow" and asked_onednn() is None and (advice := onednn_advice()):
        _advise(advice)
    return _made(model, precision, holds=True)


@functools.cache
def _advise(advice: str) -> None:
    """Gives the advice once, unless a GPU computes."""
    if not tf.config.list_physical_devices("GPU"):
        LOG.warning("%s", advice)


def changing_predictor(model: keras.Model, *, precision: str = "float32") -> Predictor:
    """The predictor of a network that is in training: it never holds the weights."""
    return _made(model, precision, holds=False)


def _made(model: keras.Model, precision: str, *, holds: bool) -> Predictor:
    ends, known = (streams_of(model), heads_of(model)), readings_of(model)
    readings = {head: known.get(head, ScoreReading()) for head in ends[1]}
    facts = (geometry_of(model), *ends, precision, white_of(model), readings)
    if keras.backend.backend() != "tensorflow":

        def plain(images: Any) -> Any:
            with computing_in(model, precision):
                return keras.ops.convert_to_numpy(call_joined(model, keras.ops.cast(images, "float32")))

        return Predictor(plain, *facts)
    kept = _graphs.setdefault(model, {})
    key = (precision, holds, tuple(readings.items()))
    if key not in kept:
        kept[key] = NetworkGraph(model, precision, readings, holds=holds)
    graphs = kept[key]
    return Predictor(graphs.scores, *facts, ids_call=graphs.ids, model=model)


# The graphs of a network, by precision, whether they may hold the weights, and the readings of its heads
_graphs: weakref.WeakKeyDictionary[keras.Model, dict[Any, NetworkGraph]] = weakref.WeakKeyDictionary()


def _not_empty(found: np.ndarray) -> np.ndarray:
    """The scores or ids (N, H, W, ...) of a network; ValueError where convolutions without padding left no pixel."""
    if 0 in found.shape[1:3]:
        raise ValueError("its convolutions leave no pixel")
    return found


def _counts(parts: Parts) -> str:
    return ", ".join(f"{name} {count}".strip() for name, count in parts.items())
