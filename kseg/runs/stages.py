"""The stages of a recipe: trainings that are done one after another, the last of which is the recipe's own.

What is set for the recipe applies to its stages too; a learning rate in proportion to theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kseg.errors import ConfigError
from kseg.folders import read_config
from kseg.preparation.prepared import Prepared, prepare, with_measure
from kseg.recipes import RECIPES, Recipe
from kseg.recipes.recipe import as_registered
from kseg.runs.config import is_longer
from kseg.training.checkpoint import newest_of
from kseg.training.devices import Devices

STAGES = "stages"
RATE = "optimizer.learning_rate"
# A stage keeps these of its own recipe, whatever was set for the whole.
OWN = ("name", "stages", "model.name", "model.streams", "data.view")


@dataclass(frozen=True)
class Stage:
    """One training of several.

    Attributes:
      prepared: its recipe and data.
      folder: its run folder.
      recorded: the configuration in that folder; None where it has not begun.
      start: the run folders whose networks it starts from: one, or one by stream; None where the recipe says it.
    """

    prepared: Prepared
    folder: Path
    recorded: Mapping[str, Any] | None = None
    start: Path | Mapping[str, Path] | None = None

    @property
    def is_longer(self) -> bool:
        """Whether more steps are asked for than the run was begun with."""
        return bool(self.recorded) and is_longer(self.recorded or {}, self.prepared.config)

    @property
    def is_finished(self) -> bool:
        """Whether the report is there, no more steps are asked for, and the network is there or can't be written."""
        if self.is_longer or not (self.folder / "report.json").is_file():
            return False
        return (self.folder / "model.keras").is_file() or newest_of(self.folder / "checkpoints") is None


def stages_of(prepared: Prepared, folder: Path, recorded: Mapping[str, Any] | None = None) -> list[Stage]:
    """The stages in their order, each in folder/stages/NAME, and last the training itself, in `folder`.

    Raises:
      ConfigError: the recipe names more or fewer stages than its network can start from.
    """
    # A stage that goes on in its own folder finds the stages before it beside that folder.
    inner = folder.parent if folder.parent.name == STAGES else folder / STAGES
    return [*_before(prepared, inner), Stage(prepared, folder, recorded, _start(prepared.recipe, inner))]


def check_networks(stages: list[Stage], devices: Devices) -> None:
    """Builds the network of each stage once, so that a stage that can't be built is refused before the first trains.

    Raises:
      ConfigError, SizeError, EnvironmentFailure: as `Prepared.network`.
    """
    for stage in stages:
        stage.prepared.network(devices, "none")


def _before(prepared: Prepared, folder: Path) -> Iterator[Stage]:
    for name in prepared.recipe.stages:
        begun = read_config(folder / name)
        recipe = Recipe.from_json(begun["recipe"]) if begun else of_stage(name, prepared.recipe)
        if recipe.data == prepared.recipe.data:
            stage = replace(prepared, recipe=with_measure(recipe, prepared.parts))
        else:
            stage = prepare(recipe, prepared.data_dir, prepared.given)
        stage = replace(stage, began_compiled=(begun or {}).get("compiled", prepared.began_compiled))
        yield from _before(stage, folder)
        yield Stage(stage, folder / name, begun, _start(recipe, folder))


def _start(recipe: Recipe, folder: Path) -> Path | Mapping[str, Path] | None:
    """The run folders in `folder` whose networks the recipe starts from."""
    names, streams = recipe.stages, recipe.model.options.get("streams") or ("",)
    if names and len(names) != len(streams):
        raise ConfigError(
            f"stages is {', '.join(names)}, but {recipe.model.name} starts from {len(streams)}.",
            "Name one stage for each stream.",
        )
    starts = {stream: folder / name for stream, name in zip(streams, names, strict=False)}
    return starts.get("", starts or None)


def of_stage(name: str, whole: Recipe) -> Recipe:
    """The recipe `name` as a stage of `whole`, with the settings of `whole` that differ from its registered recipe.

    A learning rate that was set multiplies the stage's own rate by the same factor, since the rates of the stages may
    lie far apart (voc-fcn32s 1e-10, voc-fcn8s 1e-14). With another optimiser the stage's own rate says nothing, and
    each stage takes the rate that was set.
    """
    base = as_registered(whole)
    settings = whole.differences(base)
    settings |= {field: whole.value(field) for field in ("precision", "seed", "deterministic")}
    if "steps" in settings or "epochs" in settings:
        settings = {
            field: value for field, value in settings.items() if not (field in ("steps", "epochs") and value is None)
        }
    own = RECIPES.get(name)()
    if RATE in settings and "optimizer.name" not in settings:
        settings[RATE] *= own.optimizer.learning_rate / base.optimizer.learning_rate
    return own.with_settings({field: value for field, value in settings.items() if field not in OWN})
