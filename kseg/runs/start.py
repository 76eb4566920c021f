"""How a training begins, or goes on: its recipe by name and settings, the run folder, the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kseg.chosen import GIVEN
from kseg.errors import ConfigError
from kseg.inference import settled_precision
from kseg.preparation.given import Given
from kseg.preparation.prepared import Prepared, prepare
from kseg.recipes import RECIPES, Recipe
from kseg.runs.config import check_given, check_same, open_run
from kseg.runs.plugins import check_plugins
from kseg.training.devices import make_deterministic

# Settings that hold beside an object of that part.
BESIDE_OBJECTS = ("optimizer.skip", "data.augment.interpolation", "data.augment.beyond")

# What an object takes the place of, by the beginning of the setting's name.
IN_PLACE_OF = (
    ("optimizer", "optimizer."),
    ("augment", "data.augment."),
    ("measure", "measure"),
    ("data", "data.name"),
    ("data", "data.split"),
    ("model", "model.name"),
    ("loss", "loss.name"),
)

# What is followed where only a data set was named.
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
) -> tuple[Prepared, Path | None]:
    """The recipe met with its data, and the run folder that was named.

    Raises:
      ConfigError: a folder of data was named, but neither data set, recipe nor run; a setting would change nothing; or
        the run uses a plugin or an object that is not here.
    """
    folder, recorded = open_run(run, resume)
    given = given or Given()
    for what, beginning in IN_PLACE_OF:
        for name in settings or {}:
            if what in given.names and name.startswith(beginning) and name not in BESIDE_OBJECTS:
                raise ConfigError(f"{name} can't apply: {what} is an object here, which brings its own. Leave it out.")
    if given.data and data_dir is not None:
        raise ConfigError(f"data_dir={str(data_dir)!r} can't apply: data are objects here. Leave one of them out.")
    settings = {**(settings or {}), **given.settings()}
    if folder and recorded:
        check_plugins(folder, recorded)
        check_given(folder, recorded, given.to_json())
    if data_dir is not None and recipe is None and recorded is None and "data.name" not in settings:
        raise ConfigError(
            f"{data_dir}: which data set lies there? Pass --dataset folder where it holds images/ and labels/, else "
            "another of `kseg data list`."
        )
    chosen = settled(recipe, settings, recorded)
    if chosen.deterministic:
        make_deterministic()
    prepared = prepare(chosen, data_dir or (recorded or {}).get("data_dir"), given)
    _check_heeded(settings, prepared)
    if folder and recorded:
        check_same(folder, recorded, prepared.config())
    return prepared, folder


def _check_heeded(settings: Mapping[str, Any], prepared: Prepared) -> None:
    """Raises ConfigError where a setting would change nothing."""
    recipe, data = prepared.recipe, prepared.parts["train"]
    reasons = {}
    if recipe.loss.border_weight and not data.has_instances:
        reasons["loss.border_weight"] = (
            f"it stands between objects, and the labels of {data.name} do not number theirs. Where they do, pass --set "
            "data.instances=true; else leave it out"
        )
    if recipe.optimizer.schedule != "polynomial":
        reasons["optimizer.power"] = (
            f"it is the polynomial schedule's, and optimizer.schedule is {recipe.optimizer.schedule}. Leave it out"
        )
    for name, reason in reasons.items():
        if name in settings:
            raise ConfigError(f"{name} would change nothing: {reason}.")


def settled(recipe: str | Recipe | None, settings: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> Recipe:
    """The recipe with its settings, with measure and precision of the run that goes on, else as this device is for."""
    began = Recipe.from_json(recorded["recipe"]) if recorded else None
    if recipe is None and began and settings.get("data.name", began.data.name) == began.data.name:
        recipe = began
    elif recipe is None or isinstance(recipe, str):
        recipe = RECIPES.get(recipe or _default(settings))()
    chosen = recipe.with_settings(settings)
    if chosen.init_weights not in ("none", "imagenet") and Path(chosen.init_weights).exists():
        chosen = chosen.with_settings({"init_weights": str(Path(chosen.init_weights).resolve())})
    colours = chosen.data.options.get("colours")
    if isinstance(colours, str | Path) and Path(colours).exists():  # to be found from any folder
        chosen = chosen.with_settings({"data.colours": str(Path(colours).resolve())})
    if chosen.measure == "auto" and began:
        chosen = chosen.with_settings({"measure": began.measure})
    if chosen.precision == "auto" and began:
        return chosen.with_settings({"precision": began.precision})
    auto_is_float32 = chosen.precision == "auto" and chosen.deterministic
    return chosen.with_settings({"precision": "float32" if auto_is_float32 else settled_precision(chosen.precision)})


def _default(settings: Mapping[str, Any]) -> str:
    """The recipe where none was named: the data set's, if it is of the network that was asked for."""
    dataset = settings.get("data.name", "demo")
    name = DEFAULTS.get(dataset, "own-unet")
    if settings.get("model.name") == GIVEN:
        return name
    if dataset == "nyudv2":
        name = f"nyud-fcn32s-{settings.get('data.view', 'rgb')}"
    network = settings.get("model.name")
    return "own-unet" if network and name != "demo" and network != RECIPES.get(name)().model.name else name
