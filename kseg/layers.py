"""The layers Keras lacks: what a network's weights were trained with, and the sizes it takes.

Both travel inside the saved network, so that training, prediction and export can't differ. A file
saved with them loads with plain Keras after `import kseg.layers`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from kseg.geometry import Geometry


@dataclasses.dataclass(frozen=True)
class InputScaling:
    """What weights expect of grey levels or colours: `(input - mean) * scale`.

    Attributes:
      order: "rgb", or "bgr" for weights that were trained on reversed channels.
      mean: one number, or one per channel in `order`; in the units of the input.
      scale: a factor, applied after the mean was taken away.
    """

    order: str = "rgb"
    mean: tuple[float, ...] = (0.0,)
    scale: float = 1.0


SCALINGS = {"unit": InputScaling(scale=1 / 255)}


@keras.saving.register_keras_serializable("kseg")
class ScaleInput(keras.layers.Layer):
    """Applies an InputScaling; float32 under any policy, since 16-bit grey levels overflow a half."""

    def __init__(self, order: str = "rgb", mean: tuple[float, ...] = (0.0,), scale: float = 1.0, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **{key: value for key, value in kwargs.items() if key != "trainable"})
        self.scaling = InputScaling(order, tuple(mean), scale)

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) of any real dtype to float32 of the same shape."""
        image = ops.cast(inputs, "float32")
        if self.scaling.order == "bgr":
            image = ops.flip(image, axis=-1)
        return (image - ops.convert_to_tensor(self.scaling.mean, "float32")) * self.scaling.scale

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), **dataclasses.asdict(self.scaling)}


@keras.saving.register_keras_serializable("kseg")
class SizeCheck(keras.layers.Layer):
    """Hands its input on, and refuses sizes that do not fit where they are known.

    Its `geometry` is how the rest of kseg learns what borders and tiles a network needs.
    """

    def __init__(
        self, stride: int = 1, border: int = 0, smallest: int = 1, margin: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.geometry = Geometry(stride, border, smallest, margin)

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) as it came.

        Raises:
          SizeError: H or W does not fit; the message names the next that does.
        """
        height, width = inputs.shape[1:3]
        check_size(self.geometry, height, width)
        return inputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), **dataclasses.asdict(self.geometry)}


def check_size(geometry: Geometry, height: int | None, width: int | None) -> None:
    """Raises SizeError unless the sizes that are known (not None) fit."""
    fitting = geometry.smallest
    geometry.check(height or fitting, width or fitting, "input")


def dense_image_warp(image: Any, flow: Any) -> Any:
    """The image looked up at each pixel's place less its flow, bilinearly; beyond the border the border pixel goes on.

    output[n, row, column] = image[n, row - flow[n, row, column, 0], column - flow[n, row, column, 1]], differentiable
    in both arguments.

    Args:
      image: (N, H, W, C) of a float dtype, H and W >= 2.
      flow: (N, H, W, 2) of the same dtype, (row, column), pixels.

    Returns:
      (N, H, W, C) of that dtype.

    Source: equal to tensorflow-addons 0.23.0's function of this name, bit for bit.
    """
    _, height, width, channels = ops.shape(image)
    kind = image.dtype
    rows, columns = ops.meshgrid(ops.arange(height, dtype=kind), ops.arange(width, dtype=kind), indexing="ij")
    corners, shares = [], []
    for place, size in ((rows - flow[..., 0], height), (columns - flow[..., 1], width)):
        first = ops.clip(ops.floor(place), 0, size - 2)
        corners.append(ops.cast(first, "int32"))
        shares.append(ops.clip(place - first, 0, 1)[..., None])
    pixels = ops.reshape(image, (-1, height * width, channels))

    def neighbour(down: int, right: int) -> Any:
        index = ops.reshape((corners[0] + down) * width + corners[1] + right, (-1, height * width, 1))
        return ops.reshape(ops.take_along_axis(pixels, index, axis=1), (-1, height, width, channels))

    top = shares[1] * (neighbour(0, 1) - neighbour(0, 0)) + neighbour(0, 0)
    bottom = shares[1] * (neighbour(1, 1) - neighbour(1, 0)) + neighbour(1, 0)
    return shares[0] * (bottom - top) + top
