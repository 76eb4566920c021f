"""What a network starts from."""

from __future__ import annotations

from pathlib import Path

import keras


def started(model: keras.Model, weights: str | Path | None) -> keras.Model:
    """`model` itself, with the weights that were asked for.

    Args:
      model: a network with fresh weights.
      weights: None to leave them; "imagenet", or a file (kseg.weights.initial_weights).

    Raises:
      ConfigError: there are no ImageNet weights for it.
      EnvironmentFailure: they could not be fetched.
      WeightsError: the file can't be read, or has nothing for this network.
    """
    if weights is not None:
        # The one import upwards: a builder takes a file as Keras' do, and files become networks by `build`.
        from kseg.weights import initial_weights

        initial_weights(model, weights)
    return model
