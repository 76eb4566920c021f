"""A finding: one thing that is wrong with a file, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kseg.errors import Advice, Doubt, KsegError, Spelling, spelled

# The kinds in the order in which they are shown, and the heading of each.
KINDS = {
    "layout": "folders that are missing",
    "unpaired": "files without a partner",
    "name": "names that do not pair",
    "truncated": "truncated or damaged files",
    "unreadable": "files that can't be read",
    "pages": "stacks of different length",
    "size": "images and labels of different size",
    "exif": "images turned by their EXIF tag",
    "leak": "the same image in two splits",
    "duplicate": "the same image twice",
    "depth": "images of another depth",
    "channels": "images of other channels",
    "grey": "grey levels to ask about",
    "jpeg": "labels saved with loss",
    "colours": "labels saved as colours",
    "binary": "masks saved as 0 and 255",
    "smoothed": "masks with smoothed edges",
    "levels": "labels saved as grey levels",
    "void": "void as a class",
    "objects": "labels that number objects",
    "off by one": "classes that begin at 1",
    "outside": "labels outside the classes",
    "unseen": "classes without a pixel to learn from",
    "blank": "labels without foreground",
    "refused": "what a training would stop at",
}
NO_HINDRANCE = ("leak", "duplicate", "blank", "unseen", "grey")  # a training can begin all the same


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
      kind: one of KINDS.
      file: which file, as seen from the data's folder; with the page where it is a stack.
      what: what is wrong with it.
      fix: what a person can do about it.
      in_copy: what `write_copy` does about it, as "leaves the pair out"; "" where it can do nothing.
      row, column: the first pixel of it.
      pixels, share: how many, and of how many of the file's (0..1).
      draw: a picture of it, (H, W, 3) uint8.
    """

    kind: str
    file: str
    what: str
    fix: Advice = ()
    row: int | None = None
    column: int | None = None
    pixels: int | None = None
    share: float | None = None
    in_copy: str = ""
    draw: Callable[[], np.ndarray] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, kind: str, file: str, found: KsegError | Doubt, otherwise: Advice = (), **more: Any) -> Finding:
        """The finding of an error or a doubt; `otherwise` is the fix where it has none."""
        return cls(kind, file, found.what.rstrip("."), found.fix or otherwise, **more)

    @property
    def mendable(self) -> bool:
        """Whether the corrected copy is without it."""
        return bool(self.in_copy)

    def __str__(self) -> str:
        where = "" if self.row is None else f", first at row {self.row}, column {self.column}"
        much = "" if self.pixels is None else f" ({self.pixels:,} pixels, {self.share:.1%})"
        return f"{self.file}: {self.what}{where}{much}"

    def advice(self, spelling: Spelling = str, copy: str = "write_copy") -> str:
        """How to mend it, in one line.

        Args:
          spelling: writes the settings.
          copy: the name of what writes the corrected copy.
        """
        mended = f"{copy} {self.in_copy}" if self.in_copy else ""
        return "; ".join(filter(None, [spelled(self.fix, spelling).rstrip("."), mended]))

    def to_json(self, spelling: Spelling = str, copy: str = "write_copy") -> dict[str, Any]:
        names = ("kind", "file", "what", "row", "column", "pixels", "share", "mendable")
        return {**{name: getattr(self, name) for name in names}, "fix": self.advice(spelling, copy)}


def in_order(findings: list[Finding]) -> list[Finding]:
    """The findings by kind, each kind in the order it came."""
    kinds = list(KINDS)
    return sorted(findings, key=lambda finding: kinds.index(finding.kind))
