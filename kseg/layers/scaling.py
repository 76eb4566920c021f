"""The scaling of the input that a network's weights were trained with, as its first layer."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from kseg.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class InputScaling:
    """The scaling of grey levels or colours, `(input - mean) * scale`, that weights were trained with.

    Attributes:
      order: the channels for the weights: "rgb" unchanged, "bgr" reversed, "d" depth, "bgrd" reversed colours and
        depth. Depth is replaced by its natural logarithm, missing depth (0) by the mean.
      mean: one number, or one per channel in `order`; in the input's unit, for depth that of its logarithm.
      scale: a factor, applied after the mean is subtracted.
    """

    order: str = "rgb"
    mean: tuple[float, ...] = (0.0,)
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ConfigError(f"InputScaling: order is {self.order!r}, but must be one of {', '.join(ORDERS)}.")

    @property
    def white(self) -> float | None:
        """The input level of white, estimated from the constants; None for depth."""
        if "d" in self.order:
            return None
        mean = max(self.mean)
        if mean > 255 and mean * self.scale > 10:  # made by `for_white`, from a scaling whose results go up to 255
            return 255 / self.scale
        return max(1 / self.scale, 255.0 if mean > 1 else 1.0 if mean > 0 else 0.0)

    def for_white(self, white: float) -> InputScaling:
        """The same scaling for images whose white is `white` instead of 255; unchanged for depth."""
        if "d" in self.order or white == 255:
            return self
        return InputScaling(self.order, tuple(mean * white / 255 for mean in self.mean), self.scale * 255 / white)


ORDERS = ("rgb", "bgr", "d", "bgrd")

# Means of the training images, from the FCN release; NYUDv2's depth is the logarithm of millimetres.
SCALINGS = {
    "unit": InputScaling(scale=1 / 255),
    "vgg": InputScaling("bgr", (103.939, 116.779, 123.68)),
    "voc": InputScaling("bgr", (104.00699, 116.66877, 122.67892)),
    "googlenet": InputScaling("bgr", (104.0, 117.0, 123.0)),
    "context": InputScaling("bgr", (104.007, 116.669, 122.679)),
    "siftflow": InputScaling("bgr", (114.578, 115.294, 108.353)),
    "nyud-rgb": InputScaling("bgr", (116.190, 97.203, 92.318)),
    "nyud-hha": InputScaling("rgb", (132.431, 94.076, 118.477)),
    "nyud-depth": InputScaling("d", (7.844,)),
    "nyud-rgbd": InputScaling("bgrd", (116.190, 97.203, 92.318, 7.844)),
}


@keras.saving.register_keras_serializable("kseg")
class ScaleInput(keras.layers.Layer):
    """Applies an InputScaling; float32 under any policy, since 16-bit grey levels overflow float16."""

    def __init__(self, order: str = "rgb", mean: tuple[float, ...] = (0.0,), scale: float = 1.0, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **{key: value for key, value in kwargs.items() if key != "trainable"})
        self.scaling = InputScaling(order, tuple(mean), scale)

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) of any real dtype to float32 of the same shape."""
        image = ops.cast(inputs, "float32")
        mean = ops.convert_to_tensor(self.scaling.mean, "float32")
        if self.scaling.order == "bgr":
            image = ops.flip(image, axis=-1)
        if self.scaling.order == "bgrd":
            image = ops.concatenate([ops.flip(image[..., :3], axis=-1), _logarithm(image[..., 3:], mean[-1])], axis=-1)
        if self.scaling.order == "d":
            image = _logarithm(image, mean)
        return (image - mean) * self.scaling.scale

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), **dataclasses.asdict(self.scaling)}


def _logarithm(depth: Any, missing: Any) -> Any:
    """The natural logarithm of depth, and `missing` where depth is 0."""
    return ops.where(depth > 0, ops.log(ops.maximum(depth, 1e-6)), missing)
