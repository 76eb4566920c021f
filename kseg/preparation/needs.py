"""What a recipe needs from its data, found without building its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kseg.check.preflight import Needs
from kseg.errors import ConfigError, did_you_mean
from kseg.geometry import unet_geometry
from kseg.options import convert
from kseg.recipes.recipe import Recipe

# The settings that change what a recipe needs. `data check` takes them beside the options of the data set.
KINDS: dict[str, Any] = {
    "data.split": str,
    "data.crop": tuple[int, int] | None,
    "data.batch_size": int,
    "data.white": float,
    "measure": str,
    "model.depth": int,
    "model.padding": str,
}


def needs_of(recipe: Recipe, settings: Mapping[str, Any] | None = None) -> Needs:
    """What the recipe needs from its data.

    Args:
      recipe: the recipe.
      settings: more settings for it, among KINDS, by dotted name, as text.

    Raises:
      ConfigError: there is no such setting, or the value does not fit it.
    """
    changed = {}
    for name, value in (settings or {}).items():
        if name not in KINDS:
            raise ConfigError(f"{name} can't apply here.", did_you_mean(name, list(KINDS)))
        changed[name] = convert(value, KINDS[name], name)
    data, model = recipe.data, recipe.model.options
    own = (data.split, data.crop, data.batch_size, data.white, recipe.measure, model.get("depth"), model.get("padding"))
    value = {**dict(zip(KINDS, own, strict=True)), **changed}
    is_unet = recipe.model.name == "unet"
    padding = value["model.padding"] or "valid"
    geometry = unet_geometry(value["model.depth"] or 4, padding) if is_unet and padding in ("valid", "same") else None
    return Needs(
        split=value["data.split"],
        crop=value["data.crop"],
        batch_size=value["data.batch_size"],
        white=value["data.white"],
        is_scaled=is_unet and recipe.model.options.get("preprocessing", "own") in ("own", "unit"),
        measure=value["measure"],
        geometry=geometry,
    )
