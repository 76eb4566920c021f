"""The pairs of a person's folder or table, and findings about the files without a partner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kseg.check.finding import Finding
from kseg.datasets.contract import NoSuchSplit
from kseg.datasets.own.layouts import SPLITS, find
from kseg.datasets.own.listed import pairs_of, read_table, table_in
from kseg.datasets.own.pairing import Matched, Pair
from kseg.errors import Advice, DataError, Setting


@dataclass
class Layout:
    """How a person's folder was understood.

    Attributes:
      root: the folder.
      parts: the pairs by split, "" where there is none.
      findings: what has no partner.
      notes: how the folder was understood, and what in it was not looked at.
      is_all_read: whether everything in it was looked at.
    """

    root: Path
    parts: dict[str, list[Pair]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_all_read: bool = True

    def name(self, path: Path, page: int | None = None) -> str:
        """A file's name for messages, as seen from the data's folder."""
        path = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return path.as_posix() + ("" if page is None else f", page {page}")


def find_pairs(dataset: str, data_dir: str | Path | None, split: str | None, options: Mapping[str, Any]) -> Layout:
    """The pairs of a `folder` or `list`: those of one split, or all.

    Raises:
      DataError: the folder holds no such data set or split, or the table can't be read.
    """
    leave = options.get("unlabelled") == "leave"
    layout = _of_table(data_dir, split) if dataset == "list" else _of_folder(data_dir, split, leave)
    if not any(layout.parts.values()) and not layout.findings:
        part = f"the split {split!r}" if split else "images/ and labels/"
        raise DataError(f"{layout.root}: there is nothing in {part}.", "Put images there, or name another.")
    return layout


def _of_table(data_dir: str | Path | None, split: str | None) -> Layout:
    table = table_in(data_dir)
    parts = pairs_of(table, read_table(table))
    return Layout(
        table.parent, {part: pairs for part, pairs in parts.items() if split in (None, part, "all") or not part}
    )


def _of_folder(data_dir: str | Path | None, split: str | None, leave: bool) -> Layout:
    found = find("folder", data_dir)
    layout = Layout(found.root, notes=[*found.notes, *found.unread], is_all_read=not found.unread)
    for folder in found.missing:
        fix = ("put labels into labels/, images into images/, under the same names",)
        layout.findings.append(Finding("layout", layout.name(folder), "there is no such folder", fix))
    for part, matched in found.parts.items():
        if split in (None, part, "all") or not part:
            layout.parts[part] = matched.pairs
            layout.findings += _unpaired(layout, matched, leave)
            if leave and matched.images:
                layout.notes.append(f"{len(matched.images)} images without a label are left out")
    if split in SPLITS and split not in found.parts and not {"", "train", "val"} & found.parts.keys():
        there = list(found.parts)
        raise NoSuchSplit(f"{found.root}: there is no {split}/.", f"There are {', '.join(there)}.", known=there)
    return layout


def _unpaired(layout: Layout, matched: Matched, leave: bool) -> Iterator[Finding]:
    """The files of one split that are no pair."""
    for rivals in matched.rivals:
        names = [layout.name(path) for path in rivals]
        what = f"it is not clear which of these belong together: {', '.join(names)}"
        for name in names:
            yield Finding("name", name, what, ("remove or rename what is not meant",), in_copy="leaves them out")
    for path in sorted([*([] if leave else matched.images), *matched.labels]):
        other = "image" if path in matched.labels else "label"
        fix: Advice = (f"bring the {other}, or leave the file out",)
        if other == "label" and matched.pairs:
            fix = (*fix, "; ", Setting("data.unlabelled", "leave"), " leaves such images out")
        what = f"there is no {other} of that name"
        yield Finding("unpaired", layout.name(path), what, fix, in_copy="leaves it out")
