"""What every data set is: a list of items, each an image and a label, which are checked when they are read.

For a network of several streams an item has a dict of images by stream; for several tasks it has a dict of labels by
head. `images`, `labels` and `heads` are dicts in every data set; a single image or label has the name "".
"""

from __future__ import annotations

import abc
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, SupportsIndex, overload

import numpy as np

from kseg.errors import Advice, ConfigError, DataError, Doubt, Setting, did_you_mean
from kseg.registry import Registry

VOID = 255


class NoSuchSplit(DataError):
    """The data set is there, but has no such split; `known` are those it has."""

    def __init__(self, what: str, *fix: str | Setting, known: Sequence[str] = ()) -> None:
        super().__init__(what, *fix)
        self.known = tuple(known)


class SizesDiffer(DataError):
    """An image and its label are of different size."""


class OutsideClasses(DataError):
    """A label holds a number that is no class."""


@dataclass(frozen=True, eq=False)
class Item:
    """One labelled image.

    Attributes:
      id: its name within the data set, fit for a file name.
      image: (H, W, C) uint8, uint16 or float32, or a dict of such by stream.
      label: (H, W) int32, 0..classes-1, or 255 for void, or a dict of such by head.
      instances: (H, W) int32, 0 background, one number per object; None where objects have no numbers.
      weight: how much the item counts in the loss, >= 0, no unit.
    """

    id: str
    image: Any
    label: Any
    instances: np.ndarray | None = None
    weight: float = 1.0

    def __repr__(self) -> str:
        arrays = {f"{stream} image".strip(): image for stream, image in self.images.items()}
        arrays |= {f"{head} label".strip(): label for head, label in self.labels.items()}
        if self.instances is not None:
            arrays["instances"] = self.instances
        parts = [f"{name} {np.shape(array)} {np.asarray(array).dtype}" for name, array in arrays.items()]
        if self.weight != 1:
            parts.append(f"weight {self.weight:g}")
        return f"<Item {self.id}: {', '.join(parts)}>"

    @property
    def images(self) -> dict[str, np.ndarray]:
        """The images by stream."""
        return by_name(self.image)

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """The labels by head."""
        return by_name(self.label)


class Dataset(abc.ABC):
    """One split of a data set on disk: `len(data)`, `data[i]`, `data[2:5]` (a data set again), `data.classes`.

    Attributes:
      name: the registered name.
      split: which part this is.
      splits: the parts there are.
      classes: the names of the classes in the order of their ids, or a dict of such by head.
      scored_classes: the ids that the set's protocol averages over, or a dict of such; None for all that occur.
      has_instances: whether items number their objects; then SEG is among the scores.
      has_weights: whether the images have weights.
      em_measures: names of kseg.metrics.em.MEASURES by which the set is scored, of class 1 against class 0.
      colour_channels: for each stream, how many of the first channels are grey levels or colours, which change with
        the light; 0 for a stream that is missing here. None: all channels of the streams "" and "rgb", but of four
        channels the first three.
      colour_white: the level of these channels that is white; None where the type of the images says it.
      upright: whether the images have a top, as photographs do and microscopy does not. Then a network must not see
        them turned.
      colours: (K, 3) RGB, 0..255, one per class, or a dict of such by head; None: PASCAL VOC's palette.
      published: whether the set is the same in every folder; else another folder is another set.
      local_options: the options that depend on what one folder holds, as frames to leave out.
      doubts: what the user may have meant otherwise.
      question: what a person must answer before anything is trained or scored on the set; None where nothing is open.
      notes: how a person's folder was understood, and what in it was not looked at.
      ids: the items' names.
    """

    name: ClassVar[str] = "data"
    ignore_class = VOID
    split: str = "all"
    splits: tuple[str, ...] = ("all",)
    classes: Any
    scored_classes: Any = None
    has_instances: bool = False
    has_weights: bool = False
    em_measures: tuple[str, ...] = ()
    colour_channels: Mapping[str, int] | None = None
    colour_white: float | None = None
    upright: bool = False
    colours: Any = None
    published: bool = True
    local_options: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    question: Doubt | None = None
    notes: tuple[str, ...] = ()
    ids: Sequence[str]

    @abc.abstractmethod
    def read(self, index: int) -> Item:
        """Item `index` as its files have it, not checked yet."""

    @property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """The classes' names by head."""
        return by_name(self.classes)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        classes = " and ".join(f"{len(names)} {head} classes".replace("  ", " ") for head, names in self.heads.items())
        return f"<{self._title()} images, {classes}>"

    def _title(self) -> str:
        return f"{self.name} {self.split}: {len(self)}"

    @overload
    def __getitem__(self, index: SupportsIndex) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Item | Dataset:
        """Item `index`, counted from the end where it is negative; for a slice, the data set of these items.

        Raises:
          DataError: a file can't be read, image and label differ in size, or a label lies outside the classes.
          IndexError: there are fewer items.
        """
        if isinstance(index, slice):
            return _Part(self, range(len(self))[index])
        if not hasattr(index, "__index__"):
            raise TypeError(f"{self!r}: give an item's number, or a slice for several (data[2:5]), not {index!r}.")
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self!r} has no item {index}")
        index %= len(self)
        item = self.read(index)
        for label in item.labels.values():
            for image in item.images.values():
                if image.shape[:2] != label.shape:
                    what = f"{self.location(index)}: {_sizes_differ(image, label)}"
                    raise SizesDiffer(what, "They must be of one size, pixel for pixel; export the label again.")
        for head, label in item.labels.items():
            count = len(self.heads[head])
            stray = (label < 0) | (label >= count) & (label != VOID)
            if stray.any():
                kind = f"{head} classes".strip()
                what = f"{self.location(index)}: {first_of(label, stray)}, but there are {count} {kind}."
                raise OutsideClasses(what, *self.advice(label))
        return item

    def location(self, index: int) -> str:
        """Where the label of item `index` is stored, for messages; its id where there is no better name."""
        return self.ids[index]

    def source(self, index: int) -> str:
        """What item `index` was taken from. Items of one source are alike, so no fold holds out a part of them."""
        return self.ids[index]

    def advice(self, label: np.ndarray) -> Advice:
        """What to do about `label` (H, W), which lies outside the classes."""
        return ("Is this the data set as published?",)

    def check_settled(self) -> None:
        """Raises DataError where a person must answer a question before the set is learned from or scored."""
        if self.question:
            raise DataError(self.question.what, *self.question.fix)

    def choose(self, split: str, splits: Sequence[str]) -> None:
        """Sets `split` and `splits`; raises NoSuchSplit where the split is not one of them."""
        if split not in splits:
            raise NoSuchSplit(f"{self.name}: there is no split {split!r}.", did_you_mean(split, splits), known=splits)
        self.split, self.splits = split, tuple(splits)


