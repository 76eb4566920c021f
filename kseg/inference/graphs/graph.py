"""The TensorFlow graph that computes a network's scores and class ids in one precision.

The graph holds the weights as they are (`held`). When they change, as in a training, a graph that reads them takes its
place, which is made sooner; after enough pixels without a change they are held again. The graph that holds them comes
first, since oneDNN, when it has met a convolution of some size without held weights, computes all later ones of that
size and bias in the same slower way in this process: U-Net on 572 x 572 pixels in 1.5 s, not in 1.0 s.
"""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.errors import KsegError
from kseg.inference.graphs.held import HeldWeights, can_hold
from kseg.inference.precision import computing_in
from kseg.inference.signature import call_joined, heads_of, parts_of, streams_of
from kseg.layers import ScoreReading

# After a change of the weights they are held again from so many pixels on. Measured on two cores with AVX-512, a graph
# that holds them costs then about as much time as the calls before: U-Net 4.5 s and 4.4 s (3 images of 572 x 572),
# FCN-32s 2.4 s and 5.2 s (4 of 500 x 500). It is no span of time, so that equal calls give equal numbers to the last
# bit.
PIXELS = 2**20


class NetworkGraph:
    """Functions of images (N, H, W, C) float32 of all streams. They hold the network weakly; a caller keeps it alive.

    Args:
      model: the network.
      precision: what it computes in.
      readings: how the scores of each head become class ids; a head without one has no margin.
      holds: whether the weights stay as they are for so long that holding them can gain time.
    """

    def __init__(
        self, model: keras.Model, precision: str, readings: Mapping[str, ScoreReading], *, holds: bool
    ) -> None:
        self._model, self._precision, self._heads = weakref.ref(model), precision, heads_of(model)
        self._readings = {head: readings.get(head, ScoreReading()) for head in self._heads}
        self._can_hold = holds and can_hold(model, precision)
        self._graph: Any = None
        self._held: HeldWeights | None = None
        self._pixels = PIXELS  # since the weights changed

    def scores(self, images: Any) -> Any:
        """The scores (N, H', W', K) of all heads, joined."""
        return self._called(images)[0]

    def ids(self, images: Any) -> dict[str, Any]:
        """The class ids (N, H', W') of each head, uint8, or uint16 for more than 256 classes."""
        return self._called(images)[1]

    def _called(self, images: Any) -> tuple[Any, dict[str, Any]]:
        """The scores and the class ids."""
        model = self._living()
        if self._held and not self._held.are_those_of(model):
            self._graph = self._held = None
            self._pixels = 0
        elif self._held is None and self._can_hold and self._pixels >= PIXELS:
            if self._graph:
                self._graph = None
                gc.collect()  # TensorFlow's functions hold themselves: the graph before and its buffers go now
            self._held = HeldWeights(model, self._precision)
        if self._graph is None:
            self._graph = self._traced()
        self._pixels += math.prod(images.shape[:3])
        return self._graph(tf.cast(images, tf.float32))

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

    def _both(self, images: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        scores = self._scores(images)
        parts = parts_of(scores, self._heads)
        return scores, {head: class_ids(part, self._readings[head]) for head, part in parts.items()}

    def _traced(self) -> Any:
        """One graph for all sizes, or one per size if a layer needs the size.

        It gives scores and ids: two graphs would need twice the memory. Ids of 21 classes and 500 x 500 pixels take 8
        ms, scores that are not read nothing.
        """
        channels = sum(streams_of(self._living()).values())
        signature = [tf.TensorSpec((None, None, None, channels), tf.float32)]
        graph = tf.function(self._both, input_signature=signature, autograph=False)
        try:
            # If a call traced it, TensorFlow would warn of retracing when several networks follow each other.
            graph.get_concrete_function()
        except KsegError:
            raise
        except (ValueError, TypeError, NotImplementedError):  # such as Keras' UpSampling2D, which needs the size
            return tf.function(self._both, autograph=False)
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
