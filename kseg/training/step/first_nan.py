"""Finds the first NaN or infinity of a step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.datasets import by_name


def first_not_finite(model: keras.Model, batch: Any) -> str:
    """A text that names the first value that is not finite, on the way from the images of `batch` to the gradients.

    Args:
      model: compiled, with its weights as they were before the batch. It is not trained further.
      batch: image, label and, where there is one, weight map.
    """
    image, label, *rest = batch
    for stream, part in by_name(image).items():
        if found := _found(part):
            return f"the image {stream}".strip() + f" holds {found}"
    for variable in model.variables:
        if found := _found(variable):
            return f"the weights {_short_name(variable)} hold {found}"
    for name, output in _outputs(model, image).items():
        if found := _found(output):
            return f"the output of layer {name} holds {found}"
    with tf.GradientTape() as tape:
        scores, labels = by_name(model(image, training=True)), by_name(label)
        losses = {head: model.loss(labels[head], part, *rest) for head, part in scores.items()}
        scaled = model.optimizer.scale_loss(tf.add_n(list(losses.values())))
    for head, loss in losses.items():
        if found := _found(loss):
            return f"the loss {head}".strip() + f" is {found}"
    gradients = tape.gradient(scaled, model.trainable_variables)
    # Backwards, since the gradient of the last layer is computed first.
    for variable, gradient in reversed(list(zip(model.trainable_variables, gradients, strict=True))):
        if found := _found(gradient):
            scale = float(model.optimizer.scale_loss(1.0))
            of_what = "" if scale == 1 else f" (of the loss times {scale:g}; float32 needs no such scale)"
            return f"the gradient of {_short_name(variable)} holds {found}{of_what}"
    return "gradients that are not finite, but were finite when computed again"


def _outputs(model: keras.Model, image: Any) -> dict[str, Any]:
    """The output of each layer in training, in the order of the network."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = False  # there is one device here
    inside = keras.Model(model.input, [layer.output for layer in layers])
    return {layer.name: output for layer, output in zip(layers, inside(image, training=True), strict=True)}


def _found(value: Any) -> str:
    """ "NaN" or "infinity" if `value` holds one, else ""."""
    array = np.asarray(keras.ops.convert_to_numpy(value))
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
    return "NaN" if np.isnan(array).any() else "infinity" if np.isinf(array).any() else ""


def _short_name(variable: keras.Variable) -> str:
    return "/".join(variable.path.split("/")[-2:])
