"""From a recipe to a run folder: what `train` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import keras
import tensorflow as tf

from kseg.callbacks import (
    EventFiles,
    KeepBest,
    MetricsLog,
    Progress,
    Samples,
    SharedPredictor,
    Validate,
    Watch,
    save_network,
    write_samples,
)
from kseg.errors import ConfigError, EnvironmentFailure, Interrupted
from kseg.inference import Report, evaluate, load
from kseg.storage import write_json, writing
from kseg.training.begin import begin
from kseg.training.card import write_card
from kseg.training.checkpoint import Keeper, newest_whole, read_checkpoint, sweep
from kseg.training.devices import LOST, SharedStop, strategy_at_hand, worker_of, workers_named
from kseg.training.loop import averaged, run_steps
from kseg.training.page import write_page
from kseg.training.preparation import Prepared
from kseg.training.recipe import Recipe
from kseg.training.result import Result
from kseg.training.run import alone
from kseg.training.stages import Stage, stages_of
from kseg.training.stopping import StopSignal


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, and the scores of its network on the held-out split; None on a second worker."""

    folder: Path
    report: Report | None

    @property
    def model(self) -> keras.Model:
        """The best network by the recipe's measure on `val`, the last where there is none."""
        return load(self.folder)


def train(
    recipe: str | Recipe | None = None,
    *,
    data_dir: str | Path | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: str | Path = "auto",
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
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
      strategy: the devices; None for all workers that TF_CONFIG names, else all GPUs of this machine.
      callbacks: Keras callbacks beside kseg's own, after them; on the first worker only.

    Raises:
      ConfigError: a name, a field, a run that was begun with another configuration, or one that another process trains.
      DataError: the data set, as far as it is at fault; nothing was written then.
      SizeError: the crop does not fit the network.
      WeightsError: the checkpoint that was named is damaged.
      TrainingDiverged: gradients that stayed no numbers.
      Interrupted: Ctrl-C or SIGTERM; the state was saved.
      EnvironmentFailure: another worker was lost.
    """
    if run is None and workers_named() > 1:
        raise ConfigError(f"{workers_named()} workers train together: name the folder they share, --run DIR.")
    prepared, folder = begin(recipe, data_dir, run, settings, resume)
    strategy = strategy or strategy_at_hand(prepared.recipe.data.batch_size)
    worker, _ = worker_of(strategy)
    if folder and resume == "auto" and (folder / "report.json").is_file():
        click.echo(f"{folder}: this run is finished; its best network is scored again.", err=True)
        return Run(folder, evaluate(load(folder), prepared.scored, average=prepared.recipe.average))
    folder = folder or _next_folder(prepared.recipe.name)
    checkpoint = None if resume in ("auto", "never") else Path(resume)
    stages = stages_of(prepared, folder)
    try:
        for number, stage in enumerate(stages, start=1):
            if stage.is_finished and number < len(stages):
                continue
            if len(stages) > 1:
                click.echo(f"stage {number} of {len(stages)}: {stage.prepared.recipe.name}", err=True)
            with strategy.scope():
                model = stage.prepared.network(stage.start)
            if worker == 0:
                for each in (stages[-1], stage):
                    _write_config(each)
            count = f"{model.count_params():,} parameters"
            click.echo(f"network: {stage.prepared.recipe.model.name}, {count}; run folder: {stage.folder}", err=True)
            with alone(stage.folder) if worker == 0 else nullcontext():
                seconds = _carry_out(stage, model, strategy, callbacks, checkpoint if number == len(stages) else None)
                report = _report(stage, seconds) if worker == 0 else None
    except Interrupted as error:
        raise Interrupted(f"{error} kseg.train(run={str(folder)!r}) goes on.", folder) from error
    return Run(folder, report)


def _next_folder(name: str) -> Path:
    """The folder of a new run."""
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder


def _write_config(stage: Stage) -> None:
    """The run folder with its configuration, where they are not there yet."""
    if not (stage.folder / "config.json").is_file():
        with writing(stage.folder):
            stage.folder.mkdir(parents=True, exist_ok=True)
        write_json(stage.folder / "config.json", stage.prepared.config())


def _carry_out(
    stage: Stage,
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    others: Sequence[keras.callbacks.Callback],
    checkpoint: Path | None,
) -> float:
    """Does the steps that are left, from `checkpoint` or the newest that is whole; returns the seconds of them all."""
    prepared, folder = stage.prepared, stage.folder
    worker, workers = worker_of(strategy)
    log = MetricsLog(folder)
    callbacks = [*_callbacks(prepared, folder, log), *others] if worker == 0 else []
    with StopSignal() as stop:
        shared_stop = SharedStop(stop, strategy) if workers > 1 else stop
        keeper = Keeper(folder, prepared.recipe.checkpoint, model, callbacks, shared_stop, writes=worker == 0)
        saved = read_checkpoint(checkpoint) if checkpoint else newest_whole(folder / "checkpoints")
        if saved:
            keeper.restore(saved)
            click.echo(f"going on after step {saved.place.step} of {prepared.steps}: {saved.path}", err=True)
        if worker == 0:
            sweep(folder)
            (folder / "report.json").unlink(missing_ok=True)
        try:
            run_steps(
                model,
                prepared.batches(model, keeper.place.step, worker, workers),
                steps=prepared.steps,
                epoch_steps=prepared.epoch_steps,
                callbacks=callbacks,
                keeper=keeper,
                skip=prepared.recipe.optimizer.skip,
                names=prepared.batch_names,
                strategy=strategy,
            )
        except LOST as error:
            if workers == 1:
                raise
            raise _lost(error, folder) from error
        stop.wait_no_longer()
    if worker == 0:
        with averaged(model):
            save_network(model, folder / "last.keras")
            if "val" not in prepared.parts:
                save_network(model, folder / "model.keras")
    return log.seconds


def _callbacks(prepared: Prepared, folder: Path, log: MetricsLog) -> list[keras.callbacks.Callback]:
    """What a run folder is filled by."""
    recipe, shared = prepared.recipe, SharedPredictor()
    samples = Samples(prepared.looked_at, folder / "samples", shared=shared)
    judge: Validate | Samples = samples
    chosen: list[keras.callbacks.Callback] = []
    if "val" in prepared.parts:
        measures = [recipe.measure] if recipe.measure == "v_rand" else []
        judge = Validate(prepared.parts["val"], measures, shared=shared)
        chosen += [judge, KeepBest(folder / "model.keras", monitor=f"val_{recipe.measure}")]
    return [
        *chosen,
        samples,
        log,
        EventFiles(folder / "tensorboard", samples),
        Watch(judge, folder / "warnings.txt", steps=prepared.steps),
        Progress(prepared.steps, epoch_steps=prepared.epoch_steps, batch_size=recipe.data.batch_size),
    ]


def _lost(error: tf.errors.OpError, folder: Path) -> EnvironmentFailure:
    """What to say where another worker is gone."""
    saved = sorted((folder / "checkpoints").glob("step-*"))
    return EnvironmentFailure(
        f"A worker of this training was lost ({error.message.strip().splitlines()[-1][:160]}). "
        + (f"{saved[-1]} is the newest checkpoint. " if saved else "No checkpoint was made yet. ")
        + "Start all workers again, with the same commands: they go on from there."
    )


def _report(stage: Stage, seconds: float) -> Report:
    """The scores of the best network on the held-out split, written as report.json, page and card, with pictures."""
    prepared, folder = stage.prepared, stage.folder
    best: Any = load(folder)
    report = evaluate(best, prepared.scored, average=prepared.recipe.average)
    result = Result(prepared, folder, report, best.count_params(), seconds)
    places = sorted({*result.worst, *result.spread})
    write_samples(best, prepared.scored, folder / "samples", places, prepared.recipe.average)
    write_card(result)
    write_page(result)
    # Last: where it is, the run is finished.
    write_json(folder / "report.json", {**report.to_json(), "recipe": prepared.recipe.name, "seconds": round(seconds)})
    return report
