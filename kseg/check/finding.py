"""What a check says: one finding is one line, and each kind of finding has one way to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The kinds, in the order in which they are told; and what they are called above their lines.
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


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
      kind: one of KINDS.
      file: which file, as seen from the data's folder; with the page where it is a stack.
      what: what is wrong with it.
      fix: the option, the command or the deed that mends it, one line.
      row, column: the first pixel of it.
      pixels, share: how many, and of how many of the file's (0..1).
      mendable: whether `--fix` mends it, were it by leaving the file out.
      draw: a picture of it, (H, W, 3) uint8.
    """

    kind: str
    file: str
    what: str
    fix: str
    row: int | None = None
    column: int | None = None
    pixels: int | None = None
    share: float | None = None
    mendable: bool = False
    draw: Callable[[], np.ndarray] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        where = "" if self.row is None else f", first at row {self.row}, column {self.column}"
        much = "" if self.pixels is None else f" ({self.pixels:,} pixels, {self.share:.1%})"
        return f"{self.file}: {self.what}{where}{much}"

    def to_json(self) -> dict[str, Any]:
        names = ("kind", "file", "what", "row", "column", "pixels", "share", "fix", "mendable")
        return {name: getattr(self, name) for name in names}


def in_order(findings: list[Finding]) -> list[Finding]:
    """The findings by kind, each kind in the order it came."""
    kinds = list(KINDS)
    return sorted(findings, key=lambda finding: kinds.index(finding.kind))
