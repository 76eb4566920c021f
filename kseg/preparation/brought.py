"""Checks of a network that kseg did not build: it fits the data, and it can be loaded after it is saved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from kseg.datasets import Dataset
from kseg.errors import ConfigError, KsegError, Setting, in_a_line
from kseg.inference import SEGMENTS, geometry_of, heads_of, reason_of_call, streams_of
from kseg.layers import ReadScores
from kseg.models.fields import grids

REGISTER = "@keras.saving.register_keras_serializable()"


def check_brought(model: keras.Model, data: Dataset, channels: int, sizes: Iterable[tuple[int, int]]) -> None:
    """Checks that a network can be trained on `data`, scored, and loaded again.

    Args:
      model: the network.
      data: the data set to train on.
      channels: of the images, of all streams together.
      sizes: heights and widths of the images that it will get.

    Raises:
      ConfigError: it has other streams, channels, heads or classes than the data, does not give a score per class for
        each pixel, or holds a layer that can't be loaded.
    """
    _check_ends(model)
    _check_fits(model, data, channels)
    _check_scores(model)
    check_loads(model)
    for height, width in dict.fromkeys(sizes):
        _check_size(model, height, width)


def check_loads(model: keras.Model) -> None:
    """Checks that each layer of a network can be loaded after it is saved, without its weights.

    Raises:
      ConfigError: a layer can't be loaded; the message names it and what to add.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model) and type(layer).__module__.startswith("keras."):
            check_loads(layer)
            continue
        try:
            config = keras.saving.serialize_keras_object(layer)
            config.pop("build_config", None)  # so that no weights are made
            keras.saving.deserialize_keras_object(config, safe_mode=True)
        except Exception as error:
            kind = type(layer)
            if isinstance(layer, keras.layers.Lambda):
                raise ConfigError(
                    f"model: the layer {layer.name!r} of {model.name} is a Lambda, whose code is not loaded from a "
                    "saved network.",
                    f"Write it as a class of layer, with {REGISTER} above it.",
                ) from error
            text = in_a_line(error, 10_000)
            lost = re.search(r"Could not locate \w+ '[^']*'", text)
            reason = lost[0] if lost else text.partition(". ")[0][:160]
            raise ConfigError(
                f"model: the layer {layer.name!r} of {model.name} ({kind.__module__}.{kind.__qualname__}) could not be "
                f"loaded after the network is saved: {reason}.",
                f"Put {REGISTER} above the class and above the functions that it takes, and let its get_config return "
                "the arguments of its __init__.",
            ) from error


def plain(model: keras.Model) -> keras.Model:
    """The network in functional form, with one image in and one tensor of scores out where it has one of each.

    It wraps a Sequential network, and one whose inputs or outputs are lists of one tensor. Others stay as they are.
    """
    ends = (model.inputs, model.outputs) if isinstance(model, keras.Sequential) else (model.input, model.output)
    is_list = [isinstance(end, list | tuple) and len(end) == 1 for end in ends]
    if not any(is_list):
        return model
    image, scores = (end[0] if alone else end for end, alone in zip(ends, is_list, strict=True))
    return keras.Model(image, scores, name=model.name)


def copied(model: keras.Model) -> keras.Model:
    """A copy of the network with its own weights, on the devices of the current scope."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def _check_ends(model: keras.Model) -> None:
    """Checks that a network takes images and gives maps of scores."""
    for what, tensors in (("takes", model.inputs), ("gives", model.outputs)):
        for tensor in tensors:
            if len(tensor.shape) != 4:
                raise ConfigError(f"model: {model.name} {what} arrays of shape {tensor.shape}.", SEGMENTS)


def _check_fits(model: keras.Model, data: Dataset, channels: int) -> None:
    """Checks that a network takes the images of `data`, scores their classes, and uses no name of kseg's own layers."""
    streams, heads = streams_of(model), heads_of(model)
    images = data[0].images
    if set(streams) != set(images):
        raise ConfigError(
            f"model: {model.name} takes {_names(streams)}, but {data.name} has {_names(images)}.",
            "Give the inputs of the network the names of the streams.",
        )
    taken = sum(streams.values())
    if taken != channels and not ("" in streams and {taken, channels} == {1, 3}):  # grey and colour become each other
        raise ConfigError(
            f"model: {model.name} takes {taken} channels, but the images of {data.name} have {channels}.",
            f"Build it with Input((None, None, {channels})).",
        )
    for name in (f"reading_{head}" if head else "reading" for head in heads):
        if any(layer.name == name and not isinstance(layer, ReadScores) for layer in model.layers):
            raise ConfigError(
                f"model: {model.name} has a layer called {name!r}, which is the name of a layer that kseg adds.",
                "Rename the layer.",
            )
    counts = {head: len(names) for head, names in data.heads.items()}
    if counts != heads:
        raise ConfigError(
            f"model: {model.name} scores {_counted(heads)} classes, but {data.name} has {_counted(counts)}.",
            "Let its last layer give one score per class, before softmax.",
        )
    for tensor in model.inputs:
        if any(size is not None for size in tensor.shape[1:3]):
            raise ConfigError(
                f"model: {model.name} takes images of {tensor.shape[1]} x {tensor.shape[2]} only.",
                f"Build it with Input((None, None, {tensor.shape[3]})), so that it can be scored on whole images.",
            )


