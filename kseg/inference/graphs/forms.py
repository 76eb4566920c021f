"""Convolutions in the forms in which the processor computes them fastest, with weights that do not change."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from kseg.inference.graphs.winograd import Winograd
from kseg.layers import ProductConv2D

WIDE = 2**19  # numbers of a kernel that has many channels
LARGE = 2**24  # numbers; a larger weight is never a constant: TensorFlow copies constants several times


class Form:
    """A layer on maps of any size: (N, H, W, C) to (N, H', W', D), with its bias and its activation.

    Args:
      layer: a convolution, with weights that do not change.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, inputs: tf.Tensor, padding: str | None = None) -> tf.Tensor:
        """What the layer gives in prediction; a convolution has another padding than its own if that is given."""
        raise NotImplementedError

    def finished(self, found: tf.Tensor) -> tf.Tensor:
        """The layer's result from what its kernel gives."""
        return self.layer.activation(self.biased(found))

    def biased(self, found: tf.Tensor, times: int = 1) -> tf.Tensor:
        """What the kernel gives with the bias; the last axis holds the filters so many times."""
        if not self.layer.use_bias:
            return found
        bias = tf.cast(self.layer.bias, self.layer.compute_dtype)
        return tf.nn.bias_add(found, tf.tile(bias, [times]) if times > 1 else bias)


def form_of(layer: keras.Layer) -> type[Form] | None:
    """The form of a layer; None for one that is called as it is."""
    if type(layer) is layers.Conv2DTranspose:
        is_apart = layer.kernel_size == layer.strides == (2, 2) and layer.padding == "valid"
        return Apart if is_apart and layer.output_padding is None and layer.dilation_rate == (1, 1) else None
    if type(layer) not in (layers.Conv2D, ProductConv2D):
        return None
    is_product = type(layer) is ProductConv2D or {*layer.kernel_size, *layer.strides} == {1}
    if is_product and numbers_of(layer.kernel) >= LARGE // 4:
        return Product if layer.compute_dtype != "float32" else None
    if type(layer) is not layers.Conv2D or layer.groups > 1 or layer.dilation_rate != (1, 1):
        return None
    if layer.kernel_size == (3, 3) and layer.strides == (1, 1) and numbers_of(layer.kernel) >= WIDE:
        is_pixelwise = layer.activation in (keras.activations.linear, keras.activations.relu)
        return FewProducts if layer.compute_dtype == "float32" else Widened if is_pixelwise else Convolution
    return Convolution if numbers_of(layer.kernel) < LARGE else None


class Product(Form):
    """A convolution of one cell, or of shifted views, by weights that are kept beside the graph."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        matrix = tf.reshape(tf.cast(value_of(layer.kernel), layer.compute_dtype), (-1, layer.filters))
        self._matrix = tf.transpose(matrix)

    def __call__(self, inputs: tf.Tensor, padding: str | None = None) -> tf.Tensor:
        cells = self.layer.views(inputs) if isinstance(self.layer, ProductConv2D) else inputs
        product = tf.matmul(tf.reshape(cells, (-1, self._matrix.shape[1])), self._matrix, transpose_b=True)
        return self.finished(tf.reshape(product, tf.concat([tf.shape(cells)[:3], [self.layer.filters]], 0)))


class Convolution(Form):
    """A convolution by constants in its own precision."""

    def __init__(self, layer: layers.Conv2D) -> None:
        super().__init__(layer)
        self._kernel = array_of(tf.cast(value_of(layer.kernel), layer.compute_dtype))

    def __call__(self, inputs: tf.Tensor, padding: str | None = None) -> tf.Tensor:
        padding = padding or self.layer.padding
        return self.finished(tf.nn.conv2d(inputs, tf.constant(self._kernel), self.layer.strides, padding.upper()))


class Widened(Convolution):
    """A 3x3 convolution of many channels in bfloat16, on a width that oneDNN likes.

    Measured with AMX, 512 to 512 channels, milliseconds for 64 rows of 64 to 96 cells: where the width is a multiple of
    8, 8.4 to 16.2, and for most widths between, up to 31.
    """

    def __call__(self, inputs: tf.Tensor, padding: str | None = None) -> tf.Tensor:
        width = tf.shape(inputs)[2] - (2 if (padding or self.layer.padding) == "valid" else 0)
        surplus = tf.where(width > 66, -width % 8, 0)
        # tf.pad would become part of the convolution, which is then computed in a way that takes ten times as long.
        padding_of_axes = [[0, 0], [0, 0], [0, surplus], [0, 0]]
        zero = tf.zeros((), inputs.dtype)
        wide = tf.raw_ops.PadV2(input=inputs, paddings=padding_of_axes, constant_values=zero)
        return super().__call__(wide, padding)[:, :, :width]


class FewProducts(Form):
    """A 3x3 convolution of many channels with fewer multiplications and more additions.

    Milliseconds on two cores with AVX-512, directly and so, by cells and channels: 136 x 136, 256: 59, 47; 64 x 64,
    512: 53, 33; 28 x 28, 1024: 47, 35; but 138 x 138, 128 to 256: 32, 37. It needs no constants, too: U-Net's peak of
    memory at 572 x 572 pixels fell from 2.6 to 1.8 GB.
    """

    def __init__(self, layer: layers.Conv2D) -> None:
        super().__init__(layer)
        self._convolution = Winograd(value_of(layer.kernel), layer.padding)

    def __call__(self, inputs: tf.Tensor, padding: str | None = None) -> tf.Tensor:
        return self.finished(self._convolution(inputs, padding))


class Apart(Form):
    """A transposed convolution whose windows lie side by side: a product, whose numbers are then put apart."""

    def __init__(self, layer: layers.Conv2DTranspose) -> None:
        super().__init__(layer)
        kernel = tf.cast(value_of(layer.kernel), layer.compute_dtype)  # (2, 2, outputs, inputs)
        self._matrix = array_of(tf.reshape(tf.transpose(kernel, (3, 0, 1, 2)), (kernel.shape[3], -1)))

    def __call__(self, inputs: tf.Tensor, padding: str | None = None) -> tf.Tensor:
        product = tf.matmul(tf.reshape(inputs, (-1, self._matrix.shape[0])), tf.constant(self._matrix))
        cells = tf.concat([tf.shape(inputs)[:3], [self._matrix.shape[1]]], 0)
        return self.layer.activation(tf.nn.depth_to_space(tf.reshape(self.biased(product, 4), cells), 2))


def numbers_of(variable: keras.Variable) -> int:
    return math.prod(variable.shape)


def value_of(variable: keras.Variable) -> tf.Tensor:
    """The value of a variable, where it lies in memory."""
    return variable.value.value()


def array_of(value: tf.Tensor) -> np.ndarray:
    """The numbers of a tensor, without a copy but in bfloat16, which has no buffer."""
    return value.numpy() if value.dtype == tf.bfloat16 else np.asarray(memoryview(value))
