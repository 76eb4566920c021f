"""The trainings a recipe stands for: its stages, one after another, and itself.

What is set for the recipe holds for its stages too; a learning rate in proportion to theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kseg.errors import ConfigError
from kseg.preparation.prepared import Prepared, prepare
from kseg.recipes.recipe import RECIPES, Recipe, as_registered
from kseg.runs.config import read_config

STAGES = "stages"
RATE = "optimizer.learning_rate"
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


def stages_of(prepared: Prepared, folder: Path) -> list[Stage]:
    """The stages in their order, each in folder/stages/NAME, and last the training itself, in `folder`.

    Raises:
      ConfigError: there are more or fewer than the network can start from.
    """
    # A stage that is taken up by its own folder finds those before it beside it.
    inner = folder.parent if folder.parent.name == STAGES else folder / STAGES
    return [*_before(prepared, inner), Stage(prepared, folder, _start(prepared.recipe, inner))]


def _before(prepared: Prepared, folder: Path) -> Iterator[Stage]:
    for name in prepared.recipe.stages:
        begun = read_config(folder / name)
        recipe = Recipe.from_json(begun["recipe"]) if begun else of_stage(name, prepared.recipe)
        is_same = recipe.data == prepared.recipe.data
        of_data = prepared if is_same else prepare(recipe, prepared.data_dir, prepared.given)
        stage = replace(of_data, recipe=recipe)
        yield from _before(stage, folder)
        yield Stage(stage, folder / name, _start(recipe, folder))


def _start(recipe: Recipe, folder: Path) -> Path | Mapping[str, Path] | None:
    """The run folders in `folder` whose networks the recipe starts from."""
    names, streams = recipe.stages, recipe.model.options.get("streams") or ("",)
    if names and len(names) != len(streams):
        raise ConfigError(
            f"stages is {', '.join(names)}, but {recipe.model.name} starts from {len(streams)}: one for each stream."
        )
    starts = {stream: folder / name for stream, name in zip(streams, names, strict=False)}
    return starts.get("", starts or None)


def of_stage(name: str, whole: Recipe) -> Recipe:
    """The recipe `name` as a stage of `whole`, with what was set there otherwise than its own recipe says.

    A learning rate that was set multiplies the stage's own by as much as the whole's own: the rates of the stages may
    lie far apart (voc-fcn32s 1e-10, voc-fcn8s 1e-14). With another optimiser, to which they say nothing, each stage has
    the rate that was set.
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
