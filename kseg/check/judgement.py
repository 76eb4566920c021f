"""What is known of labels, what was found in them, and how they are mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kseg.check.finding import Finding
from kseg.check.looks import Colour, LabelPage
from kseg.datasets.division import SplitRule
from kseg.datasets.opening import Opening
from kseg.errors import ConfigError, did_you_mean
from kseg.images import Drawn


@dataclass(frozen=True)
class Options:
    """What a person said of the files, as `folder` takes it, and the classes' names where classes.txt has them."""

    instances: bool = False
    classes: int | None = None
    ignore_class: int | None = None
    values: tuple[int, ...] | None = None
    split_rule: SplitRule = "hash"
    axes: str | None = None
    alpha: Literal["channel"] | None = None
    orientation: Drawn | None = None
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: str, options: Mapping[str, Any], names: tuple[str, ...]) -> Options:
        """The options as they were passed for a data set.

        Raises:
          ConfigError: one of them is none that it takes.
        """
        known = [one.name for one in fields(cls) if one.name != "names"]
        for key in options:
            if key not in known:
                raise ConfigError(f"The data set {dataset!r} takes no option {key!r}. {did_you_mean(key, known)}")
        return cls(**options, names=names)

    @property
    def opening(self) -> Opening:
        """How the files are read."""
        return Opening(self.axes, self.alpha == "channel", self.orientation)

    @property
    def count(self) -> int | None:
        """How many classes there are, where that was said."""
        return len(self.names) or self.classes or len(self.values or ()) or None


@dataclass(frozen=True)
class Label:
    """One page of a label: its name for messages, its file and page there, its split, what was seen, a picture."""

    name: str
    path: Path
    number: int
    split: str
    page: LabelPage
    draw: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Mend:
    """How a label page is corrected: numbers or colours replaced, or grey levels from 128 on made 1."""

    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] | None = None
    threshold: bool = False


@dataclass
class Judgement:
    """What was found, how it is mended (by file and page), labels that can't be, and what a training still needs."""

    findings: list[Finding] = field(default_factory=list)
    mends: dict[tuple[Path, int], Mend] = field(default_factory=dict)
    hopeless: set[Path] = field(default_factory=set)
    settings: dict[str, str] = field(default_factory=dict)
    colours: dict[Colour, int] = field(default_factory=dict)

    def mend(self, labels: Sequence[Label], mend: Mend) -> None:
        self.mends |= {(label.path, label.number): mend for label in labels}


def found_at(kind: str, label: Label, value: int, what: str, fix: str, *, mendable: bool = False) -> Finding:
    """A finding about the pixels of `value` in one label."""
    row, column = label.page.first[value]
    pixels = label.page.counts[value]
    share = pixels / (label.page.shape[0] * label.page.shape[1])
    return Finding(kind, label.name, what, fix, row, column, pixels, share, mendable, label.draw)
