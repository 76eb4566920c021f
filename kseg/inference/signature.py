"""What a network takes and gives: streams, heads, sizes, white. Any Keras network with scores for each pixel will do.

Networks of several streams or heads take and give dicts. Inside kseg their images and scores lie one behind the other
along the channels, so that tiles and averages know one image and one map of scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from kseg.errors import WeightsError, in_a_line
from kseg.geometry import Geometry
from kseg.layers import ScaleInput, SizeCheck
from kseg.models.quick import Call, call_quickly

SEGMENTS = (
    "A functional network from images (N, H, W, C) to the scores of two or more classes for each pixel (N, H, W, K) is "
    "needed, as kseg.build makes them."
)
Parts = Mapping[str, int]  # channels by name; {"": channels} for a network that takes or gives one array


def streams_of(model: keras.Model) -> dict[str, int]:
    """The channels of each input by its name; {"": C} for a single input without a name.

    Raises:
      WeightsError: there is no input, or there are several without names.
    """
    return _channels(model, "input")


def heads_of(model: keras.Model) -> dict[str, int]:
    """The classes of each output by its name; {"": K} for a single output without a name.

    Raises:
      WeightsError: there is no output, or there are several without names.
    """
    return _channels(model, "output")


def _channels(model: keras.Model, end: str) -> dict[str, int]:
    tensors = getattr(model, end, None)
    if isinstance(model, keras.Sequential) and model.built:
        tensors = getattr(model, f"{end}s")
    if isinstance(tensors, list | tuple) and len(tensors) == 1:
        (tensors,) = tensors
    parts: dict[str, Any] = tensors if isinstance(tensors, dict) else {"": tensors}
    if not all(hasattr(tensor, "shape") for tensor in parts.values()):
        raise WeightsError(f"{model.name}: no {end}, or several without names.", SEGMENTS)
    return {name: tensor.shape[-1] for name, tensor in parts.items()}


def parts_of(joined: Any, parts: Parts) -> dict[str, Any]:
    """Views of an array (..., C) by the names of its parts along the last axis."""
    stops = np.cumsum(list(parts.values())).tolist()
    return {name: joined[..., stop - count : stop] for (name, count), stop in zip(parts.items(), stops, strict=True)}


def call_joined(model: keras.Model, images: Any, call: Call | None = None) -> Any:
    """`model` on the images (N, H, W, C) of all its streams: the scores (N, H', W', K) of all its heads.

    `call` calls a layer, as in `kseg.models.quick`.
    """
    streams = streams_of(model)
    given: Any = images if "" in streams else parts_of(images, streams)
    if isinstance(getattr(model, "input", None), list | tuple) and not isinstance(model, keras.Sequential):
        given = [given]  # built as keras.Model([image], [scores])
    scores = call_quickly(model, given, call=call)
    if isinstance(scores, list | tuple):
        (scores,) = scores
    if not isinstance(scores, dict):
        return scores
    return keras.ops.concatenate([scores[head] for head in heads_of(model)], axis=-1)


def reason_of_call(error: Exception) -> str:
    """What went wrong when a network was called, in one line, without the places in source files."""
    lines = [line.strip() for line in str(error).splitlines()]
    encountered = [number for number, line in enumerate(lines) if "Exception encountered when calling" in line]
    stack = ("File ", "Graph execution error", "Detected at", "[[")
    told = [line for line in lines[encountered[-1] + 1 if encountered else 0 :] if line and not line.startswith(stack)]
    return in_a_line(told[0] if told else error)


def geometry_of(model: keras.Model) -> Geometry:
    """The sizes a network takes, as its first SizeCheck says; a network without one takes any size, untiled."""
    checks = (layer for layer in _layers_of(model) if isinstance(layer, SizeCheck))
    return next((layer.geometry for layer in checks), Geometry(margin=None))


def white_of(model: keras.Model) -> float | None:
    """The grey level that is white to a network, by its first layer; None for depth, or if no layer says it."""
    for layer in _layers_of(model):
        if isinstance(layer, ScaleInput):
            return layer.scaling.white
    return None


def _layers_of(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a network; a network within it is replaced by its own layers."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers_of(layer)
        else:
            yield layer
