"""The TensorFlow graphs that compute a network's scores and class ids in one precision.

The first graphs read the weights, so that the first answer comes soon. If a network is called for long enough, graphs
that hold the weights as they are take their place (`held`); a change of the weights brings the first ones back.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.errors import KsegError
from kseg.inference.graphs.held import HeldWeights, seconds_to_hold
from kseg.inference.precision import computing_in
from kseg.inference.signature import call_joined, heads_of, parts_of, streams_of
from kseg.layers import ScoreReading


class NetworkGraphs:
    """Functions of images (N, H, W, C) float32 of all streams. They hold the network weakly; a caller keeps it alive.

    Args:
      model: the network.
      precision: what it computes in.
      readings: how the scores of each head become class ids.
      holds: whether the weights stay as they are for so long that holding them can gain time.
    """

    def __init__(
        self, model: keras.Model, precision: str, readings: Mapping[str, ScoreReading], *, holds: bool
    ) -> None:
        self._model, self._precision, self._readings = weakref.ref(model), precision, dict(readings)
        self._heads = heads_of(model)
        self._cost = seconds_to_hold(model, precision) if holds else None
        self._restart()

    def _restart(self) -> None:
        self._graphs: dict[str, Any] = {}
        self._held: HeldWeights | None = None
        self._spent = 0.0

    def scores(self, images: Any) -> Any:
        """The scores (N, H', W', K) of all heads, joined."""
        return self._call("scores", images)

    def ids(self, images: Any) -> dict[str, Any]:
        """The class ids (N, H', W') of each head, uint8, or uint16 for more than 256 classes."""
        return self._call("ids", images)

    def _call(self, kind: str, images: Any) -> Any:
        model = self._living()
        if self._held and not self._held.are_those_of(model):
            self._restart()
        elif self._held is None and self._cost is not None and self._spent > self._cost:
            self._restart()
            self._held = HeldWeights(model, self._precision)
        is_new = kind not in self._graphs
        if is_new:
            self._graphs[kind] = self._graph({"scores": self._scores, "ids": self._ids}[kind])
        began = time.perf_counter()
        found = self._graphs[kind](tf.cast(images, tf.float32))
        self._spent += 0.0 if is_new else time.perf_counter() - began
        return found

    def _living(self) -> keras.Model:
        model = self._model()
        assert model is not None
        return model

    def _scores(self, images: tf.Tensor) -> tf.Tensor:
        model, held = self._living(), self._held
        with computing_in(model, self._precision):
            if held is None:
                return call_joined(model, images)
            with held.in_place():
                return call_joined(model, images, call=held.call)

    def _ids(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = parts_of(self._scores(images), self._heads)
        return {head: class_ids(part, self._readings[head]) for head, part in parts.items()}

    def _graph(self, function: Callable[[tf.Tensor], Any]) -> Any:
        """One graph for all sizes, or one per size if a layer needs the size."""
        channels = sum(streams_of(self._living()).values())
        graph = tf.function(function, input_signature=[tf.TensorSpec((None, None, None, channels), tf.float32)])
        try:
            # If a call traced it, TensorFlow would warn of retracing when several networks follow each other.
            graph.get_concrete_function()
        except KsegError:
            raise
        except (ValueError, TypeError, NotImplementedError):  # such as Keras' UpSampling2D, which needs the size
            return tf.function(function)
        return graph


def class_ids(scores: Any, reading: ScoreReading) -> Any:
    """The class of each pixel: the one with the largest score, or whether class 1 is above the reading's threshold.

    Args:
      scores: (..., K), an array or a tensor.
      reading: how they are read.

    Returns:
      (...) uint8, or uint16 for more than 256 classes; an array or a tensor, as the scores are.
    """
    classes, is_tensor = scores.shape[-1], tf.is_tensor(scores)
    kind = "uint8" if classes <= 256 else "uint16"
    if classes == 2:
        found = scores[..., 1] - scores[..., 0] > np.float32(reading.margin or 0)
    else:
        found = tf.argmax(scores, axis=-1, output_type=tf.int32) if is_tensor else scores.argmax(axis=-1)
    return tf.cast(found, kind) if is_tensor else found.astype(kind)
