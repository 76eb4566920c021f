"""Checks a registered data set: its own reader reads every item, whatever is wrong with others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kseg import datasets
from kseg.check.checked import Checked
from kseg.check.contents import digest_of, for_each
from kseg.check.finding import Finding, in_order
from kseg.check.sheet import draw_item
from kseg.datasets.contract import VOID, Dataset, NoSuchSplit, OutsideClasses, SizesDiffer
from kseg.errors import DataError, KsegError
from kseg.images import DamagedFile

# The splits that protocols keep apart; other splits share items with these.
_APART = (("train", "val", "test"), ("trainval", "test"), ("all",))
_PUBLISHED = ("Is this the data set as published, unpacked whole?",)
_KINDS = {DamagedFile: "truncated", SizesDiffer: "size", OutsideClasses: "outside"}


@dataclass(frozen=True)
class _Read:
    """Item `index` of `data`: the digest of its images and its pixels by class, or the error of reading it."""

    data: Dataset
    index: int
    digest: bytes = b""
    pixels: Mapping[str, np.ndarray] = field(default_factory=dict)
    error: KsegError | None = None

    @property
    def name(self) -> str:
        return f"{self.data.split}/{self.data.ids[self.index]}"

    def draw(self) -> np.ndarray:
        return draw_item(self.data, self.index)


def check_items(dataset: str, data_dir: str | Path | None, split: str | None, options: Mapping[str, Any]) -> Checked:
    """Reads every item of one split of a registered data set, or of the splits that its protocol keeps apart.

    Raises:
      DataError: the folder does not hold the data set.
      ConfigError: there is no such data set or option.
    """
    splits: dict[str, Dataset]
    findings: list[Finding]
    if split is None:
        splits, findings = _splits(dataset, data_dir, options)
    else:
        splits, findings = {split: datasets.open(dataset, data_dir, split=split, **options)}, []
    work = [(data, index) for data in splits.values() for index in range(len(data))]
    read = for_each(lambda one: _read(*one), work, "checking")
    for one in read:
        if one.error is not None:
            kind = next((kind for types, kind in _KINDS.items() if isinstance(one.error, types)), "unreadable")
            findings.append(Finding.of(kind, one.name, one.error, otherwise=_PUBLISHED, draw=one.draw))
    findings += _copies(read)
    findings += _unseen(splits, read)
    return Checked(dataset, None, {part: len(data) for part, data in splits.items()}, in_order(findings))


def _splits(
    dataset: str, data_dir: str | Path | None, options: Mapping[str, Any]
) -> tuple[dict[str, Dataset], list[Finding]]:
    """The splits to read, and findings about those that can't be opened."""
    opened: dict[str, Dataset] = {}
    refused: dict[str, DataError] = {}
    for split in dict.fromkeys(split for group in _APART for split in group):
        try:
            opened[split] = datasets.open(dataset, data_dir, split=split, **options)
        except NoSuchSplit:
            pass
        except DataError as error:
            refused[split] = error
    if not opened:
        raise next(iter(refused.values()))
    there = {*opened, *refused}
    wanted = next(group for group in _APART if group[0] in there)
    findings = [
        Finding.of("layout", f"split {split}", error, otherwise=_PUBLISHED)
        for split, error in refused.items()
        if split in wanted
    ]
    return {split: opened[split] for split in wanted if split in opened}, findings


def _read(data: Dataset, index: int) -> _Read:
    try:
        item = data[index]
    except KsegError as error:
        return _Read(data, index, error=error)
    digest = b"".join(map(digest_of, item.images.values()))
    pixels = {head: np.bincount(label.ravel(), minlength=VOID + 1) for head, label in item.labels.items()}
    return _Read(data, index, digest, pixels)


def _copies(read: Sequence[_Read]) -> Iterator[Finding]:
    """Images with the same pixels as another."""
    first: dict[bytes, _Read] = {}
    for one in reversed(read):  # held-out splits are last, so the item of train is the one to report
        same = one if one.error else first.setdefault(one.digest, one)
        if same is not one:
            leak = same.data.split != one.data.split
            fix = "leave one of them out" + (": a score on images of the training says nothing" if leak else "")
            kind, what = "leak" if leak else "duplicate", f"the same pixels as {same.name}"
            yield Finding(kind, one.name, what, (fix,), draw=one.draw)


def _unseen(splits: Mapping[str, Dataset], read: Sequence[_Read]) -> Iterator[Finding]:
    """Classes without a pixel anywhere, and classes that only held-out splits have."""
    totals: dict[tuple[str, str], np.ndarray] = {}
    counted: Counter[str] = Counter()
    for one in read:
        split = one.data.split
        counted[split] += not one.error
        for head, pixels in one.pixels.items():
            totals[split, head] = totals.get((split, head), 0) + pixels
    for head, names in next(iter(splits.values())).heads.items():
        seen = {
            split: {n for n in range(len(names)) if total[n]} for (split, at), total in totals.items() if at == head
        }
        if not seen:
            continue
        everywhere = set().union(*seen.values())
        empty = [name for number, name in enumerate(names) if number not in everywhere]
        what = f"no label has {len(empty)} of {len(names)} {head} classes: ".replace("  ", " ") + ", ".join(empty)
        if empty:
            yield Finding("unseen", "all splits", what, _PUBLISHED)
        learned = next(iter(splits))
        for split in list(splits)[1:]:
            late = [names[number] for number in sorted(seen.get(split, set()) - seen.get(learned, set()))]
            if late and counted[learned]:
                what = f"{', '.join(late)}: here, but never in {learned}"
                yield Finding("unseen", split, what, _PUBLISHED)