def check_made(data: Any, what: str) -> None:
    """Checks that what a person's code made is a data set.

    Args:
      data: what it made.
      what: the maker, for messages.

    Raises:
      ConfigError: `data` is no data set, or lacks ids or classes.
    """
    if not isinstance(data, Dataset):
        raise ConfigError(f"{what}: found {type(data).__name__}, but a kseg.datasets.Dataset is wanted.")
    for name, words in (("ids", "the items' names"), ("classes", "the classes' names")):
        if not hasattr(data, name):
            raise ConfigError(f"{what}: {type(data).__name__} has no {name}.", f"Set {name} in its __init__: {words}.")


class _Part(Dataset):
    """Some items of another data set in an order of their own; all else is as in that set."""

    def __init__(self, whole: Dataset, rows: Sequence[int]) -> None:
        self._whole: Dataset = whole._whole if isinstance(whole, _Part) else whole
        self._rows: Sequence[int] = [whole._rows[row] for row in rows] if isinstance(whole, _Part) else rows
        for trait in Dataset.__annotations__:
            setattr(self, trait, getattr(whole, trait))
        self.ids = [whole.ids[row] for row in rows]

    def read(self, index: int) -> Item:
        return self._whole.read(self._rows[index])

    def location(self, index: int) -> str:
        return self._whole.location(self._rows[index])

    def source(self, index: int) -> str:
        return self._whole.source(self._rows[index])

    def advice(self, label: np.ndarray) -> Advice:
        return self._whole.advice(label)

    def _title(self) -> str:
        return f"{self.name} {self.split}: {len(self)} of {len(self._whole)}"


DATASETS: Registry[Callable[..., Dataset]] = Registry("data set")


def find_root(
    name: str,
    data_dir: str | Path | None,
    wanted: Sequence[str],
    *,
    said: Sequence[str] | None = None,
    if_none: Advice = (),
    if_several: Advice = ("Name one of them.",),
) -> Path:
    """The folder that holds one of `wanted`: `data_dir`, a folder in it, or the one around it.

    Args:
      name: the data set's, for messages.
      data_dir: what was named.
      wanted: files or folders.
      said: which of them messages name; None for all.
      if_none, if_several: what to do where no folder holds one, or several folders in `data_dir` do.

    Raises:
      DataError: no folder holds one, or several do; the message says what was looked for and where.
    """
    if data_dir is None:
        wish = f", a folder that holds {' or '.join(said or wanted)}."
        raise DataError(f"{name}: where is it?", "Pass ", Setting("data_dir"), wish)
    given = Path(data_dir)
    if not given.is_dir():
        raise DataError(f"{name}: there is no folder {given}.")
    inner = sorted(path for path in given.iterdir() if path.is_dir() and not path.name.startswith("."))
    for folders in ([given], inner, [given.resolve().parent]):
        holding = [folder for folder in folders if any((folder / path).exists() for path in wanted)]
        if len(holding) > 1:
            several = ", ".join(path.name for path in holding)
            raise DataError(f"{name}: {given} holds it more than once: {several}.", *if_several)
        if holding:
            return holding[0]
    raise DataError(
        f"{name}: {given} does not hold it. Looked there, in its folders and around it for "
        f"{', '.join(said or wanted)}; "
        f"found {', '.join(sorted(path.name for path in given.iterdir())[:8]) or 'nothing'}.",
        *if_none,
    )


def first_of(label: np.ndarray, where: np.ndarray) -> str:
    """Text about the pixels of `label` (H, W) at which `where` is true: the first of them, and how many there are."""
    row, column = np.argwhere(where)[0]
    count = int(where.sum())
    return f"label {label[row, column]} at row {row}, column {column} ({count:,} pixels, {count / where.size:.1%})"


def by_name(value: Any) -> dict[str, Any]:
    """A dict as it is; anything else under the name ""."""
    return dict(value) if isinstance(value, Mapping) else {"": value}


def _sizes_differ(image: np.ndarray, label: np.ndarray) -> str:
    height, width = image.shape[:2]
    turned = label.shape == (width, height) and height != width
    return f"the image is {height} x {width}, the label {label.shape[0]} x {label.shape[1]}" + (
        " (turned by a quarter: was one of them rotated by its EXIF tag?)." if turned else "."
    )
