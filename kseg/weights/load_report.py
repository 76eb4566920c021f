"""What became of each layer when weights were loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import click

_NAMES_SHOWN = 6


@dataclasses.dataclass
class Report:
    """What a loader did, layer by layer; layers without weights are not named.

    Attributes:
      filled: layers that took the file's weights, in the network's order.
      reshaped: those of them whose weights lay in the file as another kind of layer (inner product and convolution).
      initial: layers that the file has nothing for; they keep their initial value.
      refused: layers whose weights in the file do not fit, and why; they keep their initial value too.
      unused: layers of the file that no layer of the network took.
      notes: sentences on the file itself.
    """

    filled: list[str] = dataclasses.field(default_factory=list)
    reshaped: list[str] = dataclasses.field(default_factory=list)
    initial: list[str] = dataclasses.field(default_factory=list)
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    unused: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        """A line per kind that occurs, and one per refused layer."""
        lines = [f"filled    {_names(self.filled)}"]
        for label in ("reshaped", "initial", "unused"):
            if getattr(self, label):
                lines.append(f"{label:<9} {_names(getattr(self, label))}")
        lines += [f"refused   {layer}: {reason}" for layer, reason in self.refused.items()]
        return "\n".join([*lines, *self.notes])

    def show(self) -> Report:
        """The report itself, after it was printed to standard error."""
        click.echo(str(self), err=True)
        return self


def _names(names: Sequence[str]) -> str:
    """The names, or the first and last of many, after their number."""
    shown = list(names) if len(names) <= _NAMES_SHOWN else [*names[: _NAMES_SHOWN - 2], "...", *names[-1:]]
    return f"{len(names)} layer{'' if len(names) == 1 else 's'}" + (f": {', '.join(shown)}" if names else "")
