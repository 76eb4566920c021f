"""Layers of Caffe for feature maps that Keras does not have."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("kseg")
class CaffePooling2D(keras.layers.Layer):
    """Pooling that rounds its output's size up: ceil((n + 2 pad - size) / strides) + 1 cells, at least one.

    The last window may reach beyond the far edge. Then the maximum is over the cells of the map, and the average over
    those of the padded map.

    Args:
      mode: max or average.
      size: of the windows.
      strides: from one window to the next.
      pad: cells added on each side, fewer than `size`: a maximum ignores them, an average counts them as zeros.

    Source: BVLC Caffe 1.0, pooling_layer.cpp, which refuses a map that is smaller than a window.
    """

    def __init__(self, mode: str = "max", size: int = 3, strides: int = 2, pad: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mode, self.size, self.strides, self.pad = mode, size, strides, pad

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) to (N, H', W', C)."""
        lengths = ops.shape(inputs)[1:3]
        cells = [self._cells(length) for length in lengths]
        sides = [
            (self.pad, _at_least(0, (count - 1) * self.strides + self.size - length - self.pad))
            for count, length in zip(cells, lengths, strict=True)
        ]
        fill = -float("inf") if self.mode == "max" else 0.0
        padded = ops.pad(inputs, [(0, 0), *sides, (0, 0)], constant_values=fill)
        if self.mode == "max":
            return ops.max_pool(padded, self.size, self.strides)
        rows, columns = (self._shares(*each) for each in zip(cells, lengths, strict=True))
        return ops.average_pool(padded, self.size, self.strides) * rows[:, None, None] * columns[:, None]

    def _cells(self, length: Any) -> Any:
        """Cells of the output along an axis of `length` cells; a number, or a tensor if the size is unknown."""
        cells = _at_least(0, -(-(length + 2 * self.pad - self.size) // self.strides)) + 1
        # A last window that would begin in the padding at the far edge is left out.
        surplus = (cells - 1) * self.strides >= length + self.pad
        return cells - (ops.cast(surplus, "int32") if ops.is_tensor(surplus) else int(surplus)) if self.pad else cells

    def _shares(self, cells: Any, length: Any) -> Any:
        """The factor that corrects the mean over a full window, above 1 at the far edge: (H',) or (W',)."""
        start = ops.arange(cells) * self.strides
        inside = ops.minimum(start + self.size, length + 2 * self.pad) - start
        return ops.cast(self.size / ops.cast(inside, "float32"), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        sizes = [None if length is None else self._cells(length) for length in input_shape[1:3]]
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self) -> dict:
        own = {"mode": self.mode, "size": self.size, "strides": self.strides, "pad": self.pad}
        return {**super().get_config(), **own}


def _at_least(least: int, number: Any) -> Any:
    return ops.maximum(least, number) if ops.is_tensor(number) else max(least, number)


@keras.saving.register_keras_serializable("kseg")
class LocalResponseNormalization(keras.layers.Layer):
    """Normalises across channels: x (k + alpha / size * sum of x^2 over the `size` channels around it) ^ -beta.

    Missing channels count as zeros. Computed in float32 under any policy, since squares overflow float16.

    Source: BVLC Caffe 1.0, lrn_layer.cpp (ACROSS_CHANNELS); note that alpha is divided by the size.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) of the same shape."""
        x = ops.cast(inputs, "float32")
        # The sum over neighbours is a product with a banded matrix, which is faster than adding shifted maps.
        channels = ops.arange(inputs.shape[-1])
        band = ops.abs(channels[:, None] - channels) <= self.size // 2
        scale = self.k + self.alpha / self.size * ops.matmul(ops.square(x), ops.cast(band, "float32"))
        return ops.cast(x * ops.power(scale, -self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}


@keras.saving.register_keras_serializable("kseg")
class ScaleChannels(keras.layers.Layer):
    """Multiplies each channel by a fixed weight.

    Args:
      value: the initial value of all weights.

    Source: Caffe's Scale layer, which FCN-8s at-once has before its score layers, with learning rate 0.
    """

    def __init__(self, value: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.value = value

    def build(self, input_shape: tuple) -> None:
        self.scale = self.add_weight(
            shape=input_shape[-1:], initializer=keras.initializers.Constant(self.value), trainable=False, name="scale"
        )

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) of the same shape."""
        return inputs * self.scale

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "value": self.value}


@keras.saving.register_keras_serializable("kseg")
class GroupedConv2D(keras.layers.Conv2D):
    """Keras' Conv2D with groups, computed as one convolution per group.

    On a CPU, Keras compiles grouped convolutions with XLA, which a server of SavedModels may not have.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        parts = zip(ops.split(inputs, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1), strict=True)
        return ops.concatenate(
            [
                ops.conv(part, share, strides=list(self.strides), padding=self.padding, data_format="channels_last")
                for part, share in parts
            ],
            axis=-1,
        )


@keras.saving.register_keras_serializable("kseg")
class ProductConv2D(keras.layers.Conv2D):
    """Keras' Conv2D with stride 1, computed as one matrix product of shifted views of the map and the weights.

    For large kernels over few cells TensorFlow's convolution is several times slower on a processor. Measured on two
    cores with AVX-512 and AMX, FCN-32s on 500 x 500 pixels: 1.5 s with fc6 as a product, 2.4 s as a convolution; in
    bfloat16 0.29 s and 0.41 s. A training step of FCN-8s on 256 x 256 pixels: 2.0 s and 2.5 s; in bfloat16 0.77 s and
    1.15 s. The views take kernel height x width times the memory of the map.
    """

    kernel_initializer: Any

    def build(self, input_shape: Any) -> None:
        initializer = self.kernel_initializer
        if isinstance(initializer, keras.initializers.RandomNormal) and isinstance(initializer.seed, int):
            self.kernel_initializer = functools.partial(_drawn_in_parts, initializer)
        super().build(input_shape)
        self.kernel_initializer = initializer

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        views = self.views(inputs)
        images, rows, columns, numbers = ops.shape(views)
        product = ops.matmul(ops.reshape(views, (-1, numbers)), ops.reshape(kernel, (numbers, self.filters)))
        return ops.reshape(product, (images, rows, columns, self.filters))

    def views(self, inputs: Any) -> Any:
        """(N, H, W, C) to (N, H', W', kernel height x width x C): all cells that an output cell reads."""
        height, width = self.kernel_size
        if self.padding == "same":
            sides = [((size - 1) // 2, size // 2) for size in (height, width)]
            inputs = ops.pad(inputs, [(0, 0), *sides, (0, 0)])
        rows, columns = (
            length - size + 1 for length, size in zip(ops.shape(inputs)[1:3], (height, width), strict=True)
        )
        shifted = [inputs[:, y : y + rows, x : x + columns] for y in range(height) for x in range(width)]
        return ops.concatenate(shifted, axis=-1)


def _drawn_in_parts(normal: Any, shape: Sequence[int], dtype: str | None = None) -> Any:
    """Gaussian numbers, each part from its own seed. Drawn at once, TensorFlow takes three times the 411 MB of fc6."""
    kernel = np.empty(shape, np.float32)
    for seed, place in enumerate(np.ndindex(*shape[:2]), start=normal.seed):
        part = keras.initializers.RandomNormal(normal.mean, normal.stddev, seed)
        kernel[place] = ops.convert_to_numpy(part(shape[2:]))
    return ops.convert_to_tensor(kernel, dtype)


@keras.saving.register_keras_serializable("kseg")
class CropTo(keras.layers.Layer):
    """Crops a map to the size of another one, from `offset` cells after its top left corner.

    The offset follows from the grids of both maps (kseg.geometry.Grid); the crop is not centred.

    Source: Caffe's Crop layer.
    """

    def __init__(self, offset: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.offset = offset

    def call(self, inputs: Any) -> Any:
        """[(N, H, W, C), a map (N, H', W', any)] to (N, H', W', C)."""
        x, reference = inputs
        height, width = ops.shape(reference)[1:3]
        return x[:, self.offset : self.offset + height, self.offset : self.offset + width]

    def compute_output_spec(self, inputs: Any) -> Any:
        x, reference = inputs
        return keras.KerasTensor((x.shape[0], *reference.shape[1:3], x.shape[3]), x.dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "offset": self.offset}
