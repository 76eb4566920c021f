"""A network in the form that answers fastest, and what must be known to put borders and tiles around it.

Networks of several streams or heads take and give dicts. Inside kseg their images and scores lie one behind the other
along the channels, so that tiles and averages know one image and one map of scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.errors import DataError
from kseg.geometry import Geometry
from kseg.images import with_channels
from kseg.layers import SizeCheck

Parts = Mapping[str, int]  # channels by name; of a network that takes or gives one array, {"": channels}


class Predictor:
    """Calls a network: (N, H, W, C) grey levels or colours to scores (N, H', W', K) float32.

    Attributes:
      geometry: the sizes it takes and the border it loses.
      streams, heads: channels of each input and classes of each output, by name; {"": C} and {"": K} without names.
      precision: what it computes in: float32, mixed_float16 or mixed_bfloat16.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        geometry: Geometry,
        streams: Parts,
        heads: Parts,
        precision: str = "float32",
    ) -> None:
        self._call = call
        self.geometry, self.streams, self.heads, self.precision = geometry, dict(streams), dict(heads), precision

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
        return np.asarray(self._call(images))

    def image_of(self, image: Any, name: str) -> Any:
        """A data set's image in the channels of the network.

        Raises:
          DataError: it has others; `name` says which image.
        """
        return with_channels(image, self.channels, name) if "" in self.streams else image

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


def predictor(model: keras.Model | Predictor) -> Predictor:
    """`model` as a graph that is traced once, whatever the sizes; a Predictor as it is."""
    if isinstance(model, Predictor):
        return model
    streams, heads = streams_of(model), heads_of(model)
    signature = [tf.TensorSpec((None, None, None, sum(streams.values())), tf.float32)]
    scores = tf.function(lambda images: call_joined(model, images), input_signature=signature)
    scores.get_concrete_function()  # traced by a call, one network after another looks to TensorFlow like one retraced
    return Predictor(
        lambda images: scores(tf.cast(images, tf.float32)), geometry_of(model), streams, heads, precision_of(model)
    )


def call_joined(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """`model` on the images (N, H, W, C) of all its streams: the scores (N, H', W', K) of all its heads."""
    streams = streams_of(model)
    scores = model(images if "" in streams else parts_of(images, streams), training=False)
    return tf.concat([scores[head] for head in heads_of(model)], axis=-1) if isinstance(scores, dict) else scores


def precision_of(model: keras.Model) -> str:
    """The Keras policy of the network's convolutions: float32, mixed_float16 or mixed_bfloat16."""
    kinds = {layer.compute_dtype for layer in model.layers}
    return next((f"mixed_{kind}" for kind in ("float16", "bfloat16") if kind in kinds), "float32")


def streams_of(model: keras.Model) -> dict[str, int]:
    """The channels of each input by its name, {"": C} where there is one without."""
    return _channels(model.input)


def heads_of(model: keras.Model) -> dict[str, int]:
    """The classes of each output by its name, {"": K} where there is one without."""
    return _channels(model.output)


def _channels(tensors: Any) -> dict[str, int]:
    if isinstance(tensors, dict):
        return {name: tensor.shape[-1] for name, tensor in tensors.items()}
    return {"": tensors.shape[-1]}


def parts_of(joined: Any, parts: Parts) -> dict[str, Any]:
    """Views of an array (..., C) by the names of its parts along the last axis."""
    stops = np.cumsum(list(parts.values())).tolist()
    return {name: joined[..., stop - count : stop] for (name, count), stop in zip(parts.items(), stops, strict=True)}


def geometry_of(model: keras.Model) -> Geometry:
    """The sizes a network takes: its SizeCheck's; a network without one takes any, whole."""
    for layer in model.layers:
        if isinstance(layer, SizeCheck):
            return layer.geometry
    return Geometry(margin=None)
