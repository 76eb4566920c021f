"""The report of a loader: what became of each layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kseg.errors import WeightsError
from kseg.log import LOG

_NAMES_SHOWN = 6


@dataclasses.dataclass
class LoadReport:
    """What a loader did, layer by layer; layers without weights are not named.

    Attributes:
      filled: layers that took the file's weights, in the network's order.
      reshaped: filled layers that are of another kind in the file (inner product or convolution).
      initial: layers that are missing in the file; they keep their initial values.
      refused: layers that the file's weights do not fit, with the reason; they keep their initial values too.
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
        """A line for each attribute that is not empty, and one for each refused layer."""
        lines = [f"filled    {_names(self.filled)}"]
        for label in ("reshaped", "initial", "unused"):
            if getattr(self, label):
                lines.append(f"{label:<9} {_names(getattr(self, label))}")
        lines += [f"refused   {layer}: {reason}" for layer, reason in self.refused.items()]
        return "\n".join([*lines, *self.notes])

    def logged(self, source: str, network: str) -> LoadReport:
        """The report itself, after it was logged.

        Args:
          source: the file or network that the weights come from, for the error.
          network: the name of the network that was filled, for the error.

        Raises:
          WeightsError: no layer was filled.
        """
        if not self.filled:
            raise WeightsError(f"{source}: no layer of {network} was filled.\n{self}\n", "Is it of this network?")
        LOG.info("%s", self)
        return self


def _names(names: Sequence[str]) -> str:
    """The number of names and the names, of many the first and last."""
    shown = list(names) if len(names) <= _NAMES_SHOWN else [*names[: _NAMES_SHOWN - 2], "...", *names[-1:]]
    return f"{len(names)} layer{'' if len(names) == 1 else 's'}" + (f": {', '.join(shown)}" if names else "")
