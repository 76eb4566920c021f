"""Weights in the form in which a network computes fastest, for as long as they do not change."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from kseg.device import holds_weights
from kseg.inference.graphs.forms import LARGE, array_of, form_of, numbers_of, value_of
from kseg.inference.precision import computing_in
from kseg.models.quick import call_layer


def can_hold(model: keras.Model, precision: str) -> bool:
    """Whether a network gains from `HeldWeights` here.

    It does not on a GPU or with weights stored in bfloat16, which have no address to compare.
    """
    has_addresses = all(variable.dtype != "bfloat16" for variable in model.variables)
    if not holds_weights() or not has_addresses or tf.config.list_physical_devices("GPU"):
        return False
    with computing_in(model, precision):
        return bool(_constants(model)) or any(map(form_of, model.layers))


class HeldWeights:
    """The weights of a network at this moment, in its precision.

    The processor's library (oneDNN) keeps a convolution's weights in its own layout only if they are constants of the
    graph. Measured on two cores with AVX-512, U-Net on 572 x 572 pixels: 1.53 s with variables, 0.96 s with constants.
    In bfloat16, where the conversion is saved too: 0.27 s and 0.24 s. In a mixed precision, large matrices are kept
    beside the graph, transposed, as the library wants those of a product. Measured with AMX, FCN's fc6 on 500 x 500
    pixels: 118 ms with float32 weights, 41 ms so.
    """

    def __init__(self, model: keras.Model, precision: str) -> None:
        self._read = [(variable, value_of(variable)) for variable in model.variables]
        with computing_in(model, precision):
            self._constants = [(variable, array_of(value_of(variable))) for variable in _constants(model)]
            self._forms = {id(layer): form(layer) for layer in model.layers if (form := form_of(layer))}

    def are_those_of(self, model: keras.Model) -> bool:
        """Whether the network still has these weights.

        TensorFlow never writes into memory that another tensor reads. So a variable whose value lies where it lay has
        not changed as long as that value is kept here.
        """
        variables = model.variables
        return len(variables) == len(self._read) and all(
            variable is known and _address(value_of(variable)) == _address(value)
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
        return form(tf.cast(inputs, layer.compute_dtype), padding)


def _constants(model: keras.Model) -> list[keras.Variable]:
    """The weights that become constants where the layer reads them: those that float32 layers of a network have."""
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        return []
    kernels = {id(layer.kernel) for layer in model.layers if form_of(layer)}
    return [
        variable
        for variable in model.variables
        if variable.dtype == "float32" and numbers_of(variable) < LARGE and id(variable) not in kernels
    ]


def _address(value: tf.Tensor) -> int:
    return array_of(value).__array_interface__["data"][0]
