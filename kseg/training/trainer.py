"""From a recipe to a run folder: what `train` does."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import keras
import tensorflow as tf

from kseg.callbacks import KeepBest, MetricsLog, Progress, Samples, Validate, save_network, write_samples
from kseg.errors import Interrupted, TrainingDiverged
from kseg.inference import Report, evaluate, load
from kseg.storage import write_json, writing
from kseg.training import recipes
from kseg.training.checkpoint import Keeper, newest_whole, read_checkpoint, sweep
from kseg.training.loop import run_steps, settled_precision, step_of
from kseg.training.preparation import Prepared, prepare
from kseg.training.recipe import RECIPES, Recipe
from kseg.training.run import check_same, open_run
from kseg.training.stopping import StopSignal

__all__ = ["Rehearsal", "Run", "default_recipe", "recipes", "rehearse", "train"]


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, and the scores of its best network on the held-out split."""

    folder: Path
    report: Report

    @property
    def model(self) -> keras.Model:
        """The best network by the recipe's measure on `val`."""
        return load(self.folder)


def train(
    recipe: str | Recipe | None = None,
    *,
    data_dir: str | Path | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: str | Path = "auto",
) -> Run:
    """Trains a network, scores it on the held-out split, and writes the run folder; goes on where one was broken.

    A deterministic recipe makes all of TensorFlow so, for as long as the process lives.

    Args:
      recipe: a registered name (`kseg models list`), or a recipe; None for the data set's, or the demo. Without
        recipe and settings a run that exists goes on as it began.
      data_dir: where the data set lies; the demo needs none.
      run: the folder; None for runs/RECIPE-N with the next free N. One that exists goes on from its newest whole
        checkpoint.
      settings: fields to replace, by dotted name: {"optimizer.learning_rate": 1e-4}.
      resume: "auto"; "never" refuses a folder that exists; or the folder of the checkpoint to go on from.

    Raises:
      ConfigError: a name, a field, or a run that was begun with another configuration.
      DataError: the data set, as far as it is at fault; nothing was written then.
      SizeError: the crop does not fit the network.
      WeightsError: the checkpoint that was named is damaged.
      TrainingDiverged: a loss that is no number.
      Interrupted: Ctrl-C or SIGTERM; the state was saved.
    """
    prepared, folder, exists = _begin(recipe, data_dir, run, settings, resume)
    chosen = prepared.recipe
    if folder and resume == "auto" and (folder / "report.json").is_file():
        click.echo(f"{folder}: this run is finished; its best network is scored again.", err=True)
        return Run(folder, evaluate(load(folder), prepared.scored, average=chosen.average))
    model = prepared.network()
    folder = folder or _next_folder(chosen.name)
    if not exists:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=run is not None)
        write_json(folder / "config.json", prepared.config())
    click.echo(f"network: {chosen.model.name}, {model.count_params():,} parameters; run folder: {folder}", err=True)
    try:
        return _carry_out(prepared, model, folder, None if resume in ("auto", "never") else Path(resume))
    except Interrupted as error:
        raise Interrupted(f"{error} kseg.train(run={str(folder)!r}) goes on.", folder) from error


@dataclass(frozen=True)
class Rehearsal:
    """What a training would take; prints itself.

    Attributes:
      network: its name.
      parameters: of the network.
      precision: what it would compute in.
      memory_bytes: the most that was in use, on the GPU where there is one.
      step_s: seconds of a step, waiting for its batch included.
      steps: of the whole training.
    """

    network: str
    parameters: int
    precision: str
    memory_bytes: int
    step_s: float
    steps: int

    def __str__(self) -> str:
        return (
            f"network: {self.network}, {self.parameters:,} parameters, {self.precision}\n"
            f"memory: {self.memory_bytes / 2**30:.1f} GiB at most\n"
            f"time: {self.step_s:.2f} s a step, {self.step_s * self.steps / 60:.1f} min for {self.steps} steps; "
            "validation comes on top"
        )


