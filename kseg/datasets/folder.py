"""A person's own images: `images/` and `labels/`, paired by the name without its ending.

DIR/images/a.png  DIR/labels/a.png            about 80 : 20, by a hash of each file's name
DIR/train/images/a.png  DIR/train/labels/...  DIR/val/...  DIR/test/...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, find_root, first_of
from kseg.datasets.division import SplitRule, held_out
from kseg.datasets.lines import read_lines
from kseg.datasets.opening import Opening, Pair, question_of, words_for_gaps
from kseg.datasets.remembered import remembered
from kseg.errors import ConfigError, DataError
from kseg.images import NO_CLASS, Drawn, is_image, read_label, words_for_below
from kseg.instances import are_numbered, count_numbered

SPLITS = ("train", "val", "test")
MOST_GUESSED = 64


@DATASETS.register("folder")
class Folder(Dataset):
    """Your own images/ and labels/, paired by name; a stack is one item per page.

    Args:
      data_dir: the folder, or the one around it.
      split: train, val or test, as far as there are folders of that name, or all; without val about a fifth of train.
      instances: labels hold one number per object; the classes are then background and object.
      classes: how many there are; by default the lines of classes.txt, else the largest id + 1.
      ignore_class: the number that means void in the files.
      values: the numbers that mean class 0, 1, ... in the files, where they are not 0, 1, ...
      split_rule: how that fifth is found: by a hash of each file's name, or shuffled, as in runs that do not say.
      axes: what the pages of a TIFF are, the outermost first: CYX for channels, ZYX for slices, ZCYX for slices of
        channels; by default what the file itself says.
      alpha: "channel" where a channel that the files call alpha is one like the others, as near infrared often is.
      orientation: of images with an orientation tag (EXIF): "follow" where the labels were drawn on the image as the
        tag turns it, "stored" where on the pixels as stored.
    """

    name = "folder"
    published = False

    def __init__(
        self,
        data_dir: str | Path | None,
        *,
        split: str,
        instances: bool = False,
        classes: int | None = None,
        ignore_class: int | None = None,
        values: Sequence[int] | None = None,
        split_rule: SplitRule = "hash",
        axes: str | None = None,
        alpha: Literal["channel"] | None = None,
        orientation: Drawn | None = None,
    ) -> None:
        if ignore_class is not None and ignore_class in (values or ()):
            raise ConfigError(
                f"{ignore_class} is both void (data.ignore_class) and class {list(values or ()).index(ignore_class)} "
                "(data.values). Name it in one of them."
            )
        if values is not None and not 2 <= len(values) == len(set(values)):
            raise ConfigError(
                f"data.values is {tuple(values)}, but there are two classes at least, each with a number of its own. "
                "Name what means class 0, 1, ... in the files."
            )
        if classes is not None and not 2 <= classes <= VOID:
            raise ConfigError(f"data.classes is {classes}, but there can be 2 to {VOID}. Count the background too.")
        self.has_instances, self._void, self._values, self.split_rule = instances, ignore_class, values, split_rule
        self._opening = Opening(axes, alpha == "channel", orientation)
        self.root, parts = self._find(data_dir)
        self._parts = {part: self._opening.by_page(pairs) for part, pairs in parts.items()}
        self.choose(split, list(dict.fromkeys([*self._parts, "all"])))
        chosen = {split: self._parts[split]} if split in self._parts else self._parts
        self._pairs = [*chain(*chosen.values())]
        self.ids = [self._id(pair) for pair in self._pairs]
        if len(chosen) > 1 and len(set(self.ids)) < len(self.ids):  # train/images/a.png and val/images/a.png
            self.ids = [f"{part}_{self._id(pair)}" for part, pairs in chosen.items() for pair in pairs]
        twice = [item_id for item_id, count in Counter(self.ids).items() if count > 1]
        if twice:
            raise DataError(f"{self.name}: two items are called {twice[0]}. Rename one of the files.")
        self.question = question_of(self._pairs)
        self.classes = self._name_classes(classes)
        self.doubt = " ".join(filter(None, [self.doubt, words_for_gaps(self._pairs)]))

    def read(self, index: int) -> Item:
        pair = self._pairs[index]
        image, gaps = self._opening.read(pair)
        label, void = (self._opening.laid(part, pair, image) for part in self._read_label(pair))
        if gaps is not None and gaps.shape == void.shape:
            void = void | gaps
        if not self.has_instances:
            return Item(self.ids[index], image, np.where(void, VOID, label), weight=pair.weight)
        objects = np.where(void, 0, label)
        label = np.where(void, VOID, (objects > 0).astype(np.int32))
        return Item(self.ids[index], image, label, objects, pair.weight)

    def place(self, index: int) -> str:
        return _place(self._pairs[index])

    def advice(self, label: np.ndarray) -> str:
        found = set(np.unique(label).tolist()) - {NO_CLASS}
        if self._void is not None:
            found -= {VOID}
        if found == {0, 255}:
            return (
                "Only 0 and 255 occur: where 255 is the object, pass --set data.values=0,255; "
                "where it is void, --set data.ignore_class=255."
            )
        objects = "Where every object has its own number, pass --set data.instances=true"
        if max(found) > VOID:
            return f"{objects}. There can be {VOID} classes at most."
        if VOID in found:
            many = max(found - {VOID}, default=0) >= MOST_GUESSED
            return f"{objects + '. ' if many else ''}{VOID} is often void: pass --set data.ignore_class={VOID}."
        path, count = self.root / "classes.txt", max(found) + 1
        where = f"name all {count} in {path}" if path.is_file() else f"pass --set data.classes={count}"
        void = f"; where {max(found)} is void, pass --set data.ignore_class={max(found)}"
        return f"{objects}; where these are classes, {where}{void if self._void is None else ''}."

    def _find(self, data_dir: str | Path | None) -> tuple[Path, dict[str, list[Pair]]]:
        """The folder, and the files of each split."""
        root = find_root(self.name, data_dir, ["images", *(f"{name}/images" for name in SPLITS)])
        if root.name in SPLITS and (root.parent / "train" / "images").is_dir():
            root = root.parent  # a split's own folder was named
        parts = {part: _within(root / part) for part in SPLITS if (root / part / "images").is_dir()}
        if {"val", "train"} <= parts.keys() or parts.keys() == {"test"} and not (root / "images").is_dir():
            return root, parts
        files = parts.pop("train", None) or parts.pop("val", None) or _within(root)
        return root, {**self._divide(files, root), **parts}

    def _divide(self, files: list[Pair], where: Path) -> dict[str, list[Pair]]:
        """train and val: about a fifth of the files, or of the pages where there is a single file.

        Raises:
          DataError: there is only one of it; `where` says so.
        """
        units = files if len(files) > 1 else self._opening.by_page(files)
        if len(units) < 2:
            raise DataError(
                f"{where}: a single image. There must be two at least: one to train on, one to choose the network by."
            )
        val = held_out([self._id(unit) for unit in units], self.split_rule)
        return {
            "train": [unit for number, unit in enumerate(units) if number not in val],
            "val": [unit for number, unit in enumerate(units) if number in val],
        }

    def _id(self, pair: Pair) -> str:
        return self._stem(pair) + ("" if pair.page is None else f"_{pair.page:03d}")

    def _stem(self, pair: Pair) -> str:
        return pair.image.stem

    def _read_label(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """A label file with its numbers made ids, and where it is void, (H, W) bool."""
        stored = read_label(pair.label, pair.page or 0)
        void = (stored == NO_CLASS) | (stored == (NO_CLASS if self._void is None else self._void))
        label = stored
        below = (stored < 0) & ~void
        if below.any() and self._values is None:
            raise DataError(
                f"{_place(pair)}: {first_of(stored, below)}, which is no class and no object: "
                f"{words_for_below(int(stored[below][0]))}."
            )
        if self._values is not None:
            order = np.argsort(self._values)
            known = np.asarray(self._values)[order]
            place = np.searchsorted(known, stored).clip(max=len(known) - 1)
            unknown = (known[place] != stored) & ~void
            if unknown.any():
                raise DataError(
                    f"{_place(pair)}: {first_of(stored, unknown)}, which is not among "
                    f"data.values={tuple(self._values)}. Name the number of every class there."
                )
            label = order[place].astype(np.int32)
        # kseg's own void must not enter unasked: masks of 0 and 255 would lose every object.
        hidden = (label == VOID) & ~void
        if hidden.any() and not self.has_instances:
            taken = f"Void is {self._void} (data.ignore_class): give what is {VOID} another number in the files."
            advice = self.advice(stored) if self._void is None else taken
            raise DataError(f"{_place(pair)}: {first_of(label, hidden)}, which is no class.\n{advice}")
        return label, void

    def _name_classes(self, classes: int | None) -> tuple[str, ...]:
        path = self.root / "classes.txt"
        names = tuple(read_lines(path)) if path.is_file() else ()
        if self.has_instances:
            names = names or ("background", "object")
            classes = classes or 2
        if names and classes not in (None, len(names)):
            raise ConfigError(
                f"data.classes is {classes}, but the classes named are {', '.join(names)}. "
                f"Mend {path}, or leave data.classes out."
            )
        count = len(names) or classes or len(self._values or ()) or self._largest_id() + 1
        if self._values is not None and len(self._values) != count and not self.has_instances:
            raise ConfigError(
                f"data.values names {len(self._values)} numbers, but there are {count} classes. "
                "Name the number of every class."
            )
        return names or tuple(f"class {number}" for number in range(count))

    def _largest_id(self) -> int:
        """The largest id in the labels of all parts; doubts what may be numbered objects, refuses what surely is."""
        labels = [pair.label for pairs in self._parts.values() for pair in pairs]
        options = ["largest id, numbered", self._void, list(self._values or ())]
        largest, numbered = remembered(labels, options, self._look_at_ids)
        if numbered:
            self.doubt = (
                f"the labels seem to number their objects, each 1, 2, ... on its own, up to {largest}; they are taken "
                f"for {largest + 1} classes. Where every object has its own number, pass --set data.instances=true."
            )
        return largest

    def _look_at_ids(self) -> list[int]:
        """The largest id in the labels of all parts, and whether they seem to number objects; reads every label."""
        largest, objects = 1, []
        for pair in (pair for pairs in self._parts.values() for pair in pairs):
            label, void = self._read_label(pair)
            label = np.where(void, 0, label)
            largest = max(largest, int(label.max(initial=0)))
            if largest >= MOST_GUESSED:
                raise DataError(
                    f"{_place(pair)}: {first_of(label, label == largest)}, which makes {largest + 1} classes.\n"
                    + self.advice(label)
                )
            if label.any():
                objects.append(count_numbered(label, np.unique(label).tolist()))
        return [largest, are_numbered(objects)]


def _place(pair: Pair) -> str:
    return f"{pair.label}" if pair.page is None else f"{pair.label}, page {pair.page}"


def _within(folder: Path) -> list[Pair]:
    return pairs(folder / "images", folder / "labels")


def pairs(image_folder: Path, label_folder: Path) -> list[Pair]:
    """Image and label of each name, in the order of the names.

    Args:
      image_folder, label_folder: two folders of one folder.

    Raises:
      DataError: a name has only one of the two, or two of one kind.
    """
    folder = label_folder.parent
    for each in (image_folder, label_folder):
        if not each.is_dir():
            raise DataError(
                f"{each}: there is no such folder. "
                f"Images stand in {image_folder.name}/, their labels in {label_folder.name}/ beside it."
            )
    images, labels = _by_stem(image_folder), _by_stem(label_folder)
    lonely = [f"{image_folder.name}/{images[stem].name}" for stem in sorted(images.keys() - labels.keys())]
    lonely += [f"{label_folder.name}/{labels[stem].name}" for stem in sorted(labels.keys() - images.keys())]
    if lonely:
        raise DataError(
            f"{folder}: {len(images)} images and {len(labels)} labels, {len(lonely)} of them without a partner: "
            f"{', '.join(lonely[:5])}{', ...' if len(lonely) > 5 else ''}. "
            "An image and its label have the same name before the ending."
        )
    if not images:
        raise DataError(
            f"{folder}: {image_folder.name}/ and {label_folder.name}/ hold no image. Put PNG, TIFF, ... files there."
        )
    return [Pair(images[stem], labels[stem]) for stem in sorted(images)]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if is_image(path) and not path.is_dir():  # a link that leads nowhere is to be missed
            if path.stem in found:
                raise DataError(f"{folder}: {found[path.stem].name} and {path.name} share a name. Remove one of them.")
            found[path.stem] = path
    return found
