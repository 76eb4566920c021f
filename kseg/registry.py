"""Registries of networks, data sets, recipes, losses, augmentations and measures: all of one class.

A user's own module registers its entries when it is imported: by an import, by `load_plugin`, or as an installed
package that names the module in the entry-point group `kseg.plugins`. Installed plugins are imported only when a name
is unknown, or when names are listed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Generic, TypeVar

from kseg.errors import ConfigError, did_you_mean, in_a_line
from kseg.log import LOG

Entry = TypeVar("Entry")
GROUP = "kseg.plugins"
REGISTRIES: dict[str, Registry] = {}  # by kind
_plugins: dict[str, str] = {}  # the loaded plugins: the module's name by the plugin's name
_loading: list[str] = []  # the plugins that are being imported, the innermost last
Given = TypeVar("Given")  # the type of what is registered, which `register` returns unchanged


class Registry(Generic[Entry]):
    """Entries by name, in the order of their registration.

    Iteration and `in` see what is registered so far; `names` and `get` import installed plugins first if they need to.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}
        self._origins: dict[str, str] = {}
        REGISTRIES[kind] = self

    def register(self, name: str) -> Callable[[Given], Given]:
        """A decorator that registers what it decorates.

        The same function or class again replaces the earlier one, since a module may be reloaded and a notebook's cell
        run twice.

        Raises:
          ConfigError: the name is taken.
        """

        # A plugin may be the first to import a room, which then registers kseg's own entries while the plugin loads.
        caller = sys._getframe(1).f_globals.get("__name__", "")

        def enter(entry: Given) -> Given:
            module = getattr(getattr(entry, "func", entry), "__module__", "")  # for a partial, its function's module
            if name in self._entries and not _is_again(self._entries[name], entry):
                raise ConfigError(
                    f"The {self.kind} {name!r} is registered already.", f"{module} must choose another name."
                )
            self._entries[name] = entry  # type: ignore[assignment]
            if not caller.startswith("kseg."):
                self._origins[name] = (
                    _loading[-1] if _loading else _plugin_of(caller if module.startswith("kseg.") else module)
                )
            return entry

        return enter

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """All names, including those of installed plugins."""
        _load_installed()
        return list(self._entries)

    def get(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
          ConfigError: there is no such entry; the message names the nearest.
        """
        if name not in self._entries:
            _load_installed()
        if name not in self._entries:
            raise ConfigError(f"There is no {self.kind} {name!r}.", did_you_mean(name, self._entries))
        return self._entries[name]

    def origin(self, name: str) -> str | None:
        """The plugin that registers `name`: a file or a module; None for kseg's own entries."""
        return self._origins.get(name)


def _is_again(before: object, entry: object) -> bool:
    """Whether `entry` is the class or function `before`, defined again; in a notebook it may have a new name."""
    (old_module, old_name), (new_module, new_name) = (
        (getattr(each, "__module__", ""), getattr(each, "__qualname__", "")) for each in (before, entry)
    )
    is_same = (old_module, old_name) == (new_module, new_name) or old_module == new_module == "__main__"
    return bool(old_name and new_name) and is_same


def _plugin_of(module: str) -> str:
    """The plugin of a module: its file if it is a single file outside any package, else its name."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return str(Path(file).resolve()) if file and file.endswith(".py") and "." not in module else module


def load_plugin(plugin: str) -> None:
    """Imports a user's module, which registers its entries; once only.

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
        raise ConfigError(f"{plugin}: there is no such file.", "Give the name of a module, or a file ending in .py.")
    if not is_file and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    _loading.append(name)
    try:
        _plugins[name] = _import_file(Path(name)) if is_file else importlib.import_module(plugin).__name__
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{plugin}: this plugin can't be imported ({type(error).__name__}: {in_a_line(error, 400)}).",
            "Correct it, or leave it out.",
        ) from error
    finally:
        _loading.pop()


def loaded_plugins() -> list[str]:
    """The plugins that `load_plugin` has imported, so that other processes can import them too."""
    return list(_plugins)


def _import_file(path: Path) -> str:
    """Imports a file as a module of the file's name, so that its classes can be pickled and saved."""
    name = path.stem
    if name in sys.modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "").resolve() == path:
            return name
        raise ConfigError(f"{path}: a module {name!r} is imported already.", "Give the file another name.")
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
    """Imports the plugins of installed packages, once; warns of each that fails."""
    for entry_point in metadata.entry_points(group=GROUP):
        _loading.append(entry_point.value)
        try:
            entry_point.load()
        except Exception as error:
            LOG.warning(f"the plugin {entry_point.name} ({entry_point.value}) can't be imported: {in_a_line(error)}")
        finally:
            _loading.pop()
