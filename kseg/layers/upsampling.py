"""Bilinear up-sampling as Caffe's transposed convolution computes it, and the initial kernel of learned up-sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def bilinear_kernel(size: int) -> np.ndarray:
    """The weights of a bilinear kernel along one axis: (size,) float32; a kernel for images is their outer product.

    They are 1 - |i - c| / f with f = ceil(size / 2), where c = f - 1 if the size is odd and f - 1/2 if it is even.
    Their sum is f.

    Source: the FCN release's surgery.upsample_filt; Caffe's `bilinear` filler computes the same.
    """
    half, centre = _shape(size)
    return (1 - np.abs(np.arange(size) - centre) / half).astype(np.float32)


def _shape(size: int) -> tuple[int, float]:
    half = (size + 1) // 2
    return half, half - 1.0 if size % 2 else half - 0.5


@keras.saving.register_keras_serializable("kseg")
class BilinearUpsampling(keras.layers.Layer):
    """Up-samples each channel: a transposed convolution with a fixed bilinear kernel, n cells to factor (n-1) + size.

    The kernel is separable: it is applied along columns and then along rows, as two matrix products, in float32 under
    any policy. Channels do not mix. At the borders the output fades to zero, as in Caffe.

    Args:
      size: of the kernel.
      factor: of the up-sampling.

    Source: FCN paper, section 3.3.
    """

    def __init__(self, size: int = 4, factor: int = 2, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**{**kwargs, "trainable": False})
        self.size, self.factor = size, factor

    def call(self, inputs: Any) -> Any:
        """(N, H, W, C) to (N, factor (H - 1) + size, factor (W - 1) + size, C) float32."""
        return self.window(inputs, 0, [self.factor * (cells - 1) + self.size for cells in ops.shape(inputs)[1:3]])

    def window(self, inputs: Any, offset: int, lengths: Sequence[Any]) -> Any:
        """(N, H, W, C) to (N, H', W', C) float32: only `lengths` rows and columns of the output, from `offset` on."""
        inputs = ops.cast(inputs, "float32")
        (height, width), channels = ops.shape(inputs)[1:3], inputs.shape[-1]
        rows, columns = (
            self._matrix(cells, offset, length) for cells, length in zip((height, width), lengths, strict=True)
        )
        wide = ops.reshape(ops.matmul(columns, inputs), (-1, height, lengths[1] * channels))
        return ops.reshape(ops.matmul(rows, wide), (-1, *lengths, channels))

    def _matrix(self, cells: Any, offset: int, length: Any) -> Any:
        """The weight of each of `cells` in the output cells from `offset` on: (length, cells)."""
        half, centre = _shape(self.size)
        distances = ops.arange(offset, offset + length)[:, None] - self.factor * ops.arange(cells)
        return ops.relu(1 - ops.abs(ops.cast(distances, "float32") - centre) / half)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        sizes = [None if cells is None else self.factor * (cells - 1) + self.size for cells in input_shape[1:3]]
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self) -> dict:
        return {**super().get_config(), "size": self.size, "factor": self.factor}


@keras.saving.register_keras_serializable("kseg")
class Bilinear(keras.initializers.Initializer):
    """A dense kernel (size, size, K, K) that up-samples each channel bilinearly, without mixing channels.

    Source: FCN paper, section 3.3: learned up-sampling starts as bilinear.
    """

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        height, width, outputs, inputs = shape
        plane = np.outer(bilinear_kernel(height), bilinear_kernel(width))
        return ops.convert_to_tensor(plane[..., None, None] * np.eye(outputs, inputs), dtype)
