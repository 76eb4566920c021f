"""Keras' optimisers by name, and the options each of them takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from kseg.errors import ConfigError, did_you_mean, in_a_line
from kseg.options import Option, options_of

# Arguments that are fields of OptimizerSpec, or that make no sense in a training.
_OWN = (
    *("learning_rate", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "name"),
    *("ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps"),
)
_WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")  # made of other optimisers
DEFAULTS = {"sgd": {"momentum": 0.99}}  # the papers' momentum


def options_taken(name: str) -> dict[str, Option]:
    """The options that the optimiser `name` takes, by their names.

    Raises:
      ConfigError: Keras has no such optimiser.
    """
    taken = options_of(keras_class(name), without=_OWN)
    own = {**DEFAULTS.get(name, {}), **dict.fromkeys(own_decays(name))}
    return {key: replace(option, default=own.get(key, option.default)) for key, option in taken.items()}


def own_decays(name: str) -> list[str]:
    """The arguments for the decoupled weight decay of Keras' optimiser, as AdamW has it."""
    taken = inspect.signature(keras_class(name)).parameters
    return [key for key in ("weight_decay", "adam_weight_decay") if key in taken and taken[key].default is not None]


def keras_class(name: str) -> type[keras.optimizers.Optimizer]:
    base = keras.optimizers.Optimizer
    found = {
        key.lower(): kind
        for key, kind in vars(keras.optimizers).items()
        if isinstance(kind, type) and issubclass(kind, base) and key not in _WRAPPERS
    }
    if name not in found:
        raise ConfigError(f"There is no optimiser {name!r}.", did_you_mean(name, found))
    return found[name]


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Checks that Keras makes the optimiser `name` with these options.

    Raises:
      ConfigError: it refuses them.
    """
    try:
        keras_class(name)(**options)
    except (ValueError, TypeError) as error:
        chosen = ", ".join(f"{key}={value}" for key, value in options.items())
        raise ConfigError(f"optimizer {name}, {chosen}: Keras refuses it ({in_a_line(error)}).") from error
