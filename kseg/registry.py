"""The one kind of registry: networks, data sets, recipes, losses, augmentations and measures are each one.

A person's own module enters what it registers when it is imported: by hand, by `load_plugin`, or as an installed
package that names it in the entry-point group `kseg.plugins`. Those are imported only where a name is unknown, or where
names are listed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Generic, TypeVar

from kseg.errors import ConfigError, did_you_mean, in_a_line

Entry = TypeVar("Entry")
GROUP = "kseg.plugins"
REGISTRIES: dict[str, Registry] = {}  # by kind
_plugins: dict[str, str] = {}  # what was loaded: the module's name by the plugin's
_loading: list[str] = []  # the plugin that is being imported, innermost last
Given = TypeVar("Given")  # what is registered keeps its own type: a function its signature, a class its being one


class Registry(Generic[Entry]):
    """Names and what stands behind them, in the order they were registered.

    Iterating and `in` look at what is there; `names` and `get` look for installed plugins first, where they must.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}
        self._origins: dict[str, str] = {}
        REGISTRIES[kind] = self

    def register(self, name: str) -> Callable[[Given], Given]:
        """A decorator that enters what it decorates.

        The same thing again, as from a module that is reloaded or a notebook's cell that is run twice, takes the place
        of what it was.

        Raises:
          ConfigError: the name is taken.
        """

        def enter(entry: Given) -> Given:
            module = getattr(getattr(entry, "func", entry), "__module__", "")  # of a partial, that of its function
            if name in self._entries and not _is_again(self._entries[name], entry):
                raise ConfigError(f"The {self.kind} {name!r} is there already. {module} must choose another name.")
            self._entries[name] = entry  # type: ignore[assignment]
            if _loading or not module.startswith("kseg."):
                self._origins[name] = _loading[-1] if _loading else _plugin_of(module)
            return entry

        return enter

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """All names, those of installed plugins among them."""
        _load_installed()
        return list(self._entries)

    def get(self, name: str) -> Entry:
        """What is registered as `name`.

        Raises:
          ConfigError: there is none; the message names the nearest.
        """
        if name not in self._entries:
            _load_installed()
        if name not in self._entries:
            raise ConfigError(f"There is no {self.kind} {name!r}. {did_you_mean(name, self._entries)}")
        return self._entries[name]

    def origin(self, name: str) -> str | None:
        """What --plugin takes to register `name`: a file or a module; None for what kseg brings."""
        return self._origins.get(name)


def _is_again(before: object, entry: object) -> bool:
    """Whether a class or function is the one of before, defined anew; in a notebook it may have a new name."""
    places = [(getattr(each, "__module__", ""), getattr(each, "__qualname__", "")) for each in (before, entry)]
    return all(name for _, name in places) and (
        places[0] == places[1] or {place[0] for place in places} == {"__main__"}
    )


def _plugin_of(module: str) -> str:
    """The file of a module that lies by itself, as a script, so that it is found from any folder; else its name."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return str(Path(file).resolve()) if file and file.endswith(".py") and "." not in module else module


def load_plugin(plugin: str) -> None:
    """Imports a person's module, which registers what it brings; once only.

    Args:
      plugin: the name of a module, in the working folder or installed, or a file ending in .py.

    Raises:
      ConfigError: there is no such module or file, or it can't be imported.
    """
    is_file = plugin.endswith(".py")
    name = str(Path(plugin).resolve()) if is_file else plugin
    if name in _plugins:
        return
    if is_file and not Path(name).is_file():
        raise ConfigError(f"{plugin}: there is no such file. A plugin is a module's name, or a file ending in .py.")
    if not is_file and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    _loading.append(name)
    try:
        _plugins[name] = _import_file(Path(name)) if is_file else importlib.import_module(plugin).__name__
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{plugin}: this plugin can't be imported ({type(error).__name__}: {in_a_line(error, 400)}). "
            "Mend it, or leave it out."
        ) from error
    finally:
        _loading.pop()


def loaded_plugins() -> list[str]:
    """The plugins that `load_plugin` has imported, for other processes to import them too."""
    return list(_plugins)


def _import_file(path: Path) -> str:
    """Imports a file as the module of its name, so that what it defines can be pickled and saved."""
    name = path.stem
    if name in sys.modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "").resolve() == path:
            return name
        raise ConfigError(f"{path}: a module {name!r} is imported already. Give the file another name.")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return name


@functools.cache
def _load_installed() -> None:
    """Imports the modules that installed packages name in the group, once; one that fails is a warning."""
    for entry_point in metadata.entry_points(group=GROUP):
        _loading.append(entry_point.value)
        try:
            entry_point.load()
        except Exception as error:
            logging.getLogger("kseg").warning(
                "warning: the plugin %s (%s) can't be imported: %s", entry_point.name, entry_point.value, error
            )
        finally:
            _loading.pop()
