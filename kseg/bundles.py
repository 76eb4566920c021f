"""A SavedModel bundle for TensorFlow Serving: what `predict` does, in one graph.

The graph takes grey levels or colours as they are stored, of any height and width, mirrors the borders the
network needs (kseg.geometry), and answers at the image's size. Endpoints: `serving_default` gives `mask`,
`scores` gives the scores before softmax. Images come as `images`, several streams by their names; of several heads
there is a `mask_HEAD` and a `scores_HEAD` each.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from kseg.errors import EnvironmentFailure, ExportError
from kseg.inference import (
    FACTS,
    SEGMENTS,
    call_joined,
    geometry_of,
    heads_of,
    parts_of,
    precision_of,
    streams_of,
    white_of,
)
from kseg.layers import ScaleInput
from kseg.storage import aside


def export(
    model: keras.Model,
    base: str | Path = "models",
    *,
    name: str,
    version: int | None = None,
    classes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Writes `model` as the bundle BASE/NAME/VERSION, whole or not at all.

    Args:
      model: a network of kseg's.
      base: the folder a server is pointed at.
      name: the model's name there.
      version: its number; None for one more than the highest there is.
      classes: the classes' names, by head where there are several, written beside the graph.

    Returns:
      The bundle's folder.

    Raises:
      ExportError: that version exists, the name is a path, or the network gives no scores for each pixel.
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

    if any(len(output.shape) != 4 for output in model.outputs):
        raise ExportError(f"{model.name}: its output is no map. {SEGMENTS}")
    kind, streams, heads = input_kind(model), streams_of(model), heads_of(model)
    signature = [
        tf.TensorSpec((None, None, None, channels), kind, name=stream or "images")
        for stream, channels in streams.items()
    ]
    scores = whole_image(model)

    def by_head(images: Sequence[tf.Tensor], what: str, change: Callable[[tf.Tensor], tf.Tensor]) -> dict:
        parts = parts_of(scores(tf.concat(images, axis=-1)), heads)
        return {what + (f"_{head}" if head else ""): change(part) for head, part in parts.items()}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda *images: by_head(images, "mask", lambda part: tf.argmax(part, axis=-1, output_type=tf.uint16)),
        input_signature=signature,
    )
    archive.add_endpoint("scores", lambda *images: by_head(images, "scores", tf.identity), input_signature=signature)
    facts = {
        "network": model.name,
        "heads": heads,
        "class_names": classes if isinstance(classes, Mapping) else list(classes) if classes else None,
        "streams": streams,
        "dtype": kind.name,
        "precision": precision_of(model),
        "white": white_of(model),
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
