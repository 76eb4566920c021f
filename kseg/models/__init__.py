"""The networks, by name: plain Keras functional models."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from kseg.errors import ConfigError, did_you_mean
from kseg.layers import SCALINGS, InputScaling
from kseg.models import fcn
from kseg.models.classifiers.alexnet import alexnet
from kseg.models.classifiers.googlenet import googlenet
from kseg.models.classifiers.vgg16 import vgg16
from kseg.models.describe import describe, draw
from kseg.models.fcn import fcn8s, fcn8s_atonce, fcn16s, fcn32s, fcn32s_rgbd
from kseg.models.registry import NETWORKS, started
from kseg.models.unet import unet
from kseg.options import check_required, options_of

__all__ = [
    "NETWORKS",
    "alexnet",
    "build",
    "describe",
    "draw",
    "fcn8s",
    "fcn8s_atonce",
    "fcn16s",
    "fcn32s",
    "fcn32s_rgbd",
    "googlenet",
    "names",
    "own_scaling",
    "unet",
    "vgg16",
]


def names() -> list[str]:
    """The names of all networks, for `build`. The built-in ones are functions here as well."""
    return NETWORKS.names()


def build(
    name: str,
    *,
    classes: int | Mapping[str, int] | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    width: float | None = None,
    preprocessing: InputScaling | Mapping[str, InputScaling] | str | None = "own",
    weights: str | Path | None = None,
    **options: Any,
) -> keras.Model:
    """The network `name`: images (N, H, W, C) to scores (N, H', W', K) float32.

    Args:
      name: a registered name (`kseg models list`).
      classes: K, or by the names of several heads; None for the network's own.
      input_shape: (H, W, C), H and W may be None; None for the network's own.
      width: its channels, in the unit that the network's docstring says; None for its own.
      preprocessing: the scaling of grey levels by its first layer: "own", another name of the table
        `kseg.layers.SCALINGS`, an InputScaling, or one by the name of each stream; None or "none" for no scaling.
      weights: None for fresh ones; "imagenet" for those of the backbone's classifier, from the cache or downloaded; or
        a file of weights.
      options: the network's further options.

    Raises:
      ConfigError: no such network or option, or no ImageNet weights for it.
      SizeError: H or W does not fit; the message names the next size that does.
      EnvironmentFailure: the ImageNet weights could not be downloaded; the message says which file to bring.
      WeightsError: the file of weights can't be read, or is of another network.
    """
    builder = NETWORKS.get(name)
    if isinstance(preprocessing, str) and preprocessing != "own":
        tables = ["own", "none", *SCALINGS]
        if preprocessing not in tables:
            raise ConfigError(f"There is no preprocessing {preprocessing!r}.", did_you_mean(preprocessing, tables))
        preprocessing = SCALINGS.get(preprocessing)
    known = inspect.signature(builder).parameters
    given = {"classes": classes, "input_shape": input_shape, "width": width}
    options.update({key: value for key, value in given.items() if value is not None})
    if preprocessing != "own":
        options["preprocessing"] = preprocessing
    for key in options:
        if key not in known:
            raise ConfigError(f"The network {name!r} has no option {key!r}.", did_you_mean(key, known))
    check_required(f"The network {name!r}", options_of(builder), options, "model.")
    built = builder(**options)
    if not isinstance(built, keras.Model):
        raise ConfigError(
            f"The network {name!r}: its function returned {type(built).__name__}.", "Let it return a keras.Model."
        )
    return started(built, weights)


def own_scaling(name: str, options: Mapping[str, Any]) -> Any:
    """The default scaling of the network `name` with these options; by stream if it has several.

    None for a network without the option `preprocessing`.

    Raises:
      ConfigError: no such network.
    """
    option = inspect.signature(NETWORKS.get(name)).parameters.get("preprocessing")
    scaling = option.default if option else None
    return fcn.own_scaling(options.get("streams") or ()) if scaling == "own" else scaling
