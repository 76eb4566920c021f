"""Whether a step fits into this machine's memory, as far as that can be told before the first."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from kseg.device import memory_bytes
from kseg.errors import EnvironmentFailure

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)


def check_memory(model: keras.Model, images: int, height: int, width: int) -> None:
    """Whether the maps that a step on a processor keeps for its way back are fewer bytes than this machine has.

    The system would end this process without a word. Of a GPU's memory TensorFlow says itself that it does not suffice.

    Args:
      model: the network.
      images: how many a step has on this machine.
      height, width: of each, pixels.

    Raises:
      EnvironmentFailure: it can't fit.
    """
    there = memory_bytes()
    if there is None or tf.config.list_logical_devices("GPU"):
        return
    least = kept_bytes(model, images, height, width)
    if least > there:
        raise EnvironmentFailure(
            f"A step on {images} x {height} x {width} pixels keeps at least {least / 2**30:,.0f} GiB, but this machine "
            f"has {there / 2**30:.1f}. Pass a smaller --batch-size or --crop."
        )


def kept_bytes(model: keras.Model, images: int, height: int, width: int) -> int:
    """What the convolutions make of so many images, in bytes: the least that a step keeps, whatever is fused."""
    layers = [layer for layer in model.layers if isinstance(layer, CONVOLUTIONS)]
    if not layers:
        return 0
    maps = keras.Function(model.inputs, [layer.output for layer in layers])
    given = [
        keras.KerasTensor((images, height, width, each.shape[-1]), each.dtype) for each in tf.nest.flatten(model.inputs)
    ]
    sizes = (math.prod(found.shape) for found in maps.compute_output_spec(given))
    return sum(size * tf.as_dtype(layer.compute_dtype).size for size, layer in zip(sizes, layers, strict=True))
