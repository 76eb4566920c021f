"""The sizes a network takes, inside the network."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from kseg.geometry import Geometry


@keras.saving.register_keras_serializable("kseg")
class SizeCheck(keras.layers.Layer):
    """Hands its input on, and refuses sizes that do not fit where they are known.

    Its `geometry` is how the rest of kseg learns what borders and tiles a network needs.
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
        kwargs.setdefault("dtype", "float32")  # 16-bit grey levels overflow a half
        super().__init__(**kwargs)
        self.geometry = Geometry(stride, border, smallest, margin, step)

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
