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
