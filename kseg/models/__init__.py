"""The networks, by name: plain Keras functional models."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from kseg.errors import ConfigError, did_you_mean
from kseg.layers import SCALINGS, InputScaling
from kseg.models import alexnet, fcn, googlenet, unet, vgg16
from kseg.models.describe import describe, draw
from kseg.models.registry import NETWORKS

__all__ = ["NETWORKS", "alexnet", "build", "describe", "draw", "fcn", "googlenet", "own_scaling", "unet", "vgg16"]


def build(
    name: str,
    *,
    classes: int | Mapping[str, int] | None = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    width: float | None = None,
    preprocessing: InputScaling | Mapping[str, InputScaling] | str | None = "own",
    **options: Any,
) -> keras.Model:
    """The network `name`, with fresh weights: images (N, H, W, C) to scores (N, H', W', K) float32.

    Args:
      name: a registered name (`kseg models list`).
      classes: K, or by the names of several heads; None for the network's own.
      input_shape: (H, W, C), H and W may be None; None for the network's own.
      width: a measure of its channels, which one the network's docstring says; None for its own.
      preprocessing: what its first layer does to grey levels: "own", another name of the table
        `kseg.layers.SCALINGS`, an InputScaling, or by the names of several streams; None for nothing.
      options: the network's further options.

    Raises:
      ConfigError: no such network or option.
      SizeError: H or W does not fit; the message names the next that does.
    """
    builder = NETWORKS.get(name)
    known = inspect.signature(builder).parameters
    if isinstance(preprocessing, str) and preprocessing != "own":
        if preprocessing not in SCALINGS:
            raise ConfigError(
                f"There is no preprocessing {preprocessing!r}. {did_you_mean(preprocessing, ['own', *SCALINGS])}"
            )
        preprocessing = SCALINGS[preprocessing]
    given = {"classes": classes, "input_shape": input_shape, "width": width}
    options.update({key: value for key, value in given.items() if value is not None})
    if preprocessing != "own":
        options["preprocessing"] = preprocessing
    for key in options:
        if key not in known:
            raise ConfigError(f"The network {name!r} has no option {key!r}. {did_you_mean(key, known)}")
    return builder(**options)


def own_scaling(name: str, options: Mapping[str, Any]) -> Any:
    """What the network `name` with these options does to its images when nothing is said: by stream, where it has some.

    Raises:
      ConfigError: no such network.
    """
    scaling = inspect.signature(NETWORKS.get(name)).parameters["preprocessing"].default
    return fcn.own_scaling(options.get("streams") or ()) if scaling == "own" else scaling
