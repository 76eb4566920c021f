"""Checks a registered data set: its own reader reads every item, whatever is wrong with others."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kseg import datasets
from kseg.check.checked import Checked
from kseg.check.contents import for_each
from kseg.check.finding import Finding, in_order
from kseg.check.folder import NO_HINDRANCE, refusals
from kseg.check.preflight import Needs
from kseg.check.sheet import draw_item
from kseg.datasets.contract import VOID, Dataset, NoSuchSplit, OutsideClasses, SizesDiffer
from kseg.errors import DataError, KsegError
from kseg.images import DamagedFile

# The splits that protocols keep apart; other splits share items with these.
_APART = (("train", "val", "test"), ("trainval", "test"), ("all",))
_PUBLISHED = "Is this the data set as published, unpacked whole?"
_KINDS = {DamagedFile: "truncated", SizesDiffer: "size", OutsideClasses: "outside"}


@dataclass(frozen=True)
class _Read:
    """An item: its split, its index there, the digest of its images and its pixels by class, or the error of it."""

    split: str
    index: int
    item_id: str
    digest: bytes = b""
    pixels: Mapping[str, np.ndarray] = field(default_factory=dict)
    error: KsegError | None = None


def check_items(
    dataset: str, data_dir: str | Path | None, split: str | None, options: Mapping[str, Any], needs: Needs | None
) -> Checked:
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
    for (data, _), one in zip(work, read, strict=True):
        if one.error is not None:
            error = one.error if one.error.fix else DataError(one.error.what, _PUBLISHED)
            kind = next((kind for types, kind in _KINDS.items() if isinstance(one.error, types)), "unreadable")
            draw = partial(draw_item, data, one.index)
            findings.append(Finding.of(kind, f"{one.split}/{one.item_id}", error, draw=draw))
    findings += _copies(splits, read)
    findings += _unseen(splits, read)
    if needs is not None and split is None and all(finding.kind in NO_HINDRANCE for finding in findings):
        findings += refusals(dataset, data_dir, needs, options)
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
        Finding.of("layout", f"split {split}", error if error.fix else DataError(error.what, _PUBLISHED))
        for split, error in refused.items()
        if split in wanted
    ]
    return {split: opened[split] for split in wanted if split in opened}, findings


def _read(data: Dataset, index: int) -> _Read:
    item_id = data.ids[index]
    try:
        item = data[index]
    except KsegError as error:
        return _Read(data.split, index, item_id, error=error)
    digest = hashlib.blake2b(digest_size=16)
    for image in item.images.values():
        digest.update(f"{image.shape} {image.dtype}".encode() + np.ascontiguousarray(image).tobytes())
    pixels = {head: np.bincount(label.ravel(), minlength=VOID + 1) for head, label in item.labels.items()}
    return _Read(data.split, index, item_id, digest.digest(), pixels)


def _copies(splits: Mapping[str, Dataset], read: Sequence[_Read]) -> Iterator[Finding]:
    first: dict[bytes, _Read] = {}
    for one in reversed(read):  # held-out splits are last, so the item of train is the one to report
        if one.error:
            continue
        same = first.setdefault(one.digest, one)
        if same is one:
            continue
        leak = same.split != one.split
        fix = "leave one of them out" + (": a score on images of the training says nothing" if leak else "")
        what = f"the same pixels as {same.split}/{same.item_id}"
        draw = partial(draw_item, splits[one.split], one.index)
        yield Finding("leak" if leak else "duplicate", f"{one.split}/{one.item_id}", what, (fix,), draw=draw)


def _unseen(splits: Mapping[str, Dataset], read: Sequence[_Read]) -> Iterator[Finding]:
    """Classes without a pixel anywhere, and classes that only held-out splits have."""
    totals: dict[tuple[str, str], np.ndarray] = {}
    counted: Counter[str] = Counter()
    for one in read:
        counted[one.split] += not one.error
        for head, pixels in one.pixels.items():
            totals[one.split, head] = totals.get((one.split, head), 0) + pixels
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
            yield Finding("unseen", "all splits", what, (_PUBLISHED,))
        learned = next(iter(splits))
        for split in list(splits)[1:]:
            late = [names[number] for number in sorted(seen.get(split, set()) - seen.get(learned, set()))]
            if late and counted[learned]:
                what = f"{', '.join(late)}: here, but never in {learned}"
                yield Finding("unseen", split, what, (_PUBLISHED,))