def rehearse(
    recipe: str | Recipe | None = None,
    *,
    data_dir: str | Path | None = None,
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: str | Path = "auto",
) -> Rehearsal:
    """What `train` with the same arguments would take, from a step that is timed after one that is not; writes nothing.

    Raises:
      KsegError: as `train`.
    """
    prepared, _, _ = _begin(recipe, data_dir, run, settings, resume)
    model = prepared.network()
    step, batches = step_of(model), iter(prepared.batches(model))
    step(*next(batches))  # traces and compiles
    started = time.monotonic()
    float(step(*next(batches)))
    return Rehearsal(
        prepared.recipe.model.name,
        model.count_params(),
        prepared.recipe.precision,
        _most_memory(),
        time.monotonic() - started,
        prepared.steps,
    )


def _most_memory() -> int:
    """The most bytes that were in use so far: of the GPU where there is one, else of this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _begin(
    recipe: str | Recipe | None,
    data_dir: str | Path | None,
    run: str | Path | None,
    settings: Mapping[str, Any] | None,
    resume: str | Path,
) -> tuple[Prepared, Path | None, bool]:
    """The recipe met with its data; the run folder that was named, and whether it holds a run already."""
    folder, recorded = open_run(run, resume)
    chosen = _settled(recipe, settings or {}, recorded)
    if chosen.deterministic:
        tf.config.experimental.enable_op_determinism()
    prepared = prepare(chosen, data_dir or (recorded or {}).get("data_dir"))
    if folder and recorded:
        check_same(folder, recorded, prepared.config())
    return prepared, folder, recorded is not None


def _settled(recipe: str | Recipe | None, settings: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> Recipe:
    """The recipe with its settings, in the precision of the run that goes on, else the one this device is for."""
    began = Recipe.from_json(recorded["recipe"]) if recorded else None
    if recipe is None and not settings and began:
        return began
    name = recipe or default_recipe(settings.get("data.name"))
    chosen = (RECIPES.get(name)() if isinstance(name, str) else name).with_settings(settings)
    if chosen.precision == "auto" and began:
        return chosen.with_settings({"precision": began.precision})
    return chosen.with_settings({"precision": settled_precision(chosen)})


def default_recipe(dataset: str | None) -> str:
    """The recipe for a data set whose training was asked for by its name alone."""
    own = {"isbi2012": "isbi2012-unet", "ctc": "ctc-unet", "camvid": "camvid-fcn8s"}
    return "demo" if dataset in (None, "demo") else own.get(dataset, "own-unet")


def _next_folder(name: str) -> Path:
    """The folder of a new run."""
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder


def _carry_out(prepared: Prepared, model: keras.Model, folder: Path, checkpoint: Path | None) -> Run:
    """The steps that are left, from `checkpoint` or the newest that is whole, and the report."""
    recipe, log = prepared.recipe, MetricsLog(folder)
    callbacks = [
        Validate(prepared.parts["val"], [recipe.measure] if recipe.measure == "v_rand" else []),
        KeepBest(folder / "model.keras", monitor=f"val_{recipe.measure}"),
        Samples(prepared.parts["val"], folder / "samples"),
        log,
        keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False),
        Progress(prepared.steps),
    ]
    with StopSignal() as stop:
        keeper = Keeper(folder, recipe.checkpoint, model, callbacks, stop)
        saved = read_checkpoint(checkpoint) if checkpoint else newest_whole(folder / "checkpoints")
        sweep(folder)
        if saved:
            keeper.restore(saved)
            click.echo(f"going on after step {saved.place.step} of {prepared.steps}: {saved.path}", err=True)
        (folder / "report.json").unlink(missing_ok=True)
        stream = prepared.batches(model, keeper.place.step)
        lengths = {"steps": prepared.steps, "epoch_steps": prepared.epoch_steps}
        try:
            run_steps(model, stream, **lengths, callbacks=callbacks, keeper=keeper)
        except TrainingDiverged as error:
            names = ", ".join(prepared.batch_names(keeper.place.step))
            raise TrainingDiverged(f"{error} That batch held {names}.") from error
        stop.wait_no_longer()
        save_network(model, folder / "last.keras")
        return Run(folder, _report(prepared, folder, log))


def _report(prepared: Prepared, folder: Path, log: MetricsLog) -> Report:
    """The scores of the best network on the held-out split, written as report.json, and pictures of it."""
    best = load(folder)
    report = evaluate(best, prepared.scored, average=prepared.recipe.average)
    write_samples(best, prepared.scored, folder / "samples")
    seconds = round(log.seconds)
    write_json(folder / "report.json", {**report.to_json(), "recipe": prepared.recipe.name, "seconds": seconds})
    return report
