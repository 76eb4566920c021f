"""Data sets on disk; `open` opens one by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kseg.datasets import demo
from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, NoSuchSplit, by_name, check_made
from kseg.datasets.own import folder, listed
from kseg.datasets.published import camvid, ctc, isbi2012, nyudv2, pascal_context, sbd, siftflow, voc
from kseg.datasets.shards import packed
from kseg.datasets.survey import Survey, survey
from kseg.errors import ConfigError
from kseg.lazy import lazy
from kseg.options import Option, check_required, checked, options_of

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
    "options_from",
    "options_taken",
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
      options: the data set's own.

    Raises:
      ConfigError: there is no such name or option, a needed option is missing, or what is registered is no data set.
      DataError: the folder does not hold the data set, or there is no such split.
    """
    owner, known = f"The data set {name!r}", options_taken(name)
    options = checked(owner, known, options)
    check_required(owner, known, options, "data.")
    data = DATASETS.get(name)(data_dir, split=split, **options)
    check_made(data, owner)
    return data


def options_taken(name: str) -> dict[str, Option]:
    """The options that the data set `name` takes, by their names.

    Raises:
      ConfigError: there is no such data set.
    """
    return options_of(DATASETS.get(name), without=("data_dir", "split"))


def options_from(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the data set `name` from settings by dotted name, as {"data.classes": "3"}.

    Raises:
      ConfigError: there is no such data set or option, or a setting belongs to something else.
    """
    others = [key for key in settings if not key.startswith("data.")]
    if others:
        known = ", ".join(f"data.{key}" for key in options_taken(name)) or "none"
        raise ConfigError(f"{others[0]} can't apply here.", f"Options of the data set {name!r} can: {known}.")
    given = {key.removeprefix("data."): value for key, value in settings.items()}
    return checked(f"The data set {name!r}", options_taken(name), given, "data.")


def open_first(name: str, data_dir: str | Path | None, splits: Sequence[str], **options: Any) -> Dataset:
    """Opens the first of `splits` that the data set has; all else is as in `open`."""
    for split in splits[:-1]:
        try:
            return open(name, data_dir, split=split, **options)
        except NoSuchSplit:
            pass
    return open(name, data_dir, split=splits[-1], **options)
