"""What a training would take, told beforehand."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from kseg.callbacks.progress import clock
from kseg.recipes.recipe import Recipe
from kseg.runs.stages import Stage, stages_of
from kseg.runs.start import begin
from kseg.training.devices import shared, strategy_at_hand, workers_named
from kseg.training.loop import readable
from kseg.training.step import step_of
from kseg.weights.initial import classifier_of


@dataclass(frozen=True)
class Rehearsal:
    """What a training would take; prints itself.

    Attributes:
      recipe: its name.
      network: its name.
      parameters: of the network.
      precision: what it would compute in.
      memory_bytes: the most that was in use, on the first GPU where there is one; None on Windows, which does not say.
      step_s: seconds of a step, waiting for its batch included.
      steps: of the whole training.
    """

    recipe: str
    network: str
    parameters: int
    precision: str
    memory_bytes: int | None
    step_s: float
    steps: int

    def __str__(self) -> str:
        memory = "unknown" if self.memory_bytes is None else f"{self.memory_bytes / 2**30:.1f} GiB at most"
        return (
            f"{self.recipe}: {self.network}, {self.parameters:,} parameters, {self.precision}\n"
            f"memory: {memory}\n"
            f"time: {self.step_s:.2f} s a step, {clock(self.step_s * self.steps)} for {self.steps:,} steps; "
            "validation comes on top"
        )


def rehearse(
    recipe: str | Recipe | None = None,
    *,
    data_dir: str | Path | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: str | Path = "auto",
) -> list[Rehearsal]:
    """What `train` with the same arguments would take, for each stage; writes nothing.

    A step is timed after one that is not, on as many GPUs of this machine as `train` would take; of several workers
    on this one alone, with the whole batch. Stages that start from one before, and what starts from ImageNet's
    weights, start from random ones here: nothing is fetched, and whether it could be is not looked at. A file to start
    from is read, so that one that is not there or does not fit is told.

    Raises:
      KsegError: as `train`.
    """
    prepared, folder = begin(recipe, data_dir, run, settings, resume)
    return [_rehearsed(stage) for stage in stages_of(prepared, folder or Path("run"))]


def _rehearsed(stage: Stage) -> Rehearsal:
    prepared = stage.prepared
    is_one = workers_named() == 1
    strategy = strategy_at_hand(prepared.recipe.data.batch_size) if is_one else tf.distribute.get_strategy()
    _forget_peak()
    with strategy.scope():
        takes_imagenet = prepared.recipe.init_weights == "imagenet" and not stage.start
        model = prepared.network("none" if stage.start or takes_imagenet else None)
    if takes_imagenet:
        classifier_of(model)
    batches = replace(prepared, recipe=prepared.recipe.with_settings({"steps": 2})).batches(model)
    step, stream = step_of(model, batches.element_spec, strategy), readable(batches)
    step(*shared(next(stream)[1], strategy))  # traces and compiles
    started = time.monotonic()
    step(*shared(next(stream)[1], strategy))
    return Rehearsal(
        prepared.recipe.name,
        model.name,
        model.count_params(),
        prepared.recipe.precision,
        _peak(),
        time.monotonic() - started,
        prepared.steps,
    )


def _forget_peak() -> None:
    """Begins `_peak` anew, where the system lets one."""
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int | None:
    """The most bytes that were in use: of the first GPU where there is one, else of this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
