"""What a check found, pair by pair and in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kseg.check.contents import ImageContent, LabelContent
from kseg.check.finding import Finding
from kseg.check.labels.label_findings import LabelFindings
from kseg.check.sheet import draw_pair
from kseg.datasets.labels.colours import ColourTable
from kseg.datasets.own.pairing import Pair
from kseg.errors import Doubt, Spelling, spelled
from kseg.images import Drawn, orientation_of, turn_of_label


@dataclass
class CheckedPair:
    """A pair of a split, what its files hold, and why a corrected copy leaves it out ("" where it does not)."""

    split: str
    pair: Pair
    image: ImageContent
    label: LabelContent
    drawn: Drawn | None = None
    left_out: str = ""

    def draw(self, page: int = 0) -> Callable[[], np.ndarray]:
        """Makes a picture of one page."""
        return partial(draw_pair, self.pair.image, self.pair.label, page)

    @property
    def label_turn(self) -> int | None:
        """The orientation tag that turns the label onto its image; None where it can't be known."""
        tag = self.image.orientation
        if tag == 1 or not self.pair.label.is_dir() and orientation_of(self.pair.label) != 1:
            return 1
        return turn_of_label(self.image.pages[0].shape[:2], self.label.pages[0].shape, tag, self.drawn)


@dataclass
class Checked:
    """What a check found, with all that a corrected copy needs.

    Attributes:
      name: the data set's.
      root: its folder; None where its own reader found it.
      splits: the number of items by split ("" where there is none).
      findings: in the order of their kinds.
      pairs: those that were read; none where the data set's own reader gave the items.
      labels: what was found in the labels, and how they are mended.
      notes: how the folder was understood, and what in it was not looked at.
      doubts: what a person should know though it may be right.
      is_all_read: whether everything in the folder was looked at.
      table: which colour is which number, where a person said it.
    """

    name: str
    root: Path | None
    splits: dict[str, int]
    findings: list[Finding]
    pairs: list[CheckedPair] = field(default_factory=list)
    labels: LabelFindings = field(default_factory=LabelFindings)
    notes: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    is_all_read: bool = True
    table: ColourTable | None = None

    @property
    def is_copy_empty(self) -> bool:
        """Whether nothing would be left in a corrected copy."""
        return all(one.left_out for one in self.pairs)

    def remarks(self, spelling: Spelling = str) -> list[str]:
        """The notes and doubts, the settings in them written by `spelling`."""
        return [*self.notes, *(spelled(doubt.parts, spelling) for doubt in self.doubts)]

    def to_json(self, spelling: Spelling = str, copy: str = "write_copy") -> dict[str, Any]:
        """All of it as JSON; the arguments are those of `Finding.advice`."""
        return {
            "dataset": self.name,
            "folder": None if self.root is None else str(self.root),
            "splits": self.splits,
            "findings": [finding.to_json(spelling, copy) for finding in self.findings],
            "notes": self.remarks(spelling),
        }
