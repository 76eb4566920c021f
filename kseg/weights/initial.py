"""What a network starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras

from kseg.errors import ConfigError
from kseg.weights.files import load_weights
from kseg.weights.load_report import Report
from kseg.weights.sources import fetched
from kseg.weights.transplants import transplant

# By how the backbone's first layer is called; longer beginnings first
_IMAGENET = {"conv1_1": "vgg16-keras", "conv1.7x7_s2": "googlenet", "conv1": "caffenet"}


def initial_weights(model: keras.Model, what: str | Path | Mapping[str, Path]) -> Report | None:
    """What became of each layer, after `model` took the weights named; None where none were asked for.

    Args:
      model: a network with fresh weights.
      what: "none"; "imagenet", the classifier its backbone comes from, from the cache or fetched; or a file of
        weights, a `.keras` file or a run folder; or one of the latter per stream.

    Raises:
      ConfigError: no classifier is known for "imagenet".
      EnvironmentFailure: it could not be fetched; the message says which file to bring and where to put it.
      WeightsError: the file can't be read, or has nothing for this network.
    """
    if what == "none":
        return None
    if isinstance(what, Mapping):
        return transplant(what, model)
    if what != "imagenet":
        return load_weights(model, what)
    return load_weights(model, fetched(classifier_of(model)))


def classifier_of(model: keras.Model) -> str:
    """The name, in `sources`, of the ImageNet classifier that the backbone of `model` comes from.

    Raises:
      ConfigError: none is known.
    """
    names = [layer.name for layer in model.layers if layer.weights]
    found = next((name for start, name in _IMAGENET.items() if any(n.startswith(start) for n in names)), None)
    if found is None:
        raise ConfigError(f"{model.name}: there are no ImageNet weights for it. Give a file of weights, or none.")
    return found
