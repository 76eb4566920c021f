"""A SavedModel bundle for TensorFlow Serving: what `predict` does, in one graph.

The graph takes grey levels or colours as they are stored, of any height and width, mirrors the borders the
network needs (kseg.geometry), averages as the network does, and answers at the image's size. Endpoints:
`serving_default` gives `mask`, `scores` gives the scores before softmax. Images come as `images`, several streams by
their names; of several heads there is a `mask_HEAD` and a `scores_HEAD` each.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.errors import EnvironmentFailure, ExportError, in_a_line
from kseg.folders import FACTS
from kseg.inference import (
    SEGMENTS,
    Predictor,
    call_joined,
    computing_in,
    geometry_of,
    parts_of,
    predictor,
    white_of,
)
from kseg.inference.averaging import averaged
from kseg.layers import Average, ScaleInput
from kseg.storage import aside


def export(
    model: keras.Model,
    base: str | Path = "models",
    *,
    name: str,
    version: int | None = None,
    average: Average | None = None,
    precision: str = "float32",
) -> Path:
    """Writes `model` as the bundle BASE/NAME/VERSION, whole or not at all.

    Args:
      model: a network of kseg's.
      base: the folder a server is pointed at.
      name: the model's name there.
      version: its number; None for one more than the highest there is.
      average: the average that the graph holds; None for the network's own. A request then takes as many times as long
        as `kseg.inference.pixels_read` says.
      precision: what the graph computes in: float32, mixed_float16, mixed_bfloat16 or auto.

    Returns:
      The bundle's folder.

    Raises:
      ExportError: that version exists, the name is a path, the network gives no scores for each pixel, it can't be
        traced for images of any size, or Keras does not compute with TensorFlow.
      ConfigError: there is no such average or precision, or the average does not suit the network.
      EnvironmentFailure: the disk is full, or the place can't be written.
    """
    if name != Path(name).name or name in ("", ".."):
        raise ExportError(f"The name {name!r} is no plain name of a folder. Name it without a path; BASE says where.")
    home = Path(base) / name
    taken = [int(folder.name) for folder in home.glob("*") if folder.name.isdigit()]
    version = max(taken, default=0) + 1 if version is None else version
    folder = home / str(version)
    if folder.exists():
        raise ExportError(f"{folder}: this version exists. Leave --version out for the next free one.")

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"A SavedModel is written by TensorFlow, but Keras computes with {keras.backend.backend()} here. Save the "
            "network (model.save), and export the file with KERAS_BACKEND=tensorflow."
        )
    if any(len(output.shape) != 4 for output in model.outputs):
        raise ExportError(f"{model.name}: its output is no map. {SEGMENTS}")
    network = predictor(model, precision=precision)
    average = network.outer_average(average)
    with aside(folder) as place, computing_in(model, network.precision):
        try:
            _archive(model, network, average).write_out(str(place), verbose=False)
        except tf.errors.OpError as error:
            raise EnvironmentFailure(
                f"{folder}: the bundle can't be written ({error.message.rpartition('; ')[2]}). Nothing was left there."
            ) from error
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ExportError(
                f"{model.name}: it can't be traced for images of any size ({in_a_line(error, 200)}). A layer of "
                "it needs to know the size. Nothing was written."
            ) from error
        (place / FACTS).parent.mkdir()
        (place / FACTS).write_text(json.dumps(_facts(model, network, average), indent=2) + "\n", encoding="utf-8")
    return folder


def _archive(model: keras.Model, network: Predictor, average: Average) -> keras.export.ExportArchive:
    """The network with its endpoints."""
    kind, one_pass = input_kind(model), whole_image(model)
    signature = [
        tf.TensorSpec((None, None, None, channels), kind, name=stream or "images")
        for stream, channels in network.streams.items()
    ]

    def by_head(images: Sequence[tf.Tensor], what: str, change: Callable[[tf.Tensor, str], tf.Tensor]) -> dict:
        joined = tf.cast(tf.concat(images, axis=-1), tf.float32)
        parts = parts_of(averaged(joined, one_pass, average), network.heads)
        return {what + (f"_{head}" if head else ""): change(part, head) for head, part in parts.items()}

    def class_ids(scores: tf.Tensor, head: str) -> tf.Tensor:
        margin = network.readings[head].margin
        if margin is not None:
            return tf.cast(scores[..., 1] - scores[..., 0] > np.float32(margin), tf.uint16)
        return tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), tf.uint16)  # LiteRT has no argmax to uint16

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default", lambda *images: by_head(images, "mask", class_ids), input_signature=signature
    )
    archive.add_endpoint(
        "scores", lambda *images: by_head(images, "scores", lambda part, _: part), input_signature=signature
    )
    return archive


def _facts(model: keras.Model, network: Predictor, average: Average) -> dict[str, Any]:
    """What a bundle says of itself beside its graph."""
    readings = {head: dataclasses.replace(reading, average=average) for head, reading in network.readings.items()}
    names = {head: list(reading.names(network.heads[head])) for head, reading in readings.items()}
    return {
        "network": model.name,
        "heads": network.heads,
        "class_names": names.get("", names),
        "readings": {head: dataclasses.asdict(reading) for head, reading in readings.items()},
        "streams": network.streams,
        "dtype": input_kind(model).name,
        "precision": network.precision,
        "white": network.white,
        "geometry": dataclasses.asdict(network.geometry),
    }


def input_kind(model: keras.Model) -> tf.DType:
    """How the images of a network are stored, by its first layer.

    uint16 for depth, and where white is above 255; float32 where the scaling leaves numbers of about 1 as they are, or
    there is none; else uint8.
    """
    scaled = any(isinstance(layer, ScaleInput) for layer in model.layers)
    white = white_of(model)
    if white is None:
        return tf.uint16 if scaled else tf.float32
    return tf.float32 if white <= 1 else tf.uint8 if white <= 255 else tf.uint16


def whole_image(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Of images (N, H, W, C) of any dtype and size to scores (N, H, W, K) float32; streams and heads joined."""
    geometry = geometry_of(model)

    def scores(images: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        given = tf.cast(images, tf.float32)
        for axis, size in ((1, height), (2, width)):
            beyond = size + 2 * geometry.border - geometry.smallest
            whole = geometry.smallest + tf.maximum(0, -(-beyond // geometry.steps)) * geometry.steps
            given = tf.gather(given, _mirrored(-geometry.border, whole - geometry.border, size), axis=axis)
        return call_joined(model, given)[:, :height, :width]

    return scores


def _mirrored(start: int, stop: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """kseg.geometry.mirrored in the graph: tf.pad refuses borders as large as the image."""
    period = tf.maximum(1, 2 * (size - 1))
    index = tf.range(start, stop) % period
    return tf.minimum(index, (period - index) % period)
