"""Names of a package that are imported on first use, so that the import of the package is fast."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of `package`, which import names from other modules, and its submodules.

    A type checker can't see through them. So the package imports the same names under TYPE_CHECKING, and hides this
    call from the checker, which would accept any name otherwise.

    Args:
      package: its `__name__`. `dir` lists its `__all__`.
      modules: the module of each name.
    """

    def get(name: str) -> Any:
        if name in modules:
            return getattr(importlib.import_module(modules[name]), name)
        full = f"{package}.{name}"
        if not name.startswith("_"):
            try:
                return importlib.import_module(full)
            except ModuleNotFoundError as error:
                if error.name != full:
                    raise
        raise AttributeError(f"{package} has no {name!r}")

    return get, lambda: sorted(sys.modules[package].__all__)
