"""What a person said about the labels of a set, what was found in them, and how they are mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kseg.check.contents import LabelPage
from kseg.check.finding import Finding
from kseg.datasets.contract import VOID
from kseg.datasets.labels.colours import Colour, ColourTable
from kseg.datasets.own.opening import Opening
from kseg.errors import Doubt, Setting


@dataclass(frozen=True)
class Options:
    """What a person said about the files, as `folder` takes it, the names of the classes, and the table of colours."""

    instances: bool = False
    classes: int | None = None
    ignore_class: int | None = None
    values: tuple[int, ...] | None = None
    enlarge_labels: bool = False
    opening: Opening = Opening()
    names: tuple[str, ...] = ()
    table: ColourTable | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], names: tuple[str, ...], table: ColourTable | None) -> Options:
        """The options from those passed for a data set, the names in classes.txt, and the table of colours."""
        known = ("instances", "classes", "ignore_class", "values", "enlarge_labels")
        void = VOID if table and table.has_void else None
        given = {"ignore_class": void, **{key: value for key, value in options.items() if key in known}}
        opening = Opening(options.get("axes"), options.get("alpha") == "channel", options.get("orientation"))
        return cls(**given, opening=opening, names=names or (table.names if table else ()), table=table)

    @property
    def void(self) -> int:
        """The number that stands for void."""
        return VOID if self.ignore_class is None else self.ignore_class

    @property
    def count(self) -> int | None:
        """How many classes there are, where a person said it."""
        return len(self.names) or self.classes or len(self.values or ()) or None


@dataclass(frozen=True)
class Label:
    """One page of a label.

    Attributes:
      name: for messages.
      path, number: its file, and which page there.
      split: in which it lies.
      page: what it holds.
      draw: makes a picture of it.
    """

    name: str
    path: Path
    number: int
    split: str
    page: LabelPage
    draw: Callable[[], np.ndarray] | None = None


@dataclass(frozen=True)
class Mend:
    """How a label page is corrected.

    Attributes:
      values: the new number for each number to replace.
      colours: the number of each colour; other colours are shades of these.
      threshold: the number for grey levels from 128 on, while others become 0; 0 for no threshold.
      lossy: whether the file was compressed with loss.
    """

    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] | None = None
    threshold: int = 0
    lossy: bool = False


@dataclass
class LabelFindings:
    """What was found in labels.

    Attributes:
      findings: what is wrong.
      mends: how labels are mended, by file and page.
      hopeless: labels that can't be mended.
      settings: what a training on the corrected copy needs.
      colours: the number of each colour.
      doubts: what a person should know though it may be right.
    """

    findings: list[Finding] = field(default_factory=list)
    mends: dict[tuple[Path, int], Mend] = field(default_factory=dict)
    hopeless: set[Path] = field(default_factory=set)
    settings: dict[str, str] = field(default_factory=dict)
    colours: dict[Colour, int] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)

    def mend(self, labels: Sequence[Label], mend: Mend) -> None:
        """Records how labels are to be mended."""
        self.mends |= {(label.path, label.number): mend for label in labels}

    def add(self, kind: str, label: Label, value: int, what: str, *fix: str | Setting, in_copy: str = "") -> None:
        """Adds a finding about the pixels of `value` in one label."""
        row, column = label.page.first[value]
        pixels = label.page.counts[value]
        share = pixels / (label.page.shape[0] * label.page.shape[1])
        self.findings.append(Finding(kind, label.name, what, fix, row, column, pixels, share, in_copy, label.draw))
