"""A SavedModel bundle for TensorFlow Serving: what `predict` does, in one graph.

The graph takes grey levels or colours as they are stored, of any height and width, mirrors the borders the
network needs (kseg.geometry), and answers at the image's size. Endpoints: `serving_default` gives `mask`,
`scores` gives the scores before softmax.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from kseg.errors import EnvironmentFailure, ExportError
from kseg.inference import FACTS, geometry_of
from kseg.layers import ScaleInput
from kseg.storage import aside


def export(
    model: keras.Model,
    base: str | Path = "models",
    *,
    name: str,
    version: int | None = None,
    classes: Sequence[str] | None = None,
) -> Path:
    """Writes `model` as the bundle BASE/NAME/VERSION, whole or not at all.

    Args:
      model: a network of kseg's.
      base: the folder a server is pointed at.
      name: the model's name there.
      version: its number; None for one more than the highest there is.
      classes: the classes' names, written beside the graph.

    Returns:
      The bundle's folder.

    Raises:
      ExportError: that version exists.
      EnvironmentFailure: the disk is full, or the place can't be written.
    """
    home = Path(base) / name
    taken = [int(folder.name) for folder in home.glob("*") if folder.name.isdigit()]
    version = max(taken, default=0) + 1 if version is None else version
    folder = home / str(version)
    if folder.exists():
        raise ExportError(f"{folder}: this version exists. Leave --version out for the next free one.")

    scores = whole_image(model)
    kind, channels = input_kind(model), model.input_shape[-1]
    signature = [tf.TensorSpec((None, None, None, channels), kind, name="images")]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda images: {"mask": tf.argmax(scores(images), axis=-1, output_type=tf.uint16)},
        input_signature=signature,
    )
    archive.add_endpoint("scores", lambda images: {"scores": scores(images)}, input_signature=signature)
    facts = {
        "network": model.name,
        "classes": model.output_shape[-1],
        "class_names": list(classes) if classes else None,
        "channels": channels,
        "dtype": kind.name,
        "precision": "float32",
        "geometry": dataclasses.asdict(geometry_of(model)),
    }
    with aside(folder) as place:
        try:
            archive.write_out(str(place), verbose=False)
        except tf.errors.OpError as error:
            raise EnvironmentFailure(
                f"{folder}: the bundle can't be written ({error.message.rpartition('; ')[2]}). Nothing was left there."
            ) from error
        (place / FACTS).parent.mkdir()
        (place / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return folder


def input_kind(model: keras.Model) -> tf.DType:
    """How the images of a network are stored, by its white: uint8, uint16, or float32 for white of 1 and less."""
    for layer in model.layers:
        if isinstance(layer, ScaleInput):
            white = 1 / layer.scaling.scale
            return tf.float32 if white <= 1 else tf.uint8 if white <= 255 else tf.uint16
    return tf.float32


def whole_image(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of images (N, H, W, C) of any dtype and size to scores (N, H, W, K) float32."""
    geometry = geometry_of(model)

    def scores(images: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        given = tf.cast(images, tf.float32)
        for axis, size in ((1, height), (2, width)):
            beyond = size + 2 * geometry.border - geometry.smallest
            whole = geometry.smallest + tf.maximum(0, -(-beyond // geometry.stride)) * geometry.stride
            given = tf.gather(given, _mirrored(-geometry.border, whole - geometry.border, size), axis=axis)
        return model(given, training=False)[:, :height, :width]

    return scores


def _mirrored(start: int, stop: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """kseg.geometry.mirrored in the graph: tf.pad refuses borders as large as the image."""
    period = tf.maximum(1, 2 * (size - 1))
    index = tf.range(start, stop) % period
    return tf.minimum(index, (period - index) % period)
