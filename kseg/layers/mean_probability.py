"""The layer in which the networks of an ensemble meet."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kseg")
class MeanProbability(keras.layers.Layer):
    """The scores whose softmax is the mean of the softmaxes of several maps of scores: the mean's logarithm.

    It computes in float32. Probabilities that are too small for float32 still give finite scores.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, inputs: Any) -> Any:
        """Maps (N, H, W, K) of the same shape to (N, H, W, K)."""
        logarithms = [ops.log_softmax(ops.cast(scores, "float32"), axis=-1) for scores in inputs]
        most = logarithms[0]
        for each in logarithms[1:]:
            most = ops.maximum(most, each)
        total = sum(ops.exp(each - most) for each in logarithms)  # 1 to the number of maps
        return most + ops.log(total / len(logarithms))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return tuple(input_shape[0])
