"""The weights that a network starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras

from kseg.errors import ConfigError
from kseg.weights.files import load_weights
from kseg.weights.load_report import LoadReport
from kseg.weights.sources import fetched
from kseg.weights.transplants import transplant

# The classifier by the beginning of its first layer's name, longer beginnings first
_IMAGENET = {"conv1_1": "vgg16-keras", "conv1.7x7_s2": "googlenet", "conv1": "caffenet"}


def initial_weights(model: keras.Model, what: str | Path | Mapping[str, Path]) -> LoadReport | None:
    """Fills `model` with the weights that it starts from; logs a report. None for no weights.

    Args:
      model: a network with fresh weights.
      what: "none"; "imagenet", the classifier of its backbone, from the cache or downloaded; a file of weights, a
        `.keras` file or a run folder; or by stream a `.keras` file or run folder each.

    Raises:
      ConfigError: no ImageNet classifier is known for the network.
      EnvironmentFailure: it could not be downloaded; the message says which file to bring and where to put it.
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
    """The name, in `sources`, of the ImageNet classifier from which the backbone of `model` comes.

    Raises:
      ConfigError: none is known.
    """
    names = [layer.name for layer in model.layers if layer.weights]
    found = next((name for start, name in _IMAGENET.items() if any(n.startswith(start) for n in names)), None)
    if found is None:
        raise ConfigError(f"{model.name}: there are no ImageNet weights for it.", "Give a file of weights, or none.")
    return found
