"""Writes a network as a SavedModel bundle for TensorFlow Serving.

The bundle BASE/NAME/VERSION has four signatures (kseg.bundles.graph). The input is `images`, or one input for each
stream under the stream's name; a network with several heads gives `mask_HEAD`, `scores_HEAD`, ... for each.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.bundles.graph import BundleGraph, input_kind, named
from kseg.bundles.warm_up import write_warm_up
from kseg.errors import EnvironmentFailure, ExportError, in_a_line
from kseg.folders import FACTS, path_of
from kseg.inference import SEGMENTS, Predictor, computing_in, predictor
from kseg.layers import Average
from kseg.pictures import palette
from kseg.storage import writing

MOST_PIXELS = 2**24  # of a request
WARM_UP = ((256, 256),)  # height and width
_OF_RUN = ("MODEL_CARD.md", "report.json")  # files of a run folder that its bundle holds too


def export(
    model: keras.Model,
    base: str | Path = "models",
    *,
    name: str,
    version: int | None = None,
    average: Average | None = None,
    precision: str = "float32",
    run: str | Path | None = None,
    warm_up: Sequence[tuple[int, int]] = WARM_UP,
    most_pixels: int = MOST_PIXELS,
    verify: bool = False,
) -> Path:
    """Writes `model` as the bundle BASE/NAME/VERSION, completely or not at all.

    It is made in a hidden folder beside BASE, and moved into its place when it is whole. So a server that watches BASE
    never sees a part of it.

    Args:
      model: a network of kseg's.
      base: the folder that a server reads its models from.
      name: the model's name there.
      version: its number; None for one more than the highest there is.
      average: the average that the graph computes; None for the network's own. It multiplies the time of a request by
        the factor that `kseg.inference.pixels_read` gives.
      precision: what the graph computes in: float32, mixed_float16, mixed_bfloat16 or auto. Its weights are float32.
      run: the run folder or preset that the network comes from, whose model card and scores the bundle holds too.
      warm_up: (height, width) of images; when a server loads the bundle, it computes each signature for each.
      most_pixels: how many all images of a request may have together; the graph refuses more.
      verify: whether the bundle is verified (kseg.bundles.verify) before it is moved into its place.

    Returns:
      The bundle's folder.

    Raises:
      ExportError: that version exists, the name is a path, the network gives no scores for each pixel, it can't be
        traced for images of any size, or Keras does not compute with TensorFlow.
      VerificationFailed: it was to be verified, and something is wrong with it. Nothing is left in BASE.
      ConfigError: there is no such average or precision, or the average does not suit the network.
      EnvironmentFailure: the disk is full, or the folder can't be written.
    """
    folder = _folder(Path(base), name, version)
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"TensorFlow writes a SavedModel, but here Keras computes with {keras.backend.backend()}.",
            "Save the network (model.save), and export the file with KERAS_BACKEND=tensorflow.",
        )
    if any(len(output.shape) != 4 for output in model.outputs):
        raise ExportError(f"{model.name}: its output is not a map.", SEGMENTS)
    network = predictor(model, precision=precision)
    average = network.outer_average(average)
    with writing(folder):
        temporary = Path(tempfile.mkdtemp(prefix=".kseg-", dir=_workshop(Path(base))))
    try:
        made = temporary / name / folder.name
        with writing(folder), computing_in(model, network.precision):
            _write(model, network, average, made, folder, most_pixels)
            _add_facts(model, network, average, made, run)
            write_warm_up(made, name, [_image(model, network, size) for size in warm_up])
        if verify:
            from kseg.bundles.verification import verify_bundle

            verify_bundle(made, network, average=average).check()
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            made.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _folder(base: Path, name: str, version: int | None) -> Path:
    """The folder of a new version.

    Raises:
      ExportError: it exists, or the name is a path.
    """
    if name != Path(name).name or name in ("", ".."):
        raise ExportError(
            f"The name {name!r} is not a plain name of a folder.",
            "Name it without a path.",
        )
    home = base / name
    taken = [int(folder.name) for folder in home.glob("*") if folder.name.isdigit()]
    folder = home / str(max(taken, default=0) + 1 if version is None else version)
    if folder.exists():
        raise ExportError(f"{folder}: this version exists.", "Leave the version out for the next free one.")
    return folder


def _workshop(base: Path) -> Path:
    """The folder beside BASE; BASE itself where that one is on another disk, or can't be written.

    A bundle can be moved into its place at once only on the same disk. A server does not load what is hidden.
    """
    beside = base.resolve().parent
    if not base.exists():
        beside.mkdir(parents=True, exist_ok=True)
        return beside
    is_near = beside.stat().st_dev == base.stat().st_dev and os.access(beside, os.W_OK)
    return beside if is_near else base


def _write(
    model: keras.Model, network: Predictor, average: Average, made: Path, folder: Path, most_pixels: int
) -> None:
    """Writes the graph and its variables to the folder `made`; `folder` is where it will lie."""
    archive = keras.export.ExportArchive()
    try:
        for signature, (function, takes) in BundleGraph(model, network, average, most_pixels).endpoints().items():
            archive.add_endpoint(signature, function, input_signature=takes)
        archive.write_out(str(made), verbose=False)
    except tf.errors.OpError as error:
        raise EnvironmentFailure(
            f"{folder}: the bundle can't be written ({in_a_line(error.message, 500)}). Nothing was left there.",
            "Free some space or choose another place.",
        ) from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ExportError(
            f"{model.name}: it can't be traced for images of any size ({in_a_line(error, 200)}). Nothing was written.",
            "Use layers that need no fixed size.",
        ) from error


def _add_facts(model: keras.Model, network: Predictor, average: Average, made: Path, run: str | Path | None) -> None:
    """Writes what kseg must know of a bundle, and what people want to know: classes, colours, versions, scores."""
    readings = {head: dataclasses.replace(reading, average=average) for head, reading in network.readings.items()}
    names = {head: list(reading.names(network.heads[head])) for head, reading in readings.items()}
    facts = {
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
    classes = {}
    for head, reading in readings.items():
        colours = palette(reading.colours).tolist()
        shown = enumerate(names[head])
        classes[named("mask", head)] = [
            {"id": number, "name": name, "colour": colours[number % len(colours)]} for number, name in shown
        ]
    packages = ("kseg", "tensorflow", "keras", "numpy")
    versions = {"python": platform.python_version(), **{each: metadata.version(each) for each in packages}}
    _write_json(made / FACTS, facts)
    _write_json(made / "assets" / "classes.json", classes)
    _write_json(made / "assets" / "versions.json", versions)
    for file in _OF_RUN if run is not None else ():
        if (path_of(str(run)) / file).is_file():
            shutil.copyfile(path_of(str(run)) / file, made / "assets" / file)


def _write_json(file: Path, value: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _image(model: keras.Model, network: Predictor, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """An image (1, H, W, C) of each stream, as the network takes it."""
    kind = input_kind(model).as_numpy_dtype
    return {stream: np.zeros((1, *size, channels), kind) for stream, channels in network.streams.items()}
