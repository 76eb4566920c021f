"""Which image belongs to which label, found without stopping at what has no partner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kseg.check.finding import Finding
from kseg.datasets.contract import find_root
from kseg.datasets.layouts import SPLITS, Found, find
from kseg.datasets.listed import read_table, split_of
from kseg.datasets.pairing import Matched
from kseg.errors import DataError


@dataclass(frozen=True)
class Pair:
    """An image and its label, the split whose folder they lie in ("" where there is none), and what they are called."""

    split: str
    image: Path
    label: Path
    name: str


@dataclass
class Layout:
    """The data's folder, the pairs in it, what has no partner, and how the folder was understood."""

    root: Path
    pairs: list[Pair] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def name(self, path: Path, page: int | None = None) -> str:
        """A file's name for messages, as seen from the data's folder."""
        path = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return path.as_posix() + ("" if page is None else f", page {page}")


def lay_out(dataset: str, data_dir: str | Path | None, split: str | None, options: Mapping[str, Any]) -> Layout:
    """The pairs of a `folder` or `list`: those of one split, where there are such, or all.

    Raises:
      DataError: the folder holds no such data set or split, or the table can't be read.
    """
    leave = options.get("unlabelled") == "leave"
    layout = _of_table(data_dir, split) if dataset == "list" else _of_folder(data_dir, split, leave)
    if not layout.pairs and not layout.findings:
        part = f"the split {split!r}" if split else "images/ and labels/"
        raise DataError(f"{layout.root}: there is nothing in {part}. Put images there, or name another.")
    return layout


def _of_table(data_dir: str | Path | None, split: str | None) -> Layout:
    given = Path(data_dir or "")
    table = given if given.suffix.lower() == ".csv" and given.is_file() else None
    table = table or find_root("list", data_dir, ["list.csv"]) / "list.csv"
    layout = Layout(table.parent)
    for _, row in read_table(table):
        part = split_of(row)
        if split in (None, part, "all") or not part:
            image = table.parent / row["image"]
            layout.pairs.append(Pair(part, image, table.parent / row["label"], image.stem))
    return layout


def _of_folder(data_dir: str | Path | None, split: str | None, leave: bool) -> Layout:
    found = find("folder", data_dir)
    layout = Layout(found.root, notes=list(found.notes))
    _say_missing(layout, found)
    for part, matched in found.parts.items():
        if split in (None, part, "all") or not part:
            _say_unpaired(layout, matched, leave)
            layout.pairs += [Pair(part, pair.image, pair.label, pair.name) for pair in matched.pairs]
    if split in SPLITS:
        _check_split(found, split)
    return layout


def _check_split(found: Found, split: str) -> None:
    if split not in found.parts and not {"", "train", "val"} & found.parts.keys():
        raise DataError(f"{found.root}: there is no {split}/. There are {', '.join(found.parts)}.")


def _say_missing(layout: Layout, found: Found) -> None:
    for folder in found.missing:
        what, fix = "there is no such folder", "put labels into labels/, images into images/, under the same names"
        layout.findings.append(Finding("layout", layout.name(folder), what, fix))


def _say_unpaired(layout: Layout, matched: Matched, leave: bool) -> None:
    """The files of one split that are no pair."""
    for rivals in matched.rivals:
        names = [layout.name(path) for path in rivals]
        what = f"it can't be told which of these belong together: {', '.join(names)}"
        fix = "remove or rename what is not meant; --fix DIR leaves them out"
        layout.findings += [Finding("name", name, what, fix, mendable=True) for name in names]
    if leave and matched.images:
        layout.notes.append(f"{len(matched.images)} images without a label are left out")
    for path in sorted([*([] if leave else matched.images), *matched.labels]):
        other = "image" if path in matched.labels else "label"
        what = f"there is no {other} of that name"
        can_leave = other == "label" and matched.pairs
        asked = "; --set data.unlabelled=leave leaves such images out" if can_leave else ""
        fix = f"bring the {other}, or leave the file out; --fix DIR leaves it out{asked}"
        layout.findings.append(Finding("unpaired", layout.name(path), what, fix, mendable=True))
