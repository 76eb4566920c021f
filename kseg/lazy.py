"""Names of a package that are imported on first use, so that the package itself is quick to import."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of `package`: names from other modules, and its submodules.

    A type checker can't see through them. The package lists the same names in imports under TYPE_CHECKING, and keeps
    this call from the checker, to which any name would be right otherwise.

    Args:
      package: its `__name__`. Its `__all__` is what `dir` lists.
      places: the module of each name.
    """

    def get(name: str) -> Any:
        if name in places:
            return getattr(importlib.import_module(places[name]), name)
        full = f"{package}.{name}"
        if not name.startswith("_"):
            try:
                return importlib.import_module(full)
            except ModuleNotFoundError as error:
                if error.name != full:
                    raise
        raise AttributeError(f"{package} has no {name!r}")

    return get, lambda: sorted(sys.modules[package].__all__)
