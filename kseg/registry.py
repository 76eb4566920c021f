"""The one kind of registry: networks, data sets and recipes are each one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from kseg.errors import ConfigError, did_you_mean

Entry = TypeVar("Entry")
Given = TypeVar("Given")  # what is registered keeps its own type: a function its signature, a class its being one


class Registry(Generic[Entry]):
    """Names and what stands behind them, in the order they were registered."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Given], Given]:
        """A decorator that enters what it decorates; a name taken twice is a programming error."""

        def enter(entry: Given) -> Given:
            if name in self._entries:
                raise AssertionError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return enter

    def names(self) -> list[str]:
        return list(self._entries)

    def get(self, name: str) -> Entry:
        """What is registered as `name`.

        Raises:
          ConfigError: there is none; the message names the nearest.
        """
        if name not in self._entries:
            raise ConfigError(f"There is no {self.kind} {name!r}. {did_you_mean(name, self._entries)}")
        return self._entries[name]
