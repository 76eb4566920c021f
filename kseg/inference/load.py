"""Whatever a person has: a run folder, a `.keras` file, a SavedModel bundle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kseg.errors import ConfigError, DataError, WeightsError, in_a_line
from kseg.geometry import Geometry
from kseg.inference.precision import set_precision, settled_precision
from kseg.inference.predictor import Predictor, parts_of
from kseg.layers import ScoreReading, readings_of, with_reading

FACTS = Path("assets.extra", "kseg.json")


PRESETS = Path(__file__).parents[1] / "presets"


def presets() -> list[str]:
    """The names of the trained networks that come with kseg; each is a run folder inside the package."""
    return sorted(folder.name for folder in PRESETS.iterdir() if folder.is_dir())


def resolved(model: str | Path) -> Path:
    """Where `model` lies: a preset's folder where nothing else has that name."""
    path = Path(model)
    return PRESETS / path if not path.exists() and str(path) in presets() else path


def load(path: str | Path, *, precision: str | None = None) -> keras.Model | Predictor:
    """The network at `path`.

    Args:
      path: a run folder (its best network), a preset's name, a `.keras` file, or a bundle (the folder of a
        version, or of its name: then the newest).
      precision: what its layers compute in: float32, mixed_float16, mixed_bfloat16 or auto; None for what it was
        trained in. `kseg.predict` and all that is built on it compute in float32 unless asked, whatever this is.

    Returns:
      A keras.Model; for a bundle a Predictor, which is called the same way and answers at the input's size.

    Raises:
      WeightsError: there is nothing there, or it can't be read.
      ConfigError: there is no such precision, or a bundle computes in another.
    """
    path = resolved(path)
    if path.is_dir() and (path / "model.keras").exists():
        path = path / "model.keras"
    if path.is_file() and path.suffix == ".keras":
        model = _with_reading_of_run(_load_keras(path), path.parent / "config.json")
        if precision is not None:
            set_precision(model, settled_precision(precision))
        return model
    bundle = find_bundle(path)
    if bundle is not None:
        loaded = _load_bundle(bundle)
        if precision not in (None, "auto", loaded.precision):
            raise ConfigError(
                f"{bundle}: this bundle computes in {loaded.precision}, not in {precision}. Export it in {precision}."
            )
        return loaded
    if (path / "config.json").is_file():
        raise WeightsError(f"{path}: a run folder without its network, model.keras. {_what_is_left(path)}")
    found = (
        "nothing"
        if not path.exists()
        else "a folder with none of them"
        if path.is_dir()
        else f"a {path.suffix or 'nameless'} file"
    )
    raise WeightsError(
        f"{path}: no network here. A run folder (with model.keras), a preset ({', '.join(presets())}), a .keras file "
        f"or a SavedModel bundle is wanted; found {found}."
    )


def _what_is_left(run: Path) -> str:
    """What to do about a run whose best network is not there."""
    ways = []
    if any((run / "checkpoints").glob("step-*")):
        ways.append(f"`kseg train --run {run}` goes on from the newest checkpoint and writes it.")
    if (run / "last.keras").is_file():
        ways.append(f"{run / 'last.keras'} is the network after the last step, and can be named in its place.")
    return " ".join(ways) or f"Neither checkpoints nor last.keras are there: train it again (`kseg train --run {run}`)."


def find_bundle(path: Path) -> Path | None:
    """The folder with saved_model.pb at `path` or in its highest version; None where there is none."""
    versions = [folder for folder in path.glob("[0-9]*") if folder.name.isdigit()] if path.is_dir() else []
    for folder in (path, *sorted(versions, key=lambda version: -int(version.name))):
        if (folder / "saved_model.pb").is_file():
            return folder
    return None


def _load_keras(path: Path) -> keras.Model:
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("no zip archive, which .keras files are")
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise WeightsError(
            f"{path}: this file can't be loaded ({in_a_line(error)}). Is it whole, and written by Keras 3? Where it "
            "has layers of your own, import their module first (--plugin)."
        ) from error


def _with_reading_of_run(model: keras.Model, config: Path) -> keras.Model:
    """The network of a run; one from before networks carried a reading gets it from the run's configuration.

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
            f"{config}: damaged ({error}). It says how the network beside it is read: copy it from where it is whole."
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
            f"{folder}: this bundle can't be loaded ({error}). Was it written by `kseg export`?"
        ) from error

    def call(images: np.ndarray) -> tf.Tensor:
        if not np.can_cast(images.dtype, dtype.as_numpy_dtype):
            raise DataError(
                f"image: values of type {images.dtype}, but this bundle takes {dtype.name}. Give it such images."
            )
        given = {stream or "images": part for stream, part in parts_of(tf.cast(images, dtype), streams).items()}
        scores = bundle.signatures["scores"](**given)
        return tf.concat([scores["scores" + (f"_{head}" if head else "")] for head in heads], axis=-1)

    has_average = any(reading.average != "none" for reading in readings.values())
    geometry = Geometry(margin=None)
    return Predictor(call, geometry, streams, heads, precision, facts.get("white"), readings, has_average)


def _readings(facts: dict) -> dict[str, ScoreReading]:
    """The readings that a bundle holds; of one from before it held them, the names of its classes."""
    if "readings" in facts:
        return {head: ScoreReading(**reading) for head, reading in facts["readings"].items()}
    names = facts.get("class_names") or {}
    by_head = names if isinstance(names, dict) else {"": names}
    return {head: ScoreReading(tuple(classes)) for head, classes in by_head.items()}
