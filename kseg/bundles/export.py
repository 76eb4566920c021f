"""A SavedModel bundle for TensorFlow Serving: what `predict` does, in one graph.

The graph takes grey levels or colours as they are stored, of any height and width. It mirrors the borders that the
network needs (kseg.geometry), averages the scores as the network does, and answers at the image's size. The endpoint
`serving_default` gives `mask`; the endpoint `scores` gives the scores before softmax. The input is `images`, or one
input for each stream under the stream's name. A network with several heads gives `mask_HEAD` and `scores_HEAD` for
each.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
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
from kseg.inference.graphs import class_ids
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
    """Writes `model` as the bundle BASE/NAME/VERSION, completely or not at all.

    Args:
      model: a network of kseg's.
      base: the folder that a server reads its models from.
      name: the model's name there.
      version: its number; None for one more than the highest there is.
      average: the average that the graph computes; None for the network's own. It multiplies the time of a request by
        the factor that `kseg.inference.pixels_read` gives.
      precision: what the graph computes in: float32, mixed_float16, mixed_bfloat16 or auto.

    Returns:
      The bundle's folder.

    Raises:
      ExportError: that version exists, the name is a path, the network gives no scores for each pixel, it can't be
        traced for images of any size, or Keras does not compute with TensorFlow.
      ConfigError: there is no such average or precision, or the average does not suit the network.
      EnvironmentFailure: the disk is full, or the folder can't be written.
    """
    if name != Path(name).name or name in ("", ".."):
        raise ExportError(
            f"The name {name!r} is not a plain name of a folder.",
            "Name it without a path.",
        )
    home = Path(base) / name
    taken = [int(folder.name) for folder in home.glob("*") if folder.name.isdigit()]
    version = max(taken, default=0) + 1 if version is None else version
    folder = home / str(version)
    if folder.exists():
        raise ExportError(f"{folder}: this version exists.", "Leave the version out for the next free one.")

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"TensorFlow writes a SavedModel, but here Keras computes with {keras.backend.backend()}.",
            "Save the network (model.save), and export the file with KERAS_BACKEND=tensorflow.",
        )
    if any(len(output.shape) != 4 for output in model.outputs):
        raise ExportError(f"{model.name}: its output is not a map.", SEGMENTS)
    network = predictor(model, precision=precision)
    average = network.outer_average(average)
    with aside(folder) as temporary, computing_in(model, network.precision):
        try:
            _archive(model, network, average).write_out(str(temporary), verbose=False)
        except tf.errors.OpError as error:
            raise EnvironmentFailure(
                f"{folder}: the bundle can't be written ({in_a_line(error.message, 500)}). Nothing was left there.",
                "Free some space or choose another place.",
            ) from error
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ExportError(
                f"{model.name}: it can't be traced for images of any size ({in_a_line(error, 200)}). Nothing was "
                "written.",
                "Use layers that need no fixed size.",
            ) from error
        (temporary / FACTS).parent.mkdir()
        (temporary / FACTS).write_text(json.dumps(_facts(model, network, average), indent=2) + "\n", encoding="utf-8")
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

    def mask(scores: tf.Tensor, head: str) -> tf.Tensor:
        return tf.cast(class_ids(scores, network.readings[head]), tf.uint16)

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", lambda *images: by_head(images, "mask", mask), input_signature=signature)
    archive.add_endpoint(
        "scores", lambda *images: by_head(images, "scores", lambda part, _: part), input_signature=signature
    )
    return archive


def _facts(model: keras.Model, network: Predictor, average: Average) -> dict[str, Any]:
    """The facts that a bundle holds beside its graph."""
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
    """The type of a network's images as its scaling layer expects them.

    uint16 for depth and for images whose white is above 255. float32 if white is at most 1, or if nothing is scaled.
    uint8 otherwise.
    """
    scaled = any(isinstance(layer, ScaleInput) for layer in model.layers)
    white = white_of(model)
    if white is None:
        return tf.uint16 if scaled else tf.float32
    return tf.float32 if white <= 1 else tf.uint8 if white <= 255 else tf.uint16


def whole_image(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function from images (N, H, W, C) of any dtype and size to scores (N, H, W, K) float32.

    Streams are joined along C, heads along K.
    """
    geometry = geometry_of(model)

    @tf.autograph.experimental.do_not_convert
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
    """kseg.geometry.mirrored as TensorFlow operations; tf.pad refuses borders as large as the image."""
    period = tf.maximum(1, 2 * (size - 1))
    index = tf.range(start, stop) % period
    return tf.minimum(index, (period - index) % period)
