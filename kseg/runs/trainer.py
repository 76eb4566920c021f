"""From a recipe to a run folder: what `train` does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import click
import keras
import tensorflow as tf

from kseg import pages
from kseg.datasets import Dataset
from kseg.errors import ConfigError, EnvironmentFailure, Interrupted
from kseg.inference import load
from kseg.metrics import Measure
from kseg.preparation.given import Given
from kseg.preparation.prepared import Prepared
from kseg.recipes.recipe import Recipe
from kseg.recipes.specs import PublishedSpec
from kseg.reports import Report, evaluate
from kseg.runs.config import is_longer, read_config
from kseg.runs.one_stage import run_stage
from kseg.runs.stages import Stage, stages_of
from kseg.runs.start import begin
from kseg.storage import writing
from kseg.training.checkpoint import newest_of
from kseg.training.devices import LOST, strategy_at_hand, worker_of, workers_named
from kseg.training.optimizers import check_callbacks
from kseg.training.stopping import StopSignal

NAMED = {"model": "model.name", "loss": "loss.name", "measure": "measure", "optimizer": "optimizer.name"}


@dataclass(frozen=True, repr=False)
class Run:
    """A finished training; in a notebook it shows its scores and curves.

    Attributes:
      folder: its run folder.
      report: the scores of its network on the held-out split; None on a second worker.
      recipe: what was followed.
    """

    folder: Path
    report: Report | None
    recipe: Recipe

    @cached_property
    def model(self) -> keras.Model:
        """The best network by the recipe's measure on `val`, the last where there is none; read once."""
        return load(self.folder)

    @property
    def history(self) -> dict[str, list[float]]:
        """The figures of all epochs by name, as Keras' History has them; NaN where an epoch has no such figure."""
        path = self.folder / "metrics.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
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
        """What was published of this training on the split of the report."""
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
    """Trains a network, scores it on the held-out split, and writes the run folder; goes on where one was broken.

    The stages of a recipe come first, one after another, each a run of its own in the run folder's stages/.
    A deterministic recipe makes all of TensorFlow so, for as long as the process lives.

    Args:
      recipe: a registered name (`kseg models list`), or a recipe; None for the data set's, or the demo. Without
        recipe and settings a run that exists goes on as it began.
      data_dir: where the data set lies; the demo needs none.
      run: the folder; None for runs/RECIPE-N with the next free N. One that exists goes on from its newest whole
        checkpoint.
      settings: fields to replace, by dotted name: {"optimizer.learning_rate": 1e-4}.
      resume: "auto"; "never" refuses a folder that exists; or the folder of the checkpoint to go on from.
      strategy: the devices; None for all workers that TF_CONFIG names, else as many GPUs of this machine as a
        batch has images.
      callbacks: Keras callbacks beside kseg's own, after them; on the first worker only, but where they end the
        training or set its rate all follow at the epoch's end. Their numbers and words outlive a break, arrays do not
        (as EarlyStopping's best weights; the run's best network is in model.keras anyway).
      data: data sets of one's own: {"train": ..., "val": ...}, and "test" where there is one.
      model, loss, measure, optimizer: a registered name or an object: a functional network (which stays as it is), a
        kseg.objectives.BatchLoss or a Keras loss of scores before softmax, a kseg.metrics.Measure, a Keras optimiser,
        which brings its own learning rate.
      augment: augmentations (kseg.pipeline.Augmentation) in place of the recipe's. A run with objects goes on only
        with the same objects.

    Raises:
      ConfigError: a name, a field, an object of the wrong kind, a run that was begun with another configuration or
        other objects, or one that another process trains.
      DataError: the data set, as far as it is at fault; nothing was written then.
      SizeError: the crop does not fit the network.
      WeightsError: the checkpoint that was named is damaged.
      TrainingDiverged: gradients that stayed no numbers.
      Interrupted: Ctrl-C or SIGTERM; the state was saved.
      EnvironmentFailure: another worker was lost.
    """
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            f"kseg.train needs TensorFlow, but Keras computes with {keras.backend.backend()} here. Set "
            "KERAS_BACKEND=tensorflow, or train the network of kseg.build with a plain fit."
        )
    if run is None and workers_named() > 1:
        raise ConfigError(f"{workers_named()} workers train together: name the folder they share, --run DIR.")
    objects = {"model": model, "loss": loss, "measure": measure, "optimizer": optimizer}
    named = {NAMED[what]: value for what, value in objects.items() if isinstance(value, str)}
    objects = {what: value for what, value in objects.items() if not isinstance(value, str)}
    given = Given(data=data or {}, augment=augment, **objects)  # type: ignore[arg-type]
    with StopSignal():
        prepared, folder = begin(recipe, data_dir, run, {**(settings or {}), **named}, resume, given)
        callbacks = tf.nest.flatten(callbacks)  # one alone will do
        if given.optimizer is None:
            check_callbacks(callbacks, prepared.recipe.optimizer)
        strategy = strategy or strategy_at_hand(prepared.recipe.data.batch_size)
    with StopSignal() as stop:  # anew, since TensorFlow's workers take SIGTERM for themselves
        worker, workers = worker_of(strategy)
        if folder and resume == "auto" and _is_finished(folder, prepared):
            click.echo(f"{folder}: this run is finished; its best network is scored again.", err=True)
            scored = evaluate(load(folder), prepared.scored, measures=prepared.scored_by) if worker == 0 else None
            return Run(folder, scored, prepared.recipe)
        with _new_folder(prepared.recipe.name) if folder is None else nullcontext(folder) as folder:
            checkpoint = None if resume in ("auto", "never") else Path(resume)
            stages = stages_of(prepared, folder)
            try:
                report = _run_stages(stages, strategy, stop, callbacks, checkpoint)
                return Run(folder, report, prepared.recipe)
            except Interrupted as error:
                if not (folder / "config.json").is_file():
                    raise
                raise Interrupted(f"{error} kseg.train(run={str(folder)!r}) goes on.", folder=folder) from error
            except LOST as error:
                if workers == 1:
                    raise
                raise _lost(error, stages) from error


