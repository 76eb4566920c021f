"""The precision in which a network computes; its weights are always float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from kseg.device import multiplies_bfloat16
from kseg.errors import ConfigError, did_you_mean
from kseg.layers import ReadScores, ScaleInput, SizeCheck

PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")
_ALWAYS_FLOAT32 = (SizeCheck, ScaleInput, ReadScores)  # grey levels of 16 bits overflow float16


def settled_precision(name: str) -> str:
    """The name of a precision, with "auto" replaced by what this device computes fastest.

    That is mixed_float16 for a GPU with tensor cores (compute capability 7.0), mixed_bfloat16 for a processor with AMX,
    float32 for any other device.

    Raises:
      ConfigError: there is no such precision.
    """
    if name not in PRECISIONS:
        raise ConfigError(f"There is no precision {name!r}.", did_you_mean(name, PRECISIONS))
    if name != "auto":
        return name
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return "mixed_float16" if details.get("compute_capability", (0, 0)) >= (7, 0) else "float32"
    return "mixed_bfloat16" if multiplies_bfloat16() else "float32"


def precision_of(model: keras.Model) -> str:
    """The Keras policy of the network's convolutions: float32, mixed_float16 or mixed_bfloat16."""
    kinds = {layer.compute_dtype for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)}
    return next((f"mixed_{kind}" for kind in ("float16", "bfloat16") if kind in kinds), "float32")


def set_precision(model: keras.Model, precision: str) -> None:
    """Makes the layers of `model` compute in `precision` from now on.

    Some layers stay float32: the first ones, which read grey levels, and the last ones, from the convolutions on that
    give the scores.
    """
    kept = set() if precision == "float32" else _last_layers(model)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            set_precision(layer, precision)
        elif not isinstance(layer, keras.layers.InputLayer):
            is_kept = isinstance(layer, _ALWAYS_FLOAT32) or layer.name in kept
            layer.dtype_policy = "float32" if is_kept else precision


@contextmanager
def computing_in(model: keras.Model, precision: str) -> Iterator[None]:
    """A context in which `model` computes in `precision`; afterwards as before."""
    if precision == precision_of(model):
        yield
        return
    before = _policies(model)
    set_precision(model, precision)
    try:
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy


def _policies(model: keras.Model) -> list[tuple[keras.Layer, Any]]:
    """All layers with their policies, with those of networks within the network."""
    found: list[tuple[keras.Layer, Any]] = []
    for layer in model.layers:
        found += _policies(layer) if isinstance(layer, keras.Model) else [(layer, layer.dtype_policy)]
    return found


def _last_layers(model: keras.Model) -> set[str]:
    """The names of the last convolutions, which give the scores, and of the layers behind them."""
    kept: set[str] = set()
    waiting = list(keras.tree.flatten(model.output))
    makers = {id(tensor): layer for layer in model.layers for tensor in keras.tree.flatten(layer.output)}
    while waiting:
        layer = makers.get(id(waiting.pop()))
        if layer is None or layer.name in kept:
            continue
        kept.add(layer.name)
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            waiting += keras.tree.flatten(layer.input)
    return kept
