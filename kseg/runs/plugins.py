"""Which plugins a training uses: what a run remembers of them, and whether they are here when it goes on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kseg.errors import ConfigError
from kseg.recipes.recipe import Recipe
from kseg.registry import REGISTRIES

KEYS = {"kind", "name", "plugin"}  # of each in config.json


def used_plugins(recipe: Recipe) -> list[dict[str, str]]:
    """What the recipe names that is not kseg's own: its kind, its name, and the plugin or module that brought it."""
    named = [("recipe", recipe.name), ("measure", recipe.measure.partition(".")[0])]
    named += [(spec.kind, spec.name) for spec in (recipe.model, recipe.data, recipe.loss)]
    named += [("augmentation", name) for name in recipe.data.augment.options]
    found = []
    for kind, name in named:
        origin = REGISTRIES[kind].origin(name) if kind in REGISTRIES else None
        if origin is not None:
            found.append({"kind": kind, "name": name, "plugin": origin})
    return found


def check_plugins(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Checks that what a run uses of plugins is registered. Nothing is imported but installed plugins.

    Raises:
      ConfigError: the configuration is damaged, or something is not registered; the message names the plugin that the
        run began with.
    """
    plugins = config.get("plugins", [])
    if not isinstance(plugins, list) or not all(isinstance(each, dict) and each.keys() >= KEYS for each in plugins):
        raise ConfigError(
            f"{folder}/config.json: damaged (plugins are {plugins!r:.80}). Copy it from where it is whole."
        )
    for each in plugins:
        registry = REGISTRIES.get(each["kind"])
        if registry is not None and each["name"] not in registry.names():
            plugin = each["plugin"]
            told = f"the plugin {plugin}, which is not loaded. Pass --plugin {shlex.quote(plugin)}; in Python import it"
            if plugin == "__main__":
                told = "a notebook. Register it there again, or write it into a file and pass --plugin FILE.py"
            raise ConfigError(f"{folder}: this run uses the {each['kind']} {each['name']!r} of {told}.")
