"""The plugins of a training: what a run remembers of them, and whether they are loaded when it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kseg.errors import ConfigError, Setting
from kseg.registry import REGISTRIES

KEYS = {"kind", "name", "plugin"}  # of each in config.json


def check_plugins(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Checks that what a run uses of plugins is registered. It imports nothing but installed plugins.

    Raises:
      ConfigError: the configuration is damaged, or something is not registered; the message names the plugin that the
        run began with.
    """
    plugins = config.get("plugins", [])
    if not isinstance(plugins, list) or not all(isinstance(each, dict) and each.keys() >= KEYS for each in plugins):
        raise ConfigError(
            f"{folder}/config.json: damaged (plugins are {plugins!r:.80}).", "Copy it from where it is whole."
        )
    for each in plugins:
        registry = REGISTRIES.get(each["kind"])
        if registry is None or each["name"] in registry.names():
            continue
        what = f"{folder}: this run uses the {each['kind']} {each['name']!r} of "
        plugin = each["plugin"]
        if plugin == "__main__":
            raise ConfigError(
                f"{what}a notebook.",
                "Register it there again. Or write it into a file and import that; on the command line pass ",
                Setting("plugin", "FILE.py"),
                ".",
            )
        raise ConfigError(
            f"{what}the plugin {plugin}, which is not loaded.",
            *("Import it first; on the command line pass ", Setting("plugin", plugin), "."),
        )
