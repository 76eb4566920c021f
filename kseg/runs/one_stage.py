"""One stage's course: its network, the steps that are left, the run folder it fills, its report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
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
from kseg.errors import ConfigError, EnvironmentFailure
from kseg.inference import load
from kseg.layers import readings_of, with_reading
from kseg.preparation.prepared import Prepared
from kseg.reports import Report, evaluate
from kseg.reports.card import write_card
from kseg.reports.choice import THRESHOLDS, choose_objects
from kseg.reports.page import write_page
from kseg.reports.report import OF_OBJECTS
from kseg.reports.result import Result
from kseg.runs.config import alone, is_longer, read_config
from kseg.runs.stages import Stage
from kseg.storage import write_json, writing
from kseg.training.checkpoint import Checkpoint, Keeper, newest_of, newest_whole, read_checkpoint, sweep
from kseg.training.devices import SharedStop, mean_over_workers, worker_of
from kseg.training.loop import run_steps
from kseg.training.step import averaged
from kseg.training.stopping import StopSignal


def run_stage(
    stage: Stage,
    whole: Stage,
    strategy: tf.distribute.Strategy,
    stop: StopSignal,
    others: Sequence[keras.callbacks.Callback] = (),
    checkpoint: Path | None = None,
) -> Report | None:
    """Does the steps that are left and reports; on another worker than the first only the steps.

    Args:
      stage: which.
      whole: the last of the stages, whose folder must be there from the first step on.
      strategy: the devices.
      stop: says when to save and end.
      others: callbacks beside those that fill the run folder.
      checkpoint: what to go on from; None for the newest that is whole.

    Returns:
      The scores on the held-out split; None on another worker.
    """
    prepared, (worker, _) = stage.prepared, worker_of(strategy)
    newest = newest_of(stage.folder / "checkpoints")
    saved = read_checkpoint(checkpoint) if checkpoint else newest_whole(stage.folder / "checkpoints")
    _check_together(prepared, saved, strategy, stage.folder)
    if worker == 0 and saved is None and (stage.folder / "config.json").is_file():
        click.echo(f"{stage.folder}: no whole checkpoint is there; this begins from the first step.", err=True)
    with strategy.scope():
        model = prepared.network("none" if saved else stage.start)
    if worker:
        _steps(stage, model, strategy, stop, [], saved)
        return None
    for each in (whole, stage):
        _begin_folder(each)
    click.echo(
        f"network: {model.name}, {model.count_params():,} parameters; run folder: {stage.folder}",
        err=True,
    )
    with alone(stage.folder):
        if newest_of(stage.folder / "checkpoints") != newest:
            raise ConfigError(f"{stage.folder}: another process has trained there since. Start this one again.")
        for each in (whole, stage):
            _note_more_steps(each)
        callbacks, log, events = _callbacks(stage)
        _steps(stage, model, strategy, stop, [*callbacks, *others], saved)
        with averaged(model):
            save_network(model, stage.folder / "last.keras")
            if "val" not in prepared.parts:
                save_network(model, stage.folder / "model.keras")
        return _report(stage, log.seconds, events)


def _check_together(
    prepared: Prepared, saved: Checkpoint | None, strategy: tf.distribute.Strategy, folder: Path
) -> None:
    """Whether all workers do the same training, and go on from the same step.

    Raises:
      ConfigError: they were started with other settings or data.
      EnvironmentFailure: they find other checkpoints.
    """
    worker, workers = worker_of(strategy)
    if workers == 1:
        return
    mean = mean_over_workers(strategy)
    config = prepared.config()
    same = json.dumps([config["recipe"], config["classes"], config["fingerprint"]], sort_keys=True)
    number = float(int(hashlib.sha256(same.encode()).hexdigest()[:8], 16))  # whose sum a float64 holds exactly
    if mean(number) != number:
        raise ConfigError(
            f"{folder}: the workers were started with different settings or data. Start all with the same command."
        )
    step = saved.place.step if saved else 0
    if step != mean(float(step)):
        raise EnvironmentFailure(
            f"{folder}: worker {worker} finds {f'step {step}' if step else 'no checkpoint'} there, another does not. "
            "Name a --run folder that all workers share, and start them all again."
        )


def _begin_folder(stage: Stage) -> None:
    """Makes the run folder with its configuration, where it is not there yet."""
    if read_config(stage.folder):
        return
    with writing(stage.folder):
        stage.folder.mkdir(parents=True, exist_ok=True)
    write_json(stage.folder / "config.json", stage.prepared.config())


def _note_more_steps(stage: Stage) -> None:
    """Writes down that more steps are asked for than the run was begun with."""
    recorded, config = read_config(stage.folder), stage.prepared.config()
    if recorded and is_longer(recorded, config):
        with writing(stage.folder):
            (stage.folder / "report.json").unlink(missing_ok=True)
        write_json(stage.folder / "config.json", {**recorded, "recipe": config["recipe"]})


def _steps(
    stage: Stage,
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    stop: StopSignal,
    callbacks: Sequence[keras.callbacks.Callback],
    saved: Checkpoint | None,
) -> None:
    """The steps from `saved` on."""
    prepared, folder, (worker, workers) = stage.prepared, stage.folder, worker_of(strategy)
    shared_stop = SharedStop(stop, strategy) if workers > 1 else stop
    keeper = Keeper(folder, prepared.recipe.checkpoint, model, callbacks, shared_stop, writes=worker == 0)
    if saved:
        keeper.restore(saved)
    if worker == 0:
        sweep(folder)
        (folder / "report.json").unlink(missing_ok=True)
        if saved:
            click.echo(f"going on after step {saved.place.step} of {prepared.steps}: {saved.path}", err=True)
    with stop.noting():
        run_steps(
            model,
            prepared.batches(model, keeper.place.step, worker, workers),
            steps=prepared.steps,
            epoch_steps=prepared.epoch_steps,
            callbacks=callbacks,
            keeper=keeper,
            skip=prepared.recipe.optimizer.skip,
            names=lambda step: prepared.batch_names(step)[worker::workers],
            strategy=strategy,
        )


def _callbacks(stage: Stage) -> tuple[list[keras.callbacks.Callback], MetricsLog, EventFiles]:
    """What a run folder is filled by; two of them that the report needs, too."""
    prepared, folder, shared = stage.prepared, stage.folder, SharedPredictor()
    recipe = prepared.recipe
    samples = Samples(prepared.looked_at, folder / "samples", shared=shared)
    judge: Validate | Samples = samples
    chosen: list[keras.callbacks.Callback] = []
    if "val" in prepared.parts:
        judge = Validate(prepared.parts["val"], [prepared.measure], shared=shared)
        chosen += [judge, KeepBest(folder / "model.keras", prepared.measure)]
    log, events = MetricsLog(folder, [prepared.measure]), EventFiles(folder / "tensorboard", samples)
    chosen += [
        samples,
        log,
        events,
        Watch(
            judge,
            folder / "warnings.txt",
            steps=prepared.steps,
            continues=stage.start is not None,
            known=prepared.doubts,
        ),
        Progress(prepared.steps, prepared.measure, epoch_steps=prepared.epoch_steps, batch_size=recipe.data.batch_size),
    ]
    return chosen, log, events


def _report(stage: Stage, seconds: float, events: EventFiles) -> Report:
    """The scores of the best network on the held-out split, written as report.json, page and card, with pictures."""
    prepared, folder = stage.prepared, stage.folder
    best: Any = load(folder)
    _settle_reading(stage, best)
    report = evaluate(best, prepared.scored, measures=prepared.scored_by)
    result = Result(prepared, folder, report, best.count_params(), seconds, readings_of(best))
    places = sorted({*result.worst, *result.spread})
    events.finish(write_samples(best, prepared.scored, folder / "samples", places))
    write_card(result)
    write_page(result)
    # Last: where it is, the run is finished.
    of_training = {"recipe": prepared.recipe.name, "seconds": round(seconds), "warnings": result.warnings}
    write_json(folder / "report.json", {**report.to_json(), **of_training})
    return report


def _settle_reading(stage: Stage, best: keras.Model) -> None:
    """Gives the best network what it is read by best on val: a threshold, and what counts as an object.

    The threshold is that of the measure it was chosen by, where this has one. It is chosen together with the objects
    where the network was chosen by objects; else the mask stays as it was scored.
    """
    prepared = stage.prepared
    if "val" not in prepared.parts:
        return
    val, own = prepared.parts["val"], prepared.measure
    scores = evaluate(best, val, measures=[own])
    found: dict[str, Any] = {"threshold": scores.thresholds.get(own.name)}
    if val.has_instances:
        thresholds = THRESHOLDS if own.name in OF_OBJECTS else [found["threshold"]]
        if chosen := choose_objects(best, val, thresholds=thresholds):
            found |= {"threshold": chosen[0], **asdict(chosen[1])}
    if found != {"threshold": None}:
        readings = readings_of(best)
        first = next(iter(val.heads))  # the head that was scored
        readings[first] = replace(readings[first], **found)
        save_network(with_reading(best, readings), stage.folder / "model.keras")
