"""One stage of a training: its network, the steps that are left, the files of its run folder, its report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kseg.callbacks import (
    EventFiles,
    KeepBest,
    MetricsLog,
    Progress,
    Samples,
    Validate,
    Watch,
)
from kseg.errors import ConfigError, EnvironmentFailure, Setting
from kseg.folders import read_config
from kseg.inference import load
from kseg.inference.in_training import SharedPredictor, save_network
from kseg.layers import readings_of, with_reading
from kseg.log import LOG
from kseg.reports import Report, evaluate
from kseg.reports.card import write_card
from kseg.reports.choice import choose_readings
from kseg.reports.page import write_page
from kseg.reports.result import Result, read_rows, read_warnings
from kseg.runs.config import alone
from kseg.runs.stages import Stage
from kseg.storage import write_json, writing
from kseg.strips import write_strips
from kseg.training.checkpoint import Checkpoint, Keeper, newest_of, newest_whole, read_checkpoint, sweep
from kseg.training.devices import Devices, SharedStop, mean_over_workers
from kseg.training.loop import Plan, run_steps
from kseg.training.step import with_average_weights
from kseg.training.stopping import StopSignal


def run_stage(
    stage: Stage,
    whole: Stage,
    devices: Devices,
    stop: StopSignal,
    others: Sequence[keras.callbacks.Callback] = (),
    checkpoint: Path | None = None,
) -> Report | None:
    """Does the steps that are left, and reports; on another worker than the first it does the steps alone.

    Args:
      stage: the stage.
      whole: the last of the stages, whose folder must exist from the first step on.
      devices: those that train.
      stop: tells when to save and end.
      others: callbacks beside those that fill the run folder.
      checkpoint: the one to go on from; None for the newest whole one.

    Returns:
      The scores on the held-out split; None on another worker.
    """
    folder, newest = stage.folder, newest_of(stage.folder / "checkpoints")
    saved = read_checkpoint(checkpoint) if checkpoint else newest_whole(folder / "checkpoints")
    if devices.workers > 1:
        _check_together(stage, saved, devices)
    if devices.worker == 0 and saved is None and stage.recorded:
        LOG.info("%s: there is no whole checkpoint, so the training begins at the first step.", folder)
    model = stage.prepared.network(devices, "none" if saved else stage.start)
    if devices.worker:
        _steps(stage, model, devices, stop, [], saved)
        return None
    for each in (whole, stage):
        _begin_folder(each, devices)
    LOG.info("network: %s, %s parameters; run folder: %s", model.name, f"{model.count_params():,}", folder)
    with alone(folder):
        if newest_of(folder / "checkpoints") != newest:
            raise ConfigError(f"{folder}: another process has trained there meanwhile.", "Start this one again.")
        for each in (whole, stage):
            _note_more_steps(each)
        callbacks, log, events = _callbacks(stage)
        _steps(stage, model, devices, stop, [*callbacks, *others], saved)
        with with_average_weights(model):
            save_network(model, folder / "last.keras")
            if "val" not in stage.prepared.parts:
                save_network(model, folder / "model.keras")
        return _report(stage, log.seconds, events)


def _check_together(stage: Stage, saved: Checkpoint | None, devices: Devices) -> None:
    """Checks that all workers do the same training, and go on from the same step.

    Raises:
      ConfigError: they were started with other settings or data.
      EnvironmentFailure: they find other checkpoints.
    """
    mean, config = mean_over_workers(devices), stage.prepared.config
    same = json.dumps([config["recipe"], config["classes"], config["fingerprint"]], sort_keys=True)
    number = float(int(hashlib.sha256(same.encode()).hexdigest()[:8], 16))  # whose sum a float64 holds exactly
    if mean(number) != number:
        raise ConfigError(
            f"{stage.folder}: the workers were started with different settings or data.",
            "Start all with the same command.",
        )
    step = saved.position.step if saved else 0
    if step != mean(float(step)):
        raise EnvironmentFailure(
            f"{stage.folder}: worker {devices.worker} finds {f'step {step}' if step else 'no checkpoint'} there, "
            "another worker does not.",
            *("Name a folder that all workers share (", Setting("run", "DIR"), "), and start them all again."),
        )


def _begin_folder(stage: Stage, devices: Devices) -> None:
    """Makes the run folder with its configuration, if it is not there yet."""
    if read_config(stage.folder):
        return
    with writing(stage.folder):
        stage.folder.mkdir(parents=True, exist_ok=True)
    config = {**stage.prepared.config, "compiled": stage.prepared.is_compiled(devices)}
    write_json(stage.folder / "config.json", config)


def _note_more_steps(stage: Stage) -> None:
    """Writes into config.json that more steps are asked for than the run was begun with."""
    if stage.is_longer:
        with writing(stage.folder):
            (stage.folder / "report.json").unlink(missing_ok=True)
        write_json(stage.folder / "config.json", {**(stage.recorded or {}), "recipe": stage.prepared.config["recipe"]})


def _steps(
    stage: Stage,
    model: keras.Model,
    devices: Devices,
    stop: StopSignal,
    callbacks: Sequence[keras.callbacks.Callback],
    saved: Checkpoint | None,
) -> None:
    """Does the steps that follow the checkpoint."""
    prepared, folder = stage.prepared, stage.folder
    stops = SharedStop(stop, devices) if devices.workers > 1 else stop
    keeper = Keeper(folder, prepared.recipe.checkpoint, model, callbacks, stops, writes=devices.worker == 0)
    if saved:
        keeper.restore(saved)
    if devices.worker == 0:
        sweep(folder)
        (folder / "report.json").unlink(missing_ok=True)
        if saved:
            LOG.info("going on after step %d of %d: %s", saved.position.step, prepared.steps, saved.path)
    plan = Plan(
        prepared.steps,
        prepared.epoch_steps,
        prepared.recipe.optimizer.skip,
        lambda step: prepared.batch_names(step)[devices.worker :: devices.workers],
        prepared.is_compiled(devices),
    )
    batches = prepared.batches(model, devices, keeper.position.step)
    with stop.noting():
        run_steps(model, batches, plan, callbacks=callbacks, keeper=keeper, devices=devices)


def _callbacks(stage: Stage) -> tuple[list[keras.callbacks.Callback], MetricsLog, EventFiles]:
    """The callbacks that fill the run folder, and the two of them that the report needs."""
    prepared, folder, shared = stage.prepared, stage.folder, SharedPredictor()
    recipe, measure = prepared.recipe, prepared.measure
    samples = Samples(prepared.looked_at, folder / "samples", shared=shared)
    judge: Validate | Samples = samples
    chosen: list[keras.callbacks.Callback] = []
    if "val" in prepared.parts:
        judge = Validate(prepared.parts["val"], [measure], shared=shared)
        chosen += [judge, KeepBest(folder / "model.keras", measure)]
    log, events = MetricsLog(folder, [measure]), EventFiles(folder / "tensorboard", samples)
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
        Progress(prepared.steps, measure, epoch_steps=prepared.epoch_steps, batch_size=recipe.data.batch_size),
    ]
    return chosen, log, events


def _report(stage: Stage, seconds: float, events: EventFiles) -> Report:
    """The scores of the best network on the held-out split, written as report.json, page and card, with pictures."""
    prepared, folder = stage.prepared, stage.folder
    best: Any = load(folder)
    if "val" in prepared.parts and (readings := choose_readings(best, prepared.parts["val"], prepared.measure)):
        best = with_reading(best, readings)
        save_network(best, folder / "model.keras")
    report = evaluate(best, prepared.scored, measures=prepared.scored_by)
    given = prepared.given.model
    result = Result(
        folder=folder,
        recipe=prepared.recipe,
        parts=prepared.parts,
        surveys=prepared.surveys,
        measure=prepared.measure,
        steps=prepared.steps,
        report=report,
        network_name=prepared.recipe.model.name if given is None else given.name,
        parameters=best.count_params(),
        readings=readings_of(best),
        seconds=seconds,
        rows=read_rows(folder),
        warnings=read_warnings(folder),
        config=read_config(folder) or {},
    )
    shown = sorted({*result.worst, *result.spread})
    events.finish(write_strips(best, prepared.scored, folder / "samples", shown)[0])
    write_card(result)
    write_page(result)
    # The last file: a run folder that has it is finished.
    of_training = {"recipe": prepared.recipe.name, "seconds": round(seconds), "warnings": list(result.warnings)}
    write_json(folder / "report.json", {**report.to_json(), **of_training})
    return report
