"""The beginning of a training: the recipe by name and settings, met with its data, and the named run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from kseg.chosen import GIVEN
from kseg.errors import ConfigError, Setting
from kseg.inference import settled_precision
from kseg.preparation.given import Given
from kseg.preparation.plan import is_asked, plan_of
from kseg.preparation.prepared import Prepared, prepare
from kseg.recipes import RECIPES, Recipe
from kseg.recipes.plugins import check_plugins
from kseg.recipes.recipe import as_registered
from kseg.runs.config import check_given, check_same, open_run
from kseg.training.devices import make_deterministic
from kseg.training.specs import OptimizerSpec

# Settings that also apply where an object takes the place of their part.
BESIDE_OBJECTS = ("optimizer.skip", "data.augment.interpolation", "data.augment.beyond")

# The settings that an object replaces, by the beginning of their names.
REPLACED = (
    ("optimizer", "optimizer."),
    ("augment", "data.augment."),
    ("measure", "measure"),
    ("data", "data.name"),
    ("data", "data.split"),
    ("model", "model.name"),
    ("loss", "loss.name"),
)

# The recipe that is followed where only a data set is named.
DEFAULTS = {
    "demo": "demo",
    "isbi2012": "isbi2012-unet",
    "ctc": "ctc-unet",
    "camvid": "camvid-fcn8s",
    "pascal-context": "context-fcn8s",
    "siftflow": "siftflow-fcn8s",
    **dict.fromkeys(("voc2011", "voc2012", "sbd", "voc-fcn", "voc-aug"), "voc-fcn8s"),
}


def begin(
    recipe: str | Recipe | None,
    data_dir: str | Path | None,
    run: str | Path | None,
    settings: Mapping[str, Any] | None,
    resume: str | Path,
    given: Given | None = None,
) -> tuple[Prepared, Path | None, Mapping[str, Any] | None]:
    """The recipe met with its data, the named run folder, and the configuration recorded there; None for none.

    Raises:
      ConfigError: data_dir is named without data set, recipe or run; a setting would change nothing; the run uses a
        plugin or an object that is missing, or was begun with another configuration.
    """
    folder, recorded = open_run(run, resume)
    given = given or Given()
    settings = settings or {}
    _check_not_replaced(settings, data_dir, given)
    settings = {**settings, **given.settings()}
    if folder and recorded:
        check_plugins(folder, recorded)
        check_given(folder, recorded, given.to_json())
    if data_dir is not None and recipe is None and recorded is None and "data.name" not in settings:
        raise ConfigError(
            f"{data_dir}: it is not said which data set this is.",
            "Pass ",
            Setting("data.name", "folder"),
            " if it holds images/ and labels/, else another name of `kseg data list`.",
        )
    chosen = settled(recipe, settings, recorded)
    if chosen.deterministic:
        make_deterministic()
    asked = None if recorded else {*settings, *chosen.differences(as_registered(chosen))}
    prepared = prepare(chosen, data_dir or (recorded or {}).get("data_dir"), given, asked)
    _check_heeded(settings, prepared)
    if folder and recorded:
        check_same(folder, recorded, prepared.config)
        prepared = replace(prepared, began_compiled=recorded.get("compiled"), plan=plan_of(recorded))
    return prepared, folder, recorded


def _check_not_replaced(settings: Mapping[str, Any], data_dir: str | Path | None, given: Given) -> None:
    """Raises ConfigError where an object replaces what is set."""
    for what, beginning in REPLACED:
        for name in settings:
            if what in given.names and name.startswith(beginning) and name not in BESIDE_OBJECTS:
                raise ConfigError(f"{name} can't apply, since {what} is an object here.", "Leave the setting out.")
    if given.data and data_dir is not None:
        raise ConfigError(
            f"data_dir={str(data_dir)!r} can't apply, since the data are objects here.", "Leave one of them out."
        )


def _check_heeded(settings: Mapping[str, Any], prepared: Prepared) -> None:
    """Raises ConfigError where a setting would change nothing."""
    recipe, data = prepared.recipe, prepared.parts["train"]
    if settings.get("minutes") is not None and recipe.deterministic:
        raise ConfigError(
            "minutes would change nothing: how many steps a deterministic training has must not depend on a machine.",
            *("Say how many: ", Setting("steps", 1000), "."),
        )
    if "loss.border_weight" in settings and recipe.loss.border_weight and not data.has_instances:
        raise ConfigError(
            f"loss.border_weight would change nothing: it is a weight between objects, and the labels of {data.name} "
            "do not number their objects.",
            *("If they do, pass ", Setting("data.instances", True), ". Else leave it out."),
        )
    if "optimizer.power" in settings and recipe.optimizer.schedule != "polynomial":
        raise ConfigError(
            "optimizer.power would change nothing: it belongs to the polynomial schedule, but optimizer.schedule is "
            f"{recipe.optimizer.schedule}.",
            "Leave it out.",
        )


def settled(recipe: str | Recipe | None, settings: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> Recipe:
    """The recipe with its settings. Measure and precision are those of the run that goes on, else what suits here."""
    began = Recipe.from_json(recorded["recipe"]) if recorded else None
    if recipe is None and began and settings.get("data.name", began.data.name) == began.data.name:
        recipe = began
    elif recipe is None or isinstance(recipe, str):
        recipe = RECIPES.get(recipe or _default(settings))()
    chosen = recipe.with_settings(settings)
    if began and chosen.minutes is not None:
        if settings.get("minutes") not in (None, began.minutes):
            raise ConfigError(
                f"minutes can't apply: how long this run takes was settled when it began ({_length(began)}).",
                "Leave it out.",
            )
        chosen = replace(chosen, minutes=began.minutes, steps=began.steps, epochs=began.epochs)
    if began and "plan" not in settings:
        plan = {each.name: each.value for each in plan_of(recorded) if not is_asked(each.name, settings)}
        chosen = replace(chosen, plan=began.plan).with_settings(plan)
    if began and chosen.measure == "auto":
        chosen = replace(chosen, measure=began.measure)
    if chosen.precision == "auto" and (began or chosen.deterministic):
        chosen = replace(chosen, precision=began.precision if began else "float32")
    start, colours = chosen.init_weights, chosen.data.options.get("colours")
    if start not in ("none", "imagenet") and Path(start).exists():
        chosen = replace(chosen, init_weights=str(Path(start).resolve()))  # a run goes on from any working folder
    if isinstance(colours, str | Path) and Path(colours).exists():
        chosen = replace(chosen, data=chosen.data.replaced(colours=str(Path(colours).resolve())))
    return replace(chosen, precision=settled_precision(chosen.precision))  # type: ignore[arg-type]


def _length(recipe: Recipe) -> str:
    return f"{recipe.steps} steps" if recipe.steps else f"{recipe.epochs} epochs"


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback], spec: OptimizerSpec) -> None:
    """Checks that either a callback or the recipe's schedule sets the learning rate, not both.

    Raises:
      ConfigError: both do.
    """
    if spec.schedule == "constant":
        return
    for each in callbacks:
        if isinstance(each, keras.callbacks.LearningRateScheduler | keras.callbacks.ReduceLROnPlateau):
            raise ConfigError(
                f"callbacks: {type(each).__name__} sets the learning rate, and so does the recipe's schedule "
                f"({spec.schedule}).",
                *("Pass ", Setting("optimizer.schedule", "constant"), "."),
            )


def _default(settings: Mapping[str, Any]) -> str:
    """The recipe where none was named: that of the data set, if it has the network that was asked for."""
    dataset, network = settings.get("data.name", "demo"), settings.get("model.name")
    name = DEFAULTS.get(dataset, "own-unet")
    if network == GIVEN:
        return name
    if dataset == "nyudv2":
        name = f"nyud-fcn32s-{settings.get('data.view', 'rgb')}"
    return "own-unet" if network and name != "demo" and network != RECIPES.get(name)().model.name else name
