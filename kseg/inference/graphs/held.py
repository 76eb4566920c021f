"""Weights in the form in which a network computes fastest, for as long as they do not change."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.device import holds_weights
from kseg.inference.precision import computing_in
from kseg.layers import ProductConv2D

LARGE = 2**24  # numbers; a larger weight is never a constant: TensorFlow copies constants several times
PRODUCT = 2**22  # numbers; a smaller weight is not worth a second copy
# Measured on two cores with AVX-512: U-Net's 31 million numbers 4.1 s, 14.7 million of FCN-32s 1.6 s.
SECONDS_PER_CONSTANT = 0.13e-6
SECONDS_PER_PRODUCT = 2e-9
TRACING_S = 0.5


def seconds_to_hold(model: keras.Model, precision: str) -> float | None:
    """How long it takes to make `HeldWeights` and a graph with them; None where they would not gain time."""
    products = sum(_numbers(layer.kernel) for layer in _products(model, precision))
    constants = sum(map(_numbers, _constants(model, precision)))
    if not products and not constants:
        return None
    return TRACING_S + SECONDS_PER_PRODUCT * products + SECONDS_PER_CONSTANT * constants


class HeldWeights:
    """The weights of a network at this moment.

    In float32, weights of less than 16 million numbers are constants of the graph, where the processor's library
    (oneDNN) then keeps convolutions in its own layout. Measured on two cores with AVX-512, U-Net on 572 x 572 pixels:
    1.53 s with variables, 0.96 s with constants. In mixed precision the weights of large matrix products are kept in
    that precision and transposed, as the library wants them. Measured with AMX, FCN's fc6 on 500 x 500 pixels: 118 ms
    with float32 weights, 41 ms so. Constants gain nothing there.
    """

    def __init__(self, model: keras.Model, precision: str) -> None:
        self._read = [(variable, _value(variable)) for variable in model.variables]
        self._constants = [(variable, variable.numpy()) for variable in _constants(model, precision)]
        self._products: dict[int, Any] = {}
        for layer in _products(model, precision):
            matrix = tf.cast(tf.reshape(layer.kernel.value, (-1, layer.filters)), precision.removeprefix("mixed_"))
            self._products[id(layer)] = tf.transpose(matrix)

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

    def call(self, layer: keras.Layer, inputs: Any) -> Any:
        """What the layer gives in prediction."""
        if (matrix := self._products.get(id(layer))) is None:
            return layer(inputs, training=False)
        inputs = tf.cast(inputs, matrix.dtype)
        cells = layer.views(inputs) if isinstance(layer, ProductConv2D) else inputs
        product = tf.matmul(tf.reshape(cells, (-1, matrix.shape[1])), matrix, transpose_b=True)
        if layer.use_bias:
            product = tf.nn.bias_add(product, tf.cast(layer.bias, matrix.dtype))
        return layer.activation(tf.reshape(product, tf.concat([tf.shape(cells)[:3], [layer.filters]], 0)))


def _products(model: keras.Model, precision: str) -> list[keras.layers.Conv2D]:
    """The layers whose weights are kept as matrices: large products that a mixed precision computes."""
    if not holds_weights() or precision == "float32":
        return []
    with computing_in(model, precision):
        return [
            layer
            for layer in model.layers
            if type(layer) in (ProductConv2D, keras.layers.Conv2D)
            and layer.compute_dtype != "float32"
            and (isinstance(layer, ProductConv2D) or {*layer.kernel_size, *layer.strides} == {1})
            and _numbers(layer.kernel) >= PRODUCT
        ]


def _constants(model: keras.Model, precision: str) -> list[keras.Variable]:
    """The weights that become constants."""
    if not holds_weights() or precision != "float32":
        return []
    return [variable for variable in model.variables if variable.dtype == "float32" and _numbers(variable) < LARGE]


def _numbers(variable: keras.Variable) -> int:
    return math.prod(variable.shape)


def _value(variable: keras.Variable) -> tf.Tensor:
    """The value of a variable, where it lies in memory."""
    return variable.value.value()


def _address(value: tf.Tensor) -> int:
    return np.asarray(memoryview(value)).__array_interface__["data"][0]
