"""The registry of networks, and the weights that a new network starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras

from kseg.registry import Registry

NETWORKS: Registry[Callable[..., keras.Model]] = Registry("network")


def started(model: keras.Model, weights: str | Path | None) -> keras.Model:
    """`model` itself, with the weights that were asked for.

    Args:
      model: a network with fresh weights.
      weights: None to keep them; "imagenet", or a file (kseg.weights.initial_weights).

    Raises:
      ConfigError: there are no ImageNet weights for it.
      EnvironmentFailure: they could not be downloaded.
      WeightsError: the file can't be read, or has nothing for this network.
    """
    if weights is not None:
        # The only import upwards. Builders take a file of weights, as Keras' do, but kseg.weights lies above the
        # networks: it builds the network of a file. A loader that kseg.weights registered here would be missing in a
        # program that imports kseg.models alone.
        from kseg.weights import initial_weights

        initial_weights(model, weights)
    return model
