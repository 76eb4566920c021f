"""A cross-validation: a training for each fold, then one report and one network of all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import keras

from kseg.datasets import Dataset, survey
from kseg.datasets.agreement import check_parts_agree
from kseg.datasets.folds import Pool
from kseg.errors import ConfigError, Setting
from kseg.folders import FOLDS, read_config
from kseg.inference import load
from kseg.inference.ensemble import ensemble_of
from kseg.inference.in_training import save_network
from kseg.layers import readings_of
from kseg.log import LOG
from kseg.preparation.pace import timed
from kseg.preparation.prepared import Prepared
from kseg.recipes import Recipe
from kseg.reports import Report, evaluate
from kseg.reports.card import write_card
from kseg.reports.cross_validation import CrossValidation
from kseg.reports.page import write_page
from kseg.reports.result import Result, read_warnings
from kseg.runs.config import alone, check_same
from kseg.runs.one_stage import run_stage
from kseg.runs.stages import Stage
from kseg.storage import write_json, write_text
from kseg.strips import write_strips
from kseg.training.devices import Devices
from kseg.training.stopping import StopSignal


def fold_of(whole: Prepared, fold: int) -> Prepared:
    """The training of a cross-validation that holds out a fold, 1 to `folds`."""
    recipe = whole.recipe
    minutes = recipe.minutes and recipe.minutes / _count(whole)
    parts: dict[str, Dataset] = dict(_pool(whole).without_fold(fold, _count(whole)))
    surveys = {use: survey(part) for use, part in parts.items()}
    if "test" in whole.parts:
        parts["test"], surveys["test"] = whole.parts["test"], whole.surveys["test"]
    check_parts_agree(parts, surveys)
    return replace(whole, recipe=replace(recipe, fold=fold, minutes=minutes), parts=parts, surveys=surveys)


def check_one_worker(recipe: Recipe, devices: Devices) -> None:
    """Raises ConfigError where several workers would train a cross-validation."""
    if devices.workers > 1:
        fix = "Give each worker a fold of its own instead of TF_CONFIG: ", Setting("fold", 1), ", and so on."
        raise ConfigError(f"folds is {recipe.folds}, but several workers train.", *fix)


def timed_in_folds(whole: Prepared, devices: Devices) -> Prepared:
    """The cross-validation with as many steps for each training as fit into its share of the `minutes`."""
    recipe = whole.recipe
    if recipe.minutes is None or recipe.deterministic:
        return whole
    first = fold_of(whole, 1)
    first = replace(first, recipe=replace(first.recipe, minutes=recipe.minutes))
    steps = timed(first, devices, folds=_count(whole)).recipe.steps
    return replace(whole, recipe=replace(recipe, steps=steps, epochs=None))


def run_folds(
    whole: Stage, devices: Devices, stop: StopSignal, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> Report:
    """Trains what is not trained yet, and reports.

    Args:
      whole: the cross-validation with its run folder, in whose folds/ the trainings lie.
      devices, stop, callbacks: as `run_stage` takes them.
    """
    count, finished = _count(whole.prepared), whole.is_finished
    for fold in range(1, count + 1):
        folder = whole.folder / FOLDS / str(fold)
        begun = read_config(folder)
        stage = Stage(fold_of(whole.prepared, fold), folder, begun)
        if stage.is_finished:
            continue
        if begun:
            check_same(folder, begun, stage.prepared.config)
        sizes = [stage.prepared.surveys[use].images for use in ("train", "val")]
        LOG.info("fold %d of %d: %d images to train on, %d held out", fold, count, *sizes)
        run_stage(stage, whole, devices, stop, callbacks)
    with alone(whole.folder):
        return _report(whole, finished)


def _report(whole: Stage, finished: bool) -> Report:
    """The scores of the networks on what they have not seen; unless it was finished, the files of the run folder.

    What decides how scores are read is chosen on all these images together, and the ensemble reads its scores so too.
    """
    prepared, folder = whole.prepared, whole.folder
    pool, folders = _pool(prepared), [folder / FOLDS / str(fold) for fold in range(1, _count(prepared) + 1)]
    found = CrossValidation([load(each) for each in folders], pool, pool.folds(_count(prepared)))
    readings = found.choose(prepared.readings, prepared.measure)
    report = found.report(prepared.measure)
    ensemble = ensemble_of(found.networks, readings)
    if "test" in prepared.parts:
        measures = prepared.scored_by
        report = replace(report, together=evaluate(ensemble, prepared.parts["test"], measures=measures))
    if finished:
        LOG.info("%s: this run is finished; its networks are scored again.", folder)
        return report
    save_network(ensemble, folder / "model.keras")
    parts = [json.loads((each / "report.json").read_text(encoding="utf-8")) for each in folders]
    warnings = list(prepared.doubts)
    for each in folders:
        warnings += [f"Fold {each.name}: {text}" for text in read_warnings(each) if text not in prepared.doubts]
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
        parameters=ensemble.count_params(),
        readings=readings_of(ensemble),
        seconds=sum(each["seconds"] for each in parts),
        warnings=warnings,
        config=read_config(folder) or {},
    )
    calls = found.calls()
    for index in sorted({*result.worst, *result.spread}):
        write_strips(calls[index], pool, folder / "samples", [index])
    write_text(folder / "warnings.txt", "".join(f"{text}\n" for text in warnings))
    write_card(result)
    write_page(result)
    # The last file: a run folder that has it is finished.
    of_training = {"recipe": prepared.recipe.name, "seconds": round(result.seconds), "warnings": warnings}
    write_json(folder / "report.json", {**report.to_json(), **of_training})
    return report


def _pool(whole: Prepared) -> Pool:
    pool = whole.parts["train"]
    assert isinstance(pool, Pool)
    return pool


def _count(whole: Prepared) -> int:
    assert whole.recipe.folds is not None
    return whole.recipe.folds
