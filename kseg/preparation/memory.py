"""An estimate, before the first step, of the memory that a step needs at least."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from kseg.device import memory_bytes
from kseg.errors import EnvironmentFailure, Setting

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)


def check_memory(model: keras.Model, images: int, height: int, width: int) -> None:
    """Checks that this machine has the memory for the maps that a step on a processor keeps for the backward pass.

    Without the check the system would kill the process without a message. TensorFlow itself reports a GPU's memory that
    does not suffice.

    Args:
      model: the network.
      images: how many a step has on this machine.
      height, width: of each, pixels.

    Raises:
      EnvironmentFailure: a step needs more.
    """
    there = memory_bytes()
    if there is None or tf.config.list_logical_devices("GPU"):
        return
    least = kept_bytes(model, images, height, width)
    if least > there:
        raise EnvironmentFailure(
            f"A step on {images} x {height} x {width} pixels keeps at least {least / 2**30:,.0f} GiB, but this machine "
            f"has {there / 2**30:.1f}.",
            *("Pass a smaller ", Setting("data.batch_size"), " or ", Setting("data.crop"), "."),
        )


def kept_bytes(model: keras.Model, images: int, height: int, width: int) -> int:
    """The bytes of the outputs of all convolutions: the least that a step keeps, whatever TensorFlow fuses."""
    layers = [layer for layer in model.layers if isinstance(layer, CONVOLUTIONS)]
    if not layers:
        return 0
    maps = keras.Function(model.inputs, [layer.output for layer in layers])
    given = [
        keras.KerasTensor((images, height, width, each.shape[-1]), each.dtype) for each in tf.nest.flatten(model.inputs)
    ]
    sizes = (math.prod(found.shape) for found in maps.compute_output_spec(given))
    return sum(size * tf.as_dtype(layer.compute_dtype).size for size, layer in zip(sizes, layers, strict=True))
