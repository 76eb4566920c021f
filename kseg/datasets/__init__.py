"""Data sets on disk: one file each; `open` finds them by name."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kseg.datasets import (
    camvid,
    ctc,
    demo,
    folder,
    isbi2012,
    listed,
    nyudv2,
    packed,
    pascal_context,
    sbd,
    siftflow,
    voc,
)
from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, NoSuchSplit, by_name
from kseg.datasets.survey import Survey, survey
from kseg.errors import ConfigError, did_you_mean
from kseg.lazy import lazy

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, {})

__all__ = [
    "DATASETS",
    "VOID",
    "Dataset",
    "Item",
    "NoSuchSplit",
    "Survey",
    "by_name",
    "camvid",
    "ctc",
    "demo",
    "folder",
    "isbi2012",
    "listed",
    "names",
    "nyudv2",
    "open",
    "open_first",
    "packed",
    "pascal_context",
    "sbd",
    "siftflow",
    "survey",
    "voc",
]


def names() -> list[str]:
    """The data sets that `open` takes, by name."""
    return DATASETS.names()


def open(name: str, data_dir: str | Path | None = None, *, split: str, **options: Any) -> Dataset:
    """The split of a registered data set: `len(data)`, `data.classes`, `data[3].image`.

    Args:
      name: the registered name (`kseg data list`).
      data_dir: the folder it lies in; the demo needs none.
      split: which part.
      options: what the data set takes beside these.

    Raises:
      ConfigError: no such name or option.
      DataError: the folder does not hold the data set, or there is no such split.
    """
    kind = DATASETS.get(name)
    known = [key for key in inspect.signature(kind).parameters if key not in ("data_dir", "split")]
    for key in options:
        if key not in known:
            takes = did_you_mean(key, known) if known else "It takes none."
            raise ConfigError(f"The data set {name!r} takes no option {key!r}. {takes}")
    return kind(data_dir, split=split, **options)


def open_first(name: str, data_dir: str | Path | None, splits: Sequence[str], **options: Any) -> Dataset:
    """The first of `splits` that the data set has; otherwise as `open`."""
    for split in splits[:-1]:
        try:
            return open(name, data_dir, split=split, **options)
        except NoSuchSplit:
            pass
    return open(name, data_dir, split=splits[-1], **options)
