"""Loads the network of a run folder, a preset, a `.keras` file or a SavedModel bundle."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kseg.errors import ConfigError, DataError, WeightsError, in_a_line
from kseg.folders import BEST_NETWORK, CONFIG, FACTS, advice_without_network, find_bundle, keras_file, path_of, presets
from kseg.geometry import Geometry
from kseg.inference.precision import set_precision, settled_precision
from kseg.inference.predictor import Predictor
from kseg.inference.signature import parts_of
from kseg.layers import ScoreReading, readings_of, with_reading
from kseg.weights.keras_files import read_keras_file


def load(path: str | Path, *, precision: str | None = None) -> keras.Model | Predictor:
    """The network at `path`.

    Args:
      path: a run folder (for its best network), a preset's name, a `.keras` file, or a bundle: the folder of a version,
        or of all versions for the newest.
      precision: what its layers compute in: float32, mixed_float16, mixed_bfloat16 or auto; None for the precision of
        its training. `kseg.predict`, and everything that uses it, has a precision of its own: float32 by default.

    Returns:
      A keras.Model; for a bundle a Predictor, which is called in the same way and gives scores of the input's size.

    Raises:
      WeightsError: there is no network, or it can't be read.
      ConfigError: there is no such precision, or the bundle computes in another one.
    """
    path = path_of(path)
    file = keras_file(path)
    if file is not None:
        model = _with_reading_of_run(read_keras_file(file), file.parent / CONFIG)
        if precision is not None:
            set_precision(model, settled_precision(precision))
        return model
    bundle = find_bundle(path)
    if bundle is not None:
        loaded = _load_bundle(bundle)
        if precision not in (None, "auto", loaded.precision):
            raise ConfigError(
                f"{bundle}: this bundle computes in {loaded.precision}, not in {precision}.",
                f"Export it in {precision}.",
            )
        return loaded
    if (path / CONFIG).is_file():
        raise WeightsError(f"{path}: a run folder without its network, {BEST_NETWORK}.", *advice_without_network(path))
    found = "nothing"
    if path.exists():
        found = "a folder with none of them" if path.is_dir() else f"a {path.suffix or 'nameless'} file"
    raise WeightsError(
        f"{path}: no network here, found {found}.",
        f"Name a run folder (with {BEST_NETWORK}), a preset ({', '.join(presets())}), a .keras file, or the folder "
        "of a SavedModel bundle.",
    )


def _with_reading_of_run(model: keras.Model, config: Path) -> keras.Model:
    """The network of a run; an older one, which carries no reading, gets it from the run's configuration.

    Raises:
      WeightsError: the configuration is damaged.
    """
    if readings_of(model) or not config.is_file():
        return model
    try:
        facts = json.loads(config.read_text(encoding="utf-8"))
        classes, average = facts["classes"], facts["recipe"].get("average", "none")
        heads = classes if isinstance(classes, dict) else {"": classes}
        readings = {head: ScoreReading(tuple(names), average=average) for head, names in heads.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{config}: damaged ({in_a_line(error)}). It says how the scores of the network beside it are read.",
            "Copy it from a place where it is whole.",
        ) from error
    return with_reading(model, readings)


def _load_bundle(folder: Path) -> Predictor:
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        streams, heads, precision = facts["streams"], facts["heads"], facts["precision"]
        dtype = tf.as_dtype(facts["dtype"])
        readings = _readings(facts)
        bundle = tf.saved_model.load(str(folder))
        bundle.signatures["scores"]
    except Exception as error:
        raise WeightsError(
            f"{folder}: this bundle can't be loaded ({in_a_line(error)}).",
            "Is it whole, and written by kseg? If not, export the network again.",
        ) from error

    def call(images: np.ndarray) -> tf.Tensor:
        if not np.can_cast(images.dtype, dtype.as_numpy_dtype):
            raise DataError(
                f"image: values of type {images.dtype}, but this bundle takes {dtype.name}.", "Give it such images."
            )
        given = {stream or "images": part for stream, part in parts_of(tf.cast(images, dtype), streams).items()}
        scores = bundle.signatures["scores"](**given)
        return tf.concat([scores["scores" + (f"_{head}" if head else "")] for head in heads], axis=-1)

    has_average = any(reading.average != "none" for reading in readings.values())
    geometry = Geometry(margin=None)
    return Predictor(call, geometry, streams, heads, precision, facts.get("white"), readings, has_average)


def _readings(facts: dict) -> dict[str, ScoreReading]:
    """The readings that a bundle holds; an older one holds the names of its classes alone."""
    if "readings" in facts:
        return {head: ScoreReading(**reading) for head, reading in facts["readings"].items()}
    names = facts.get("class_names") or {}
    by_head = names if isinstance(names, dict) else {"": names}
    return {head: ScoreReading(tuple(classes)) for head, classes in by_head.items()}
