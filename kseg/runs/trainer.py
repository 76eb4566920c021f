"""`train`: from a recipe to a finished run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kseg import pages
from kseg.datasets import Dataset
from kseg.errors import ConfigError, EnvironmentFailure, Interrupted, KsegError, Setting, in_a_line
from kseg.inference import load
from kseg.log import LOG
from kseg.metrics import Measure
from kseg.preparation.given import Given
from kseg.preparation.pace import timed
from kseg.recipes import PublishedSpec, Recipe
from kseg.reports import Report, evaluate
from kseg.reports.result import read_rows
from kseg.runs.folds import check_one_worker, run_folds, timed_in_folds
from kseg.runs.one_stage import run_stage
from kseg.runs.stages import Stage, check_networks, stages_of
from kseg.runs.start import begin, check_callbacks
from kseg.storage import writing
from kseg.training.checkpoint import newest_of
from kseg.training.devices import LOST, Devices, workers_named
from kseg.training.stopping import StopSignal

ARGUMENTS = ("data_dir", "run", "resume")  # of `train`, which an error may propose; anything else is a setting
NAMED = {"model": "model.name", "loss": "loss.name", "measure": "measure", "optimizer": "optimizer.name"}


@dataclass(frozen=True, repr=False)
class Run:
    """A finished training. In a notebook it shows its scores and curves.

    Attributes:
      folder: its run folder.
      report: the scores of its network on the held-out split, or those of a cross-validation; None on a second worker.
      recipe: the recipe that was followed.
    """

    folder: Path
    report: Report | None
    recipe: Recipe

    @cached_property
    def model(self) -> keras.Model:
        """The best network by the recipe's measure on `val`, or the last where there is no val; read once."""
        return load(self.folder)

    @property
    def history(self) -> dict[str, list[float]]:
        """The figures of all epochs by name, as in Keras' History; NaN where an epoch lacks a figure."""
        rows = read_rows(self.folder)
        names = dict.fromkeys(name for row in rows for name in row)
        figures = {name: [row.get(name) for row in rows] for name in names}
        return {name: [float("nan") if value is None else value for value in row] for name, row in figures.items()}

    def __repr__(self) -> str:
        score = f", mean IU {self.report.mean_iu:.3f} on {self.report.split}" if self.report else ""
        return f"<Run {self.folder}: {self.recipe.name}{score}>"

    def _repr_html_(self) -> str:
        curves = self.folder / "curves.png"
        parts = [f"<p>{escape(str(self.folder))}: {escape(self.recipe.name)}</p>"]
        parts += [self.report._repr_html_()] if self.report else []
        return "\n".join(parts + ([pages.picture(curves.read_bytes(), "curves")] if curves.is_file() else []))

    @property
    def published(self) -> list[PublishedSpec]:
        """The published scores of this training on the split of the report."""
        report = self.report
        return self.recipe.published_on(report.dataset, report.split) if report else []


def train(
    recipe: str | Recipe | None = None,
    *,
    data_dir: str | Path | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: str | Path = "auto",
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    data: Mapping[str, Dataset] | None = None,
    model: str | keras.Model | None = None,
    loss: str | keras.losses.Loss | None = None,
    augment: Sequence[Any] | None = None,
    measure: str | Measure | None = None,
    optimizer: str | keras.optimizers.Optimizer | None = None,
) -> Run:
    """Trains a network, scores it on the held-out split, and writes the run folder. A broken run goes on.

    The stages of a recipe come first, one after another, each a run of its own in the run folder's stages/. With the
    setting `folds` the trainings of a cross-validation are runs in folds/, and the run's network is their ensemble. A
    deterministic recipe makes all of TensorFlow deterministic until the process ends.

    Args:
      recipe: a registered name (`kseg models list`), or a recipe; None for that of the data set, or the demo. A run
        that exists goes on as it began where neither recipe nor settings are given.
      data_dir: the folder of the data set; the demo needs none.
      run: the run folder; None for runs/RECIPE-N with the next free N. One that exists goes on from its newest whole
        checkpoint.
      settings: other values of the recipe's fields by dotted name: {"optimizer.learning_rate": 1e-4}.
      resume: "auto"; "never" refuses a folder that exists; or the folder of the checkpoint to go on from.
      strategy: the devices; None for all workers that TF_CONFIG names, else for as many GPUs of this machine as a
        batch has images.
      callbacks: Keras callbacks, called after kseg's own, on the first worker only. If one ends the training or sets
        its rate, all workers follow at the epoch's end. Their numbers and texts are kept over a break, their arrays
        are not (EarlyStopping's best weights; the best network is in model.keras anyway).
      data: your own data sets: {"train": ..., "val": ...}, and "test" if there is one.
      model, loss, measure, optimizer: a registered name, or an object: a functional network (which is not changed), a
        kseg.objectives.BatchLoss or a Keras loss of scores before softmax, a kseg.metrics.Measure, a Keras optimiser,
        which brings its own learning rate.
      augment: augmentations (kseg.pipeline.Augmentation) in place of the recipe's. A run with objects goes on only
        with the same objects.

    Raises:
      ConfigError: a name, a field or an object is wrong, the run was begun with another configuration or other
        objects, or another process trains it.
      DataError: something is wrong with the data set; nothing was written.
      SizeError: the crop does not fit the network.
      WeightsError: the named checkpoint is damaged.
      TrainingDiverged: gradients stayed NaN or infinite.
      Interrupted: Ctrl-C or SIGTERM; the state was saved.
      EnvironmentFailure: another worker was lost.
    """
    objects = {"model": model, "loss": loss, "measure": measure, "optimizer": optimizer}
    named = {NAMED[what]: value for what, value in objects.items() if isinstance(value, str)}
    objects = {what: value for what, value in objects.items() if not isinstance(value, str)}
    try:
        _check_surroundings(run)
        given = Given(data=data or {}, augment=augment, **objects)  # type: ignore[arg-type]
        with StopSignal():
            prepared, folder, recorded = begin(recipe, data_dir, run, {**(settings or {}), **named}, resume, given)
            callbacks = tf.nest.flatten(callbacks)  # a single callback may stand alone
            if given.optimizer is None:
                check_callbacks(callbacks, prepared.recipe.optimizer)
            devices = Devices.of(strategy) if strategy else Devices.at_hand(prepared.recipe.data.batch_size)
            in_folds = prepared.recipe.is_in_folds
            if in_folds:
                check_one_worker(prepared.recipe, devices)
            if recorded is None:
                prepared = timed_in_folds(prepared, devices) if in_folds else timed(prepared, devices)
        with (
            StopSignal() as stop,  # again, since TensorFlow's workers have taken SIGTERM
            _new_folder(prepared.recipe.name) if folder is None else nullcontext(folder) as folder,
        ):
            stages = stages_of(prepared, folder, recorded)
            if in_folds:
                with _going_on(stages[-1].folder):
                    report: Report | None = run_folds(stages[-1], devices, stop, callbacks)
            elif resume == "auto" and stages[-1].is_finished:
                LOG.info("%s: this run is finished; its best network is scored again.", folder)
                scored = devices.worker == 0
                report = evaluate(load(folder), prepared.scored, measures=prepared.scored_by) if scored else None
            else:
                checkpoint = None if resume in ("auto", "never") else Path(resume)
                report = _run_stages(stages, devices, stop, callbacks, checkpoint)
            return Run(folder, report, prepared.recipe)
    except KsegError as error:
        error.spelling = _as_argument
        raise


