"""Which image belongs to which label, found without stopping at what has no partner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from kseg.check.finding import Finding
from kseg.datasets.contract import find_root
from kseg.datasets.folder import SPLITS
from kseg.datasets.listed import read_table
from kseg.errors import DataError
from kseg.images import is_image

# What programs append to a label's name; a.png and a_mask.png are a pair by it, though not for `folder`.
_SUFFIX = re.compile(
    r"[-_. ](mask|masks|label|labels|seg|segmentation|gt|groundtruth|annotation|annot)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Pair:
    """An image and its label, and the split whose folder they lie in ("" where there is none)."""

    split: str
    image: Path
    label: Path


@dataclass
class Layout:
    """The data's folder, the pairs in it, and what has no partner."""

    root: Path
    pairs: list[Pair] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def name(self, path: Path, page: int | None = None) -> str:
        """A file's name for messages, as seen from the data's folder."""
        path = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return path.as_posix() + ("" if page is None else f", page {page}")


def lay_out(dataset: str, data_dir: str | Path | None, split: str | None) -> Layout:
    """The pairs of a `folder` or `list`: those of one split, where there are such, or all.

    Raises:
      DataError: the folder holds no such data set or split, or the table can't be read.
    """
    layout = _of_table(data_dir, split) if dataset == "list" else _of_folder(data_dir, split)
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
        part = row.get("split", "")
        if split in (None, part) or not part:
            layout.pairs.append(Pair(part, table.parent / row["image"], table.parent / row["label"]))
    return layout


def _of_folder(data_dir: str | Path | None, split: str | None) -> Layout:
    root = find_root("folder", data_dir, ["images", *(f"{split}/images" for split in SPLITS)])
    if root.name in SPLITS and (root.parent / "train" / "images").is_dir():
        root = root.parent  # a split's own folder was named
    parts = [part for part in SPLITS if (root / part / "images").is_dir()]
    layout = Layout(root)
    for part in parts if {"train", "val"} & set(parts) else ["", *parts]:
        if split in (None, part) or not part:
            _pair(layout, part)
    return layout


def _pair(layout: Layout, split: str) -> None:
    """Pairs the files of one split by their names before the ending."""
    folder = layout.root / split
    images, labels = (_by_stem(layout, folder / kind) for kind in ("images", "labels"))
    for stem in sorted(labels.keys() - images.keys()):
        meant = _SUFFIX.sub("", stem)
        if meant in images and meant not in labels:
            path = labels[meant] = labels.pop(stem)
            what = f"it belongs to images/{images[meant].name}, but has another name"
            fix = f"rename it to {meant}{path.suffix}, and all like it; --fix DIR does"
            layout.findings.append(Finding("name", layout.name(path), what, fix, mendable=True))
    for stem in sorted(images.keys() ^ labels.keys()):
        path = images.get(stem) or labels[stem]
        other = "label" if stem in images else "image"
        what = f"there is no {other} of that name"
        fix = f"bring the {other}, or leave the file out; --fix DIR leaves it out"
        layout.findings.append(Finding("unpaired", layout.name(path), what, fix, mendable=True))
    layout.pairs += [Pair(split, images[stem], labels[stem]) for stem in sorted(images.keys() & labels.keys())]


def _by_stem(layout: Layout, folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        what, fix = "there is no such folder", "put labels into labels/, images into images/, under the same names"
        layout.findings.append(Finding("layout", layout.name(folder), what, fix))
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not is_image(path) or path.is_dir():
            continue
        if path.stem in found:
            what = f"{found[path.stem].name} has the same name before the ending"
            fix = "remove one of them; --fix DIR leaves the later out"
            layout.findings.append(Finding("name", layout.name(path), what, fix, mendable=True))
            continue
        found[path.stem] = path
    return found
