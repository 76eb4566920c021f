"""Convolutions in the forms in which the processor computes them fastest, with weights that do not change."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from kseg.inference.graphs.winograd import Winograd
from kseg.layers import ProductConv2D

WIDE = 2**19  # numbers of a kernel that has many channels
LARGE = 2**24  # numbers; a larger weight is never a constant: TensorFlow copies constants several times

Form = Callable[[tf.Tensor, str | None], tf.Tensor]  # a layer without its bias and its activation


def form_of(layer: keras.Layer) -> Callable[[Any], Form] | None:
    """What makes the form of a layer; None for one that is called as it is."""
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
    if _gains_by_winograd(layer):
        return lambda layer: Winograd(value_of(layer.kernel), layer.padding)
    return Convolution if numbers_of(layer.kernel) < LARGE else None


def _gains_by_winograd(layer: layers.Conv2D) -> bool:
    """Whether a convolution is quicker with fewer multiplications and more additions.

    Milliseconds on two cores with AVX-512, directly and so, by cells and channels: 136 x 136, 256: 59, 47; 64 x 64,
    512: 53, 33; 28 x 28, 1024: 47, 35; but 138 x 138, 128 to 256: 32, 37. It needs no constants, too: U-Net's peak of
    memory at 572 x 572 pixels fell from 2.6 to 1.8 GB.
    """
    is_small = layer.kernel_size == (3, 3) and layer.strides == (1, 1)
    return is_small and layer.compute_dtype == "float32" and numbers_of(layer.kernel) >= WIDE


class Product:
    """A convolution of one cell, or of shifted views, by weights that are kept beside the graph."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        matrix = tf.reshape(tf.cast(value_of(layer.kernel), layer.compute_dtype), (-1, layer.filters))
        self._matrix = tf.transpose(matrix)

    def __call__(self, inputs: tf.Tensor, padding: str | None) -> tf.Tensor:
        cells = self._layer.views(inputs) if isinstance(self._layer, ProductConv2D) else inputs
        product = tf.matmul(tf.reshape(cells, (-1, self._matrix.shape[1])), self._matrix, transpose_b=True)
        return tf.reshape(product, tf.concat([tf.shape(cells)[:3], [self._layer.filters]], 0))


class Convolution:
    """A convolution by constants in its own precision."""

    def __init__(self, layer: layers.Conv2D) -> None:
        self._kernel = array_of(tf.cast(value_of(layer.kernel), layer.compute_dtype))
        self._strides, self._padding = layer.strides, layer.padding

    def __call__(self, inputs: tf.Tensor, padding: str | None) -> tf.Tensor:
        return tf.nn.conv2d(inputs, tf.constant(self._kernel), self._strides, (padding or self._padding).upper())


class Apart:
    """A transposed convolution whose windows lie side by side: a product, whose numbers are then put apart."""

    def __init__(self, layer: layers.Conv2DTranspose) -> None:
        kernel = tf.cast(value_of(layer.kernel), layer.compute_dtype)  # (2, 2, outputs, inputs)
        self._matrix = array_of(tf.reshape(tf.transpose(kernel, (3, 0, 1, 2)), (kernel.shape[3], -1)))

    def __call__(self, inputs: tf.Tensor, padding: str | None) -> tf.Tensor:
        product = tf.matmul(tf.reshape(inputs, (-1, self._matrix.shape[0])), tf.constant(self._matrix))
        cells = tf.concat([tf.shape(inputs)[:3], [self._matrix.shape[1]]], 0)
        return tf.nn.depth_to_space(tf.reshape(product, cells), 2)


def numbers_of(variable: keras.Variable) -> int:
    return math.prod(variable.shape)


def value_of(variable: keras.Variable) -> tf.Tensor:
    """The value of a variable, where it lies in memory."""
    return variable.value.value()


def array_of(value: tf.Tensor) -> np.ndarray:
    """The numbers of a tensor, without a copy but in bfloat16, which has no buffer."""
    return value.numpy() if value.dtype == tf.bfloat16 else np.asarray(memoryview(value))
