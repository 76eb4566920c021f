"""A network in the form that answers fastest, and what must be known to put borders and tiles around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.geometry import Geometry
from kseg.layers import SizeCheck


class Predictor:
    """Calls a network: (N, H, W, C) grey levels or colours to scores (N, H', W', K) float32.

    Attributes:
      geometry: the sizes it takes and the border it loses.
      channels: C.
      classes: K.
    """

    def __init__(self, call: Callable[[Any], Any], geometry: Geometry, channels: int, classes: int) -> None:
        self._call = call
        self.geometry, self.channels, self.classes = geometry, channels, classes

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Scores of exactly the network's own shape.

        Raises:
          SizeError: H or W does not fit the network.
        """
        height, width = images.shape[1:3]
        self.geometry.check(height, width, "input")
        return np.asarray(self._call(images))


def predictor(model: keras.Model | Predictor) -> Predictor:
    """`model` as a graph that is traced once, whatever the sizes; a Predictor as it is."""
    if isinstance(model, Predictor):
        return model
    signature = [tf.TensorSpec((None, None, None, model.input_shape[-1]), tf.float32)]
    scores = tf.function(lambda images: model(images, training=False), input_signature=signature)
    return Predictor(
        lambda images: scores(tf.cast(images, tf.float32)),
        geometry_of(model),
        model.input_shape[-1],
        model.output_shape[-1],
    )


def geometry_of(model: keras.Model) -> Geometry:
    """The sizes a network takes: its SizeCheck's; a network without one takes any, whole."""
    for layer in model.layers:
        if isinstance(layer, SizeCheck):
            return layer.geometry
    return Geometry(margin=None)
