"""Cross-validation: the images of a data set in parts of nearly equal size (folds), each of which is held out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kseg.datasets.contract import DATASETS, Dataset, Item
from kseg.datasets.own.division import folds_of
from kseg.errors import Advice, ConfigError, Setting


class Pool(Dataset):
    """Items of several parts of one data set, in the order of their names; all else is as in the first part.

    Args:
      parts: the parts.
      split: the name of this one.
      rows: its items, by their number among all in the order of their names; None for all.
    """

    def __init__(self, parts: Sequence[Dataset], split: str, rows: Sequence[int] | None = None) -> None:
        self._parts = tuple(parts)
        for trait in Dataset.__annotations__:
            setattr(self, trait, getattr(parts[0], trait))
        for trait in ("doubts", "notes"):
            setattr(self, trait, tuple(dict.fromkeys(each for part in parts for each in getattr(part, trait))))
        self.question = next((part.question for part in parts if part.question), None)
        counts = Counter(name for part in parts for name in part.ids)
        named = [
            (name if counts[name] == 1 else f"{part.split}_{name}", number, index)
            for number, part in enumerate(parts)
            for index, name in enumerate(part.ids)
        ]
        everything = sorted(named)
        self._rows = range(len(everything)) if rows is None else rows
        self._items = [everything[row] for row in self._rows]
        self.ids = [name for name, _, _ in self._items]
        self.split = split

    def read(self, index: int) -> Item:
        name, part, row = self._items[index]
        item = self._parts[part].read(row)
        return Item(name, item.image, item.label, item.instances, item.weight)

    def location(self, index: int) -> str:
        _, part, row = self._items[index]
        return self._parts[part].location(row)

    def source(self, index: int) -> str:
        _, part, row = self._items[index]
        return self._parts[part].source(row)

    def advice(self, label: Any) -> Advice:
        return self._parts[0].advice(label)

    def folds(self, count: int) -> list[list[int]]:
        """The items of each fold.

        Raises:
          ConfigError: there are fewer images than folds.
        """
        sources = [self.source(index) for index in range(len(self))]
        if (there := len(set(sources))) < count:
            images = f"{there} image{'s' * (there > 1)}" if there == len(self) else f"{there} file{'s' * (there > 1)}"
            fix: Advice = ("At most as many: ", Setting("folds", there), ".") if there > 1 else ("Leave it out.",)
            raise ConfigError(f"folds is {count}, but there {'are' if there > 1 else 'is'} {images} to divide.", *fix)
        fold = folds_of(sources, count)
        return [[index for index in range(len(self)) if fold[index] == number] for number in range(1, count + 1)]

    def without_fold(self, fold: int, count: int) -> dict[str, Dataset]:
        """All items but those of a fold, as "train", and those of the fold, as "val"."""
        held = self.folds(count)[fold - 1]
        others = sorted({*range(len(self))}.difference(held))
        return {"train": self.only(others, "train"), "val": self.only(held, "val")}

    def only(self, indices: Sequence[int], split: str | None = None) -> Pool:
        """The items with these numbers, as a part that may have another name."""
        return Pool(self._parts, split or self.split, [self._rows[index] for index in indices])


def in_folds(parts: Mapping[str, Dataset], count: int, fold: int | None = None) -> dict[str, Dataset]:
    """The parts of a training for a cross-validation.

    Args:
      parts: by use: "train", and where they exist "val" and "test".
      count: of folds.
      fold: the one that is held out, 1..count; None for all images together.

    Returns:
      The images of train and val: those of the other folds as "train" and those of the fold as "val", or all as
      "train", which is a Pool. "test" stays as it is.

    Raises:
      ConfigError: the data set has parts of its own, or fewer images than folds.
    """
    train = parts["train"]
    if train.published and train.name in DATASETS and not DATASETS.origin(train.name):
        what = f"folds is {count}, but {train.name} has parts that belong to the data set."
        raise ConfigError(what, "Folds divide your own images. Leave it out.")
    pool = Pool([parts[use] for use in ("train", "val") if use in parts], "train")
    pool.folds(count)
    test = {use: part for use, part in parts.items() if use == "test"}
    return {**({"train": pool} if fold is None else pool.without_fold(fold, count)), **test}
