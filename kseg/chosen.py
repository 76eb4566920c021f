"""A name and its options: what a recipe says of a network, a data set, a loss or an optimiser."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from kseg.errors import ConfigError
from kseg.options import Option, check_required

GIVEN = "given"  # the name of an object that the caller handed over


@dataclass(frozen=True, init=False)
class Chosen:
    """A name, a few fixed fields, and the options that the named thing takes.

    An option that is set reads like a field (`spec.width`). One that is not set keeps its own default.
    """

    kind: ClassVar[str]
    part: ClassVar[str]  # of a recipe
    options: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, *values: Any, **named: Any) -> None:
        own = [each for each in dataclasses.fields(self) if each.name != "options"]
        named = {**named.pop("options", {}), **dict(zip((each.name for each in own), values, strict=False)), **named}
        for each in own:
            default = each.default_factory() if callable(each.default_factory) else each.default
            object.__setattr__(self, each.name, named.pop(each.name, default))
        options = {name: value for name, value in named.items() if value is not None}
        object.__setattr__(self, "options", options)

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("options", {})
        if name not in options:
            raise AttributeError(f"{type(self).__name__} has no {name!r} set")
        return options[name]

    def replaced(self, **changes: Any) -> Any:
        """The same with other fields or options; an option that is None is left to its default again."""
        return type(self)(**{**self.fields, **self.options, **changes})

    @property
    def fields(self) -> dict[str, Any]:
        """The fixed fields by name."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "options"}

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        """The options that go with a name.

        Raises:
          ConfigError: nothing of that name is registered.
        """
        return {}

    def check_signature(self) -> None:
        """Checks that the named thing takes these options, and that none is missing.

        Raises:
          ConfigError: an option has the name of a fixed field, or one without a default is not set.
        """
        owner, taken = f"The {self.kind} {self.name!r}", self.takes(self.name)
        for name in taken:
            if name in self.fields and name != "name":
                raise ConfigError(
                    f"{owner} has an option {name!r}, but {self.part}.{name} is a setting of every training.",
                    "Rename the option.",
                )
        check_required(owner, taken, self.options, f"{self.part}.")

    def check(self) -> None:
        """Checks the options by making the named thing, where that needs nothing else.

        Raises:
          ConfigError: an option is out of range, or two do not go together.
        """
