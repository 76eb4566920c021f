"""One network of several: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kseg.layers import MeanProbability, ScoreReading, with_reading
from kseg.layers.reading import reading_layers


def ensemble_of(networks: Sequence[keras.Model], readings: Mapping[str, ScoreReading]) -> keras.Model:
    """A functional network that gives the logarithm of the mean of the networks' probabilities, as scores.

    It holds copies of all their layers, which are called fold1_NAME, fold2_NAME and so on.

    Args:
      networks: functional networks of one kind, which take and give the same.
      readings: how its scores are read, by head.
    """
    inputs = keras.tree.map_structure(
        lambda image: keras.Input(batch_shape=image.shape, dtype=image.dtype, name=image.name), networks[0].input
    )
    branches = [_branch(network, inputs, f"fold{number}_") for number, network in enumerate(networks, start=1)]
    heads = {
        head: MeanProbability(name=f"mean_{head}" if head else "mean")([scores[head] for scores in branches])
        for head in branches[0]
    }
    name = f"{networks[0].name}_ensemble"
    return with_reading(keras.Model(inputs, heads.get("", heads), name=name), readings)


def _branch(network: keras.Model, inputs: Any, prefix: str) -> dict[str, Any]:
    """The scores, by head, of a copy of the network on `inputs`, whose layers' names begin with `prefix`."""
    read = {id(layer.output): layer.input for layer in reading_layers(network).values()}
    scores = keras.tree.map_structure(lambda tensor: read.get(id(tensor), tensor), network.output)
    bare = keras.Model(network.input, scores)

    def renamed(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "name": prefix + layer.name})

    copy = keras.models.clone_model(bare, input_tensors=inputs, clone_function=renamed)
    copy.set_weights(bare.get_weights())
    return copy.output if isinstance(copy.output, dict) else {"": copy.output}