def _as_argument(setting: Setting) -> str:
    """How an error writes a setting for the caller of `train`."""
    if setting.name in (*ARGUMENTS, *NAMED.values()):
        return str(setting)
    value = "..." if setting.value is ... else repr(setting.value)
    return f'settings={{"{setting.name}": {value}}}'


def _check_surroundings(run: str | Path | None) -> None:
    """Raises ConfigError where kseg can't train."""
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            f"kseg.train needs TensorFlow, but Keras computes with {keras.backend.backend()} here.",
            "Set KERAS_BACKEND=tensorflow, or train the network of kseg.build with a plain fit.",
        )
    if run is None and workers_named() > 1:
        raise ConfigError(
            f"{workers_named()} workers train together, but the run folder is not named.",
            *("Name a folder that they share: ", Setting("run", "DIR"), "."),
        )


def _run_stages(
    stages: Sequence[Stage],
    devices: Devices,
    stop: StopSignal,
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoint: Path | None,
) -> Report | None:
    """The report of the last stage, after all stages that are not finished yet."""
    *before, whole = stages
    try:
        with _going_on(whole.folder):
            if not all(stage.is_finished for stage in before):
                check_networks([*(stage for stage in before if not stage.is_finished), whole], devices)
            for number, stage in enumerate(before, start=1):
                if not stage.is_finished:
                    _announce(number, stages)
                    run_stage(stage, whole, devices, stop, callbacks)
            if before:
                _announce(len(stages), stages)
            return run_stage(whole, whole, devices, stop, callbacks, checkpoint)
    except LOST as error:
        if devices.workers == 1:
            raise
        raise _lost(error, stages) from error


@contextmanager
def _going_on(folder: Path) -> Iterator[None]:
    """Inside, an interruption names the run folder, if it has its configuration, from which the training goes on."""
    try:
        yield
    except Interrupted as error:
        if not (folder / "config.json").is_file():
            raise
        raise Interrupted(error.what, f"kseg.train(run={str(folder)!r}) goes on.", folder=folder) from error


def _announce(number: int, stages: Sequence[Stage]) -> None:
    recipe = stages[number - 1].prepared.recipe
    LOG.info("stage %d of %d: %s, learning rate %g", number, len(stages), recipe.name, recipe.optimizer.learning_rate)


@contextmanager
def _new_folder(name: str) -> Iterator[Path]:
    """A new run folder of this process alone. It is removed again if it stays empty."""
    number = 1
    while True:
        folder = Path("runs") / f"{name}-{number}"
        try:
            with writing(folder):
                folder.parent.mkdir(exist_ok=True)
            folder.mkdir()
            break
        except FileExistsError:
            number += 1
    try:
        yield folder
    finally:
        with suppress(OSError):  # a folder that holds something is not removed
            folder.rmdir()
            folder.parent.rmdir()


def _lost(error: tf.errors.OpError, stages: Sequence[Stage]) -> EnvironmentFailure:
    """The error for a training whose other worker is gone."""
    newest = (newest_of(stage.folder / "checkpoints") for stage in reversed(stages))
    saved = next((path for path in newest if path), None)
    return EnvironmentFailure(
        f"A worker of this training was lost ({in_a_line(error.message)}). "
        + (f"{saved} is the newest checkpoint." if saved else "No checkpoint was made yet."),
        "Start all workers again, with the same commands: they go on from there.",
    )
