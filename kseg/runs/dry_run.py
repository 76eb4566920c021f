"""The dry run: what a training would take."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from kseg.formats import clock
from kseg.preparation.pace import timed
from kseg.preparation.plan import Choice
from kseg.recipes.recipe import Recipe
from kseg.runs.folds import fold_of, timed_in_folds
from kseg.runs.stages import Stage, stages_of
from kseg.runs.start import begin
from kseg.training.devices import Devices, shared, workers_named
from kseg.training.loop import readable
from kseg.training.step import step_of
from kseg.weights.files import classifier_of


@dataclass(frozen=True)
class Rehearsal:
    """What a training would take. It prints itself.

    Attributes:
      recipe: its name.
      network: its name.
      parameters: of the network.
      precision: what it would compute in.
      memory_bytes: the most memory in use, on the first GPU if there is one; None on Windows, which does not tell.
      step_s: seconds of a step, with the wait for its batch.
      steps: of the whole training.
      plan: what the images said about the recipe's settings.
      folds: how many such trainings there are.
    """

    recipe: str
    network: str
    parameters: int
    precision: str
    memory_bytes: int | None
    step_s: float
    steps: int
    plan: Sequence[Choice] = ()
    folds: int = 1

    def __str__(self) -> str:
        memory = "unknown" if self.memory_bytes is None else f"{self.memory_bytes / 2**30:.1f} GiB at most"
        planned = "".join(f"\n{each}" for each in self.plan)
        return (
            f"{self.recipe}: {self.network}, {self.parameters:,} parameters, {self.precision}\n"
            f"memory: {memory}\n"
            f"time: {self.step_s:.2f} s a step, {clock(self.step_s * self.steps)} for {self.steps:,} steps"
            + (f" of each of {self.folds} trainings" if self.folds > 1 else "")
            + f"; validation comes on top{planned}"
        )


def rehearse(
    recipe: str | Recipe | None = None,
    *,
    data_dir: str | Path | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: str | Path = "auto",
) -> list[Rehearsal]:
    """What `train` with the same arguments would take, for each stage. It writes nothing.

    It times the second step, on as many GPUs of this machine as `train` would take. Of several workers only this one
    runs, with the whole batch. Stages that start from an earlier stage or from ImageNet's weights start from random
    weights here. Nothing is fetched, and whether it could be is not checked. A file to start from is read, so that a
    missing or wrong one is reported.

    Raises:
      KsegError: as `train`.
    """
    prepared, folder, recorded = begin(recipe, data_dir, run, settings, resume)
    in_folds = prepared.recipe.is_in_folds
    if recorded is None:
        devices = Devices.at_hand(prepared.recipe.data.batch_size)
        prepared = timed_in_folds(prepared, devices) if in_folds else timed(prepared, devices)
    if in_folds:
        one = _rehearsed(Stage(fold_of(prepared, 1), folder or Path("run")))
        return [replace(one, folds=prepared.recipe.folds or 1)]
    return [_rehearsed(stage) for stage in stages_of(prepared, folder or Path("run"), recorded)]


def _rehearsed(stage: Stage) -> Rehearsal:
    prepared = stage.prepared
    devices = Devices.at_hand(prepared.recipe.data.batch_size) if workers_named() == 1 else Devices.of()
    _forget_peak()
    takes_imagenet = prepared.recipe.init_weights == "imagenet" and not stage.start
    model = prepared.network(devices, "none" if stage.start or takes_imagenet else None)
    if takes_imagenet:
        classifier_of(model)
    batches = replace(prepared, recipe=prepared.recipe.with_settings({"steps": 2})).batches(model, devices)
    step = step_of(model, batches.element_spec, devices, compiled=prepared.is_compiled(devices))
    stream = readable(batches)
    step(*shared(next(stream)[1], devices))  # traces and compiles
    started = time.monotonic()
    step(*shared(next(stream)[1], devices))
    return Rehearsal(
        prepared.recipe.name,
        model.name,
        model.count_params(),
        prepared.recipe.precision,
        _peak(),
        time.monotonic() - started,
        prepared.steps,
        prepared.plan,
    )


def _forget_peak() -> None:
    """Resets the peak of `_peak`, if the system allows it."""
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int | None:
    """The most bytes in use: on the first GPU if there is one, else in this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