def _is_finished(folder: Path, prepared: Prepared) -> bool:
    """Whether the run in `folder` has its report, and its network, unless that can't be written again; and no more
    steps are asked for.
    """
    recorded, can_write = read_config(folder), newest_of(folder / "checkpoints") is not None
    if recorded and is_longer(recorded, prepared.config()):
        return False
    return (folder / "report.json").is_file() and ((folder / "model.keras").is_file() or not can_write)


def _run_stages(
    stages: Sequence[Stage],
    strategy: tf.distribute.Strategy,
    stop: StopSignal,
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoint: Path | None,
) -> Report | None:
    """The report of the last of the stages, after those that are not finished yet."""
    *before, whole = stages
    for number, stage in enumerate(before, start=1):
        if not stage.is_finished:
            _announce(number, stages)
            run_stage(stage, whole, strategy, stop, callbacks)
    if before:
        _announce(len(stages), stages)
    return run_stage(whole, whole, strategy, stop, callbacks, checkpoint)


def _announce(number: int, stages: Sequence[Stage]) -> None:
    recipe = stages[number - 1].prepared.recipe
    words = f"stage {number} of {len(stages)}: {recipe.name}, learning rate {recipe.optimizer.learning_rate:g}"
    click.echo(words, err=True)


@contextmanager
def _new_folder(name: str) -> Iterator[Path]:
    """The folder of a new run, nobody else's; gone again where nothing came into it."""
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
        with suppress(OSError):  # neither is removed that holds something
            folder.rmdir()
            folder.parent.rmdir()


def _lost(error: tf.errors.OpError, stages: Sequence[Stage]) -> EnvironmentFailure:
    """What to say where another worker is gone."""
    newest = (newest_of(stage.folder / "checkpoints") for stage in reversed(stages))
    saved = next((path for path in newest if path), None)
    reason = re.sub(r"\s*(\[\[.*?\]\]|\[Op:\w+\])", "", error.message).strip().splitlines() or [type(error).__name__]
    return EnvironmentFailure(
        f"A worker of this training was lost ({reason[0][:160]}). "
        + (f"{saved} is the newest checkpoint. " if saved else "No checkpoint was made yet. ")
        + "Start all workers again, with the same commands: they go on from there."
    )