def _check_scores(model: keras.Model) -> None:
    """Checks that a network gives scores before softmax, and has no losses of its own."""
    if _ends_in_probabilities(model):
        raise ConfigError(
            f"model: {model.name} ends in a softmax or sigmoid, but losses and averages need the scores before it.",
            "Leave the activation of its last layer out.",
        )
    if model.losses:
        raise ConfigError(
            f"model: {model.name} has regularisers or losses inside, which kseg.train does not add to its loss.",
            *("Leave them out. In place of an L2 regulariser pass ", Setting("optimizer.weight_decay"), "."),
        )


def _check_size(model: keras.Model, height: int, width: int) -> None:
    """Checks that a network takes images of a size, widened as its SizeCheck asks, and scores every pixel."""
    geometry = geometry_of(model)
    given = tuple(geometry.next_input(size + 2 * geometry.border) for size in (height, width))
    images = [tf.TensorSpec((1, *given, tensor.shape[-1]), tensor.dtype) for tensor in model.inputs]
    ends = keras.Function(model.inputs, model.outputs)
    try:  # traced, since Keras' own shape inference accepts a join of maps of different sizes
        found = tf.function(lambda *parts: ends(list(parts)), autograph=False).get_concrete_function(*images).outputs
    except KsegError:
        raise
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise ConfigError(
            f"model: {model.name} does not take images of {given[0]} x {given[1]}, which it would get "
            f"({reason_of_call(error)}).",
            _ask_for_sizes(model),
        ) from error
    for scores in found:
        if None not in scores.shape[1:3] and scores.shape[1:3] != tuple(each - 2 * geometry.border for each in given):
            raise ConfigError(
                f"model: {model.name} gives {scores.shape[1]} x {scores.shape[2]} scores for images of {given[0]} x "
                f"{given[1]}, but it must give one for each pixel.",
                'Enlarge them at its end (UpSampling2D), pad its convolutions (padding="same"), or say which sizes it '
                f"takes. {_ask_for_sizes(model)}",
            )


def _ask_for_sizes(model: keras.Model) -> str:
    """The advice on how a network says which sizes it takes."""
    known = [grid.stride for grid in grids(model).values() if grid is not None]
    stride = max(known, default=1)
    number = str(stride) if stride > 1 else "STRIDE"
    return (
        f"Put kseg.layers.SizeCheck({number}, smallest={number}) behind its input: images are then widened to "
        f"multiples of {number}, and cut again."
    )


def _ends_in_probabilities(model: keras.Model) -> bool:
    """Whether a layer that gives an output is a softmax or sigmoid, or has one as its activation."""
    ends = {id(tensor) for tensor in keras.tree.flatten(model.output)}
    last = [layer for layer in model.layers if ends & {id(each) for each in keras.tree.flatten(layer.output)}]
    makers = (keras.activations.softmax, keras.activations.sigmoid)
    return any(isinstance(each, keras.layers.Softmax) or getattr(each, "activation", None) in makers for each in last)


def _names(parts: Mapping[str, Any]) -> str:
    return " and ".join(name or "one image" for name in parts)


def _counted(heads: Mapping[str, int]) -> str:
    return ", ".join(f"{head} {count}".strip() for head, count in heads.items())
