"""The trainings a recipe stands for: its stages, one after another, and itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kseg.errors import ConfigError
from kseg.training.preparation import Prepared, prepare
from kseg.training.recipe import RECIPES, Recipe, field_names

# What a stage has of its own, whatever was set for the whole.
OWN = ("name", "stages", "model.name", "model.streams", "data.view")


@dataclass(frozen=True)
class Stage:
    """One training of several.

    Attributes:
      prepared: its recipe and data.
      folder: its run folder.
      start: the run folders whose networks it starts from, one, or one by stream; None for what the recipe says.
    """

    prepared: Prepared
    folder: Path
    start: Path | Mapping[str, Path] | None = None

    @property
    def is_finished(self) -> bool:
        return (self.folder / "report.json").is_file()


def stages_of(prepared: Prepared, folder: Path) -> Iterator[Stage]:
    """The stages in their order, each in folder/stages/NAME, and last the training itself."""
    recipe = prepared.recipe
    starts = {}
    for name in recipe.stages:
        stage = of_stage(name, recipe)
        data = prepared if stage.data == recipe.data else prepare(stage, prepared.data_dir)
        starts[name] = folder / "stages" / name
        yield from stages_of(replace(data, recipe=stage), starts[name])
    streams = recipe.model.streams or ()
    if len(starts) != (len(streams) or 1 if starts else 0):
        raise ConfigError(
            f"stages is {', '.join(recipe.stages)}, but {recipe.model.name} starts from "
            f"{f'one for each of {chr(44).join(streams)}' if streams else 'one'}."
        )
    start: Any = dict(zip(streams, starts.values(), strict=True)) if streams else next(iter(starts.values()), None)
    yield Stage(prepared, folder, start or None)


def of_stage(name: str, whole: Recipe) -> Recipe:
    """The recipe `name` as a stage of `whole`, with what was set there otherwise than its own recipe says."""
    base = RECIPES.get(whole.name)() if whole.name in RECIPES.names() else whole
    settings = {field: whole.value(field) for field in field_names() if whole.value(field) != base.value(field)}
    if "steps" in settings or "epochs" in settings:
        settings = {
            field: value for field, value in settings.items() if not (field in ("steps", "epochs") and value is None)
        }
    return RECIPES.get(name)().with_settings({field: value for field, value in settings.items() if field not in OWN})
