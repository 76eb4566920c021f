"""Weights in the form in which a network computes fastest, for as long as they do not change."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from kseg.device import holds_weights
from kseg.inference.precision import computing_in
from kseg.layers import ProductConv2D
from kseg.models.quick import call_layer

LARGE = 2**24  # numbers; a larger weight is never a constant: TensorFlow copies constants several times


def can_hold(model: keras.Model, precision: str) -> bool:
    """Whether a network gains from `HeldWeights` here.

    It does not on a GPU or with weights stored in bfloat16, which have no address to compare.
    """
    has_addresses = all(variable.dtype != "bfloat16" for variable in model.variables)
    if not holds_weights() or not has_addresses or tf.config.list_physical_devices("GPU"):
        return False
    with computing_in(model, precision):
        return bool(_constants(model)) or any(map(_form, model.layers))


class HeldWeights:
    """The weights of a network at this moment, in its precision.

    The processor's library (oneDNN) keeps a convolution's weights in its own layout only if they are constants of the
    graph. Measured on two cores with AVX-512, U-Net on 572 x 572 pixels: 1.53 s with variables, 0.96 s with constants.
    In bfloat16, where the conversion is saved too: 0.27 s and 0.24 s. In a mixed precision, large matrices are kept
    beside the graph, transposed, as the library wants those of a product. Measured with AMX, FCN's fc6 on 500 x 500
    pixels: 118 ms with float32 weights, 41 ms so.
    """

    def __init__(self, model: keras.Model, precision: str) -> None:
        self._read = [(variable, _value(variable)) for variable in model.variables]
        with computing_in(model, precision):
            self._constants = [(variable, _array(_value(variable))) for variable in _constants(model)]
            self._forms = {id(layer): form(layer) for layer in model.layers if (form := _form(layer))}

    def are_those_of(self, model: keras.Model) -> bool:
        """Whether the network still has these weights.

        TensorFlow never writes into memory that another tensor reads. So a variable whose value lies where it lay has
        not changed as long as that value is kept here.
        """
        variables = model.variables
        return len(variables) == len(self._read) and all(
            variable is known and _address(_value(variable)) == _address(value)
            for variable, (known, value) in zip(variables, self._read, strict=True)
        )

    def in_place(self) -> AbstractContextManager:
        """A context, inside of a graph's function, in which the layers read constants."""
        return keras.StatelessScope([(variable, tf.constant(value)) for variable, value in self._constants])

    def call(self, layer: keras.Layer, inputs: Any, padding: str | None = None) -> Any:
        """What the layer gives in prediction; a convolution has another padding if that is given."""
        form = self._forms.get(id(layer))
        if form is None:
            return call_layer(layer, inputs, padding)
        found = form(tf.cast(inputs, layer.compute_dtype), padding)
        if layer.use_bias:
            found = tf.nn.bias_add(found, tf.cast(layer.bias, layer.compute_dtype))
        return layer.activation(found)


Form = Callable[[tf.Tensor, str | None], tf.Tensor]  # a layer without its bias and its activation


def _form(layer: keras.Layer) -> Callable[[Any], Form] | None:
    """What makes the form of a layer; None for one that is called as it is."""
    if type(layer) is layers.Conv2DTranspose:
        is_apart = layer.kernel_size == layer.strides == (2, 2) and layer.padding == "valid"
        return _Apart if is_apart and layer.output_padding is None and layer.dilation_rate == (1, 1) else None
    if type(layer) not in (layers.Conv2D, ProductConv2D):
        return None
    is_product = type(layer) is ProductConv2D or {*layer.kernel_size, *layer.strides} == {1}
    if is_product and _numbers(layer.kernel) >= LARGE // 4:
        return _Product if layer.compute_dtype != "float32" else None
    is_plain = type(layer) is layers.Conv2D and layer.groups == 1 and layer.dilation_rate == (1, 1)
    return _Convolution if is_plain and _numbers(layer.kernel) < LARGE else None


class _Product:
    """A convolution of one cell, or of shifted views, by weights that are kept beside the graph."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        matrix = tf.reshape(tf.cast(_value(layer.kernel), layer.compute_dtype), (-1, layer.filters))
        self._matrix = tf.transpose(matrix)

    def __call__(self, inputs: tf.Tensor, padding: str | None) -> tf.Tensor:
        cells = self._layer.views(inputs) if isinstance(self._layer, ProductConv2D) else inputs
        product = tf.matmul(tf.reshape(cells, (-1, self._matrix.shape[1])), self._matrix, transpose_b=True)
        return tf.reshape(product, tf.concat([tf.shape(cells)[:3], [self._layer.filters]], 0))


class _Convolution:
    """A convolution by constants in its own precision."""

    def __init__(self, layer: layers.Conv2D) -> None:
        self._kernel = _array(tf.cast(_value(layer.kernel), layer.compute_dtype))
        self._strides, self._padding = layer.strides, layer.padding

    def __call__(self, inputs: tf.Tensor, padding: str | None) -> tf.Tensor:
        return tf.nn.conv2d(inputs, tf.constant(self._kernel), self._strides, (padding or self._padding).upper())


class _Apart:
    """A transposed convolution whose windows lie side by side: a product, whose numbers are then put apart."""

    def __init__(self, layer: layers.Conv2DTranspose) -> None:
        kernel = tf.cast(_value(layer.kernel), layer.compute_dtype)  # (2, 2, outputs, inputs)
        self._matrix = _array(tf.reshape(tf.transpose(kernel, (3, 0, 1, 2)), (kernel.shape[3], -1)))

    def __call__(self, inputs: tf.Tensor, padding: str | None) -> tf.Tensor:
        product = tf.matmul(tf.reshape(inputs, (-1, self._matrix.shape[0])), tf.constant(self._matrix))
        cells = tf.concat([tf.shape(inputs)[:3], [self._matrix.shape[1]]], 0)
        return tf.nn.depth_to_space(tf.reshape(product, cells), 2)


def _constants(model: keras.Model) -> list[keras.Variable]:
    """The weights that become constants where the layer reads them: those that float32 layers of a network have."""
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        return []
    kernels = {id(layer.kernel) for layer in model.layers if _form(layer)}
    return [
        variable
        for variable in model.variables
        if variable.dtype == "float32" and _numbers(variable) < LARGE and id(variable) not in kernels
    ]


def _numbers(variable: keras.Variable) -> int:
    return math.prod(variable.shape)


def _value(variable: keras.Variable) -> tf.Tensor:
    """The value of a variable, where it lies in memory."""
    return variable.value.value()


def _array(value: tf.Tensor) -> np.ndarray:
    """The numbers of a tensor, without a copy but in bfloat16, which has no buffer."""
    return value.numpy() if value.dtype == tf.bfloat16 else np.asarray(memoryview(value))


def _address(value: tf.Tensor) -> int:
    return _array(value).__array_interface__["data"][0]
