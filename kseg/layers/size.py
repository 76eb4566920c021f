"""The input sizes that fit a network; the network itself holds them."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from kseg.geometry import Geometry


@keras.saving.register_keras_serializable("kseg")
class SizeCheck(keras.layers.Layer):
    """Returns its input unchanged, and refuses known sizes that do not fit.

    The rest of kseg reads the borders and tiles that a network needs from its `geometry`.
    """

    def __init__(
        self,
        stride: int = 1,
        border: int = 0,
        smallest: int = 1,
        margin: int | None = None,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("dtype", "float32")  # 16-bit grey levels overflow float16
        super().__init__(**kwargs)
        self.geometry = Geometry(stride, border, smallest, margin, step)

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C), unchanged.

        Raises:
          SizeError: H or W does not fit; the message names the nearest sizes that do.
        """
        height, width = inputs.shape[1:3]
        check_size(self.geometry, height, width)
        return inputs

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), **dataclasses.asdict(self.geometry)}


def check_size(geometry: Geometry, height: int | None, width: int | None) -> None:
    """Raises SizeError if a known size does not fit; None stands for an unknown one."""
    fitting = geometry.smallest
    geometry.check(height or fitting, width or fitting, "input")
