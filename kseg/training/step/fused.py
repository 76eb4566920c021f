"""Batch normalisation by TensorFlow's own kernels, which do in one pass what Keras' layer does in a dozen."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kseg.models.quick import call_layer


def call_in_training(layer: keras.Layer, inputs: Any, padding: str | None = None) -> Any:
    """What `call_layer` gives in training.

    Measured on two busy cores with AVX-512 and AMX, a step of own-unet's network with 4 crops of 256 x 256, with Keras'
    layer and with the kernel: in bfloat16 0.74 s and 0.37 s, in float32 1.10 s and 0.93 s.
    """
    if type(layer) is not keras.layers.BatchNormalization or not _fits(layer, inputs):
        return call_layer(layer, inputs, padding, training=True)
    inputs = tf.cast(inputs, layer.compute_dtype)
    channels = inputs.shape[-1]
    scale = tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones(channels)
    offset = tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros(channels)
    found, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, scale, offset, epsilon=layer.epsilon)
    # The kernel divides by one less than the number of values, Keras by the number.
    values = tf.cast(tf.size(inputs) // channels, tf.float32)
    variance *= (values - 1) / values
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1 - layer.momentum))
    return found


def _fits(layer: Any, inputs: Any) -> bool:
    """Whether the kernel computes what the layer does: over one device, with its own mean, channels last."""
    is_last = layer.axis in (-1, len(inputs.shape) - 1) and len(inputs.shape) == 4
    return is_last and layer.trainable and not layer.synchronized and not layer.renorm and layer.epsilon > 1.001e-5
