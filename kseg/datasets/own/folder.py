"""A person's own images: `images/` and `labels/`, paired by name; `layouts` lists what else is understood.

DIR/images/a.png  DIR/labels/a.png            about 80 : 20, by a hash of each file's name; a single image in two parts
DIR/train/images/a.png  DIR/train/labels/...  DIR/val/...  DIR/test/...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, OutsideClasses, SizesDiffer, first_of
from kseg.datasets.labels.colours import find_table
from kseg.datasets.labels.label_files import enlarged, files_of, read_stored, scale_of
from kseg.datasets.labels.smoothed import flat_counts, is_smoothed
from kseg.datasets.own.cached import remembered
from kseg.datasets.own.division import LEAST_SIDE, SplitRule, held_out, region
from kseg.datasets.own.layouts import find
from kseg.datasets.own.opening import Opening, question_of
from kseg.datasets.own.pairing import Pair, complete_pairs, no_folder
from kseg.datasets.text_files import read_lines
from kseg.errors import Advice, ConfigError, DataError, Doubt, Setting
from kseg.images import NO_CLASS, Drawn, doubts_of_no_data
from kseg.instances import are_numbered, count_numbered

MOST_GUESSED = 64  # more classes without names are refused
MANY_CLASSES = 20  # more classes without names are doubted
FEW = 8  # labels that are read where reading all would take too long
SMOOTHED = (
    "These are the grey levels of a mask of 0 and 255 with smoothed edges, no class numbers: the corrected copy of "
    "`kseg data check` has 1 from 128 on, else 0."
)
NUMBERED = ("Where every object has its own number, pass ", Setting("data.instances", True))


@DATASETS.register("folder")
class Folder(Dataset):
    """Your own images/ and labels/, paired by name; each page of a stack is an item.

    Args:
      data_dir: the folder, or the one around it.
      split: train, val or test where there are folders of that name, or all; without val/ about a fifth of train.
      instances: labels hold one number per object; the classes are then background and object.
      classes: how many there are; by default the lines of classes.txt, else the largest id + 1.
      ignore_class: the number that means void in the files.
      values: the numbers that mean class 0, 1, ... in the files, where they are not 0, 1, ...
      colours: a table of what the labels' colours mean; by default one that lies in the folder.
      unlabelled: images without a label are refused, or left out and counted.
      enlarge_labels: labels that are smaller than their image are enlarged; each new pixel is the nearest of the label.
      split_rule: how that fifth is found: by a hash of each file's name, or shuffled, as in runs that do not say.
      axes: what the pages of a TIFF are, the outermost first: CYX for channels, ZYX for slices, ZCYX for slices of
        channels; by default what the file itself says.
      alpha: "channel" where a channel that the files call alpha is one like the others, as near infrared often is.
      orientation: for images with an orientation tag (EXIF): "follow" where labels were drawn on the image as the tag
        turns it, "stored" where they were drawn on the stored pixels.
      upright: whether the images have an up, as photographs do and microscopy does not.
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
        colours: str | None = None,
        unlabelled: Literal["refuse", "leave"] = "refuse",
        enlarge_labels: bool = False,
        split_rule: SplitRule = "hash",
        axes: str | None = None,
        alpha: Literal["channel"] | None = None,
        orientation: Drawn | None = None,
        upright: bool = False,
    ) -> None:
        if ignore_class is not None and ignore_class in (values or ()):
            number = list(values or ()).index(ignore_class)
            what = f"{ignore_class} is both void (data.ignore_class) and class {number} (data.values)."
            raise ConfigError(what, "Name it in one of them.")
        if values is not None and not 2 <= len(values) == len(set(values)):
            what = f"data.values is {tuple(values)}, but there are two classes at least, each with a number of its own."
            raise ConfigError(what, "Name what means class 0, 1, ... in the files.")
        if classes is not None and not 2 <= classes <= VOID:
            raise ConfigError(f"data.classes is {classes}, but there can be 2 to {VOID}.", "Count the background too.")
        self.has_instances, self._void, self._values, self.split_rule = instances, ignore_class, values, split_rule
        self.upright = upright
        self._opening = Opening(axes, alpha == "channel", orientation)
        self._leave, self._enlarge = unlabelled == "leave", enlarge_labels
        self.root, parts = self._find(data_dir)
        self._table = find_table(self.root, colours)
        if self._table and self._table.has_void and self._void is None:
            self._void = VOID
        if any(pair.label.is_dir() for pairs in parts.values() for pair in pairs):
            self.has_instances = True  # there is one mask per object
        self._parts = {part: self._opening.by_page(pairs) for part, pairs in parts.items()}
        self._has_files = len({pair.image for pairs in self._parts.values() for pair in pairs}) > 1
        self.choose(split, list(dict.fromkeys([*self._parts, "all"])))
        chosen = {split: self._parts[split]} if split in self._parts else self._parts
        self._pairs = [*chain(*chosen.values())]
        if len(chosen) > 1:  # an image that is divided counts once, as a whole
            whole = [pair._replace(region=None) for pair in self._pairs if pair.region == "train"]
            self._pairs = [*whole, *(pair for pair in self._pairs if not pair.region)]
        self.ids = [self._id(pair) for pair in self._pairs]
        if len(chosen) > 1 and len(set(self.ids)) < len(self.ids):  # as train/images/a.png and val/images/a.png
            self.ids = [f"{part}_{self._id(pair)}" for part, pairs in chosen.items() for pair in pairs]
        twice = [item_id for item_id, count in Counter(self.ids).items() if count > 1]
        if twice:
            raise DataError(f"{self.name}: two items are called {twice[0]}.", "Rename one of the files.")
        self.question = question_of(self._pairs)
        self.classes = self._name_classes(classes)
        self.doubts += (*doubts_of_no_data([pair.no_data for pair in self._pairs]),)

    def read(self, index: int) -> Item:
        pair = self._pairs[index]
        image, gaps = self._opening.read(pair)
        label, void = (self._opening.turned_onto(part, pair, image) for part in self._read_label(pair))
        if scale_of(image.shape[:2], label.shape):
            if not self._enlarge:
                sizes = (
                    f"the label is {' x '.join(map(str, label.shape))}, the image {image.shape[0]} x {image.shape[1]}."
                )
                fix = "They must be of one size: export it again, or, where it shows the whole image, pass "
                raise SizesDiffer(f"{_named(pair)}: {sizes}", fix, Setting("data.enlarge_labels", True), ".")
            label, void = (enlarged(part, image.shape[:2]) for part in (label, void))
        if gaps is not None and gaps.shape == void.shape:
            void = void | gaps
        if pair.region:
            part = region(pair.region, *void.shape)
            image, label, void = image[part], label[part], void[part]
        if not self.has_instances:
            return Item(self.ids[index], image, np.where(void, VOID, label), weight=pair.weight)
        objects = np.where(void, 0, label)
        label = np.where(void, VOID, (objects > 0).astype(np.int32))
        return Item(self.ids[index], image, label, objects, pair.weight)

    def location(self, index: int) -> str:
        return _named(self._pairs[index])

    def source(self, index: int) -> str:
        """The file; of a single stack the page."""
        pair = self._pairs[index]
        return self._stem(pair) if pair.region or self._has_files else self.ids[index]

    def advice(self, label: np.ndarray) -> Advice:
        found = set(np.unique(label).tolist()) - {NO_CLASS}
        if self._void is not None:
            found -= {VOID}
        if found == {0, 255}:
            objects = "where 255 is the object, pass ", Setting("data.values", (0, 255)), "; where 0 is, "
            void = "; where 255 is void, ", Setting("data.ignore_class", 255), "."
            return "Only 0 and 255 occur: ", *objects, Setting("data.values", (255, 0)), *void
        largest = max(found)
        if largest == VOID and is_smoothed(found, flat_counts(label)):
            return (SMOOTHED,)
        if largest > VOID:
            return *NUMBERED, f". There can be {VOID} classes at most."
        if largest == VOID:
            many = max(found - {VOID}, default=0) >= MOST_GUESSED
            void = f"{VOID} is often void: pass ", Setting("data.ignore_class", VOID), "."
            return (*NUMBERED, ". ", *void) if many else void
        path, count = self.root / "classes.txt", largest + 1
        named: Advice = ("pass ", Setting("data.classes", count))
        if path.is_file():
            named = (f"name all {count} in {path}",)
        if self._void is None:
            named = (*named, f"; where {largest} is void, pass ", Setting("data.ignore_class", largest))
        return *NUMBERED, "; where these are classes, ", *named, "."

    def _find(self, data_dir: str | Path | None) -> tuple[Path, dict[str, list[Pair]]]:
        """The folder, and the files of each split."""
        found = find(self.name, data_dir)
        root, notes = found.root, [*found.notes, *found.unread]
        for folder in found.missing:
            raise no_folder(folder, notes=notes)
        parts = {}
        for part, matched in found.parts.items():
            parts[part] = complete_pairs(matched, root, leave=self._leave)
            if matched.images:
                notes.append(f"{len(matched.images)} images without a label are left out{f' of {part}' * bool(part)}")
        self.notes = tuple(notes)
        if {"val", "train"} <= parts.keys() or parts.keys() == {"test"}:
            return root, parts
        files = parts.pop("", None) or parts.pop("train", None) or parts.pop("val")
        return root, {**self._divide(files, root), **parts}

    def _divide(self, files: list[Pair], where: Path) -> dict[str, list[Pair]]:
        """train and val: about a fifth of the files, of the pages of a single file, or of a single image.

        Raises:
          DataError: there is a single image, which is too small to be divided; `where` names the folder or table.
        """
        units = files if len(files) > 1 else self._opening.by_page(files)
        if len(units) == 1:
            return self._divide_image(units[0], where)
        val = held_out([self._id(unit) for unit in units], self.split_rule)
        return {
            "train": [unit for number, unit in enumerate(units) if number not in val],
            "val": [unit for number, unit in enumerate(units) if number in val],
        }

    def _divide_image(self, unit: Pair, where: Path) -> dict[str, list[Pair]]:
        height, width = self._opening.pages(unit.image).shape[1:3]
        if max(height, width) < LEAST_SIDE:
            fix = (
                f"There must be two at least, or one of {LEAST_SIDE} pixels: to train on, and to choose the network by."
            )
            raise DataError(f"{where}: a single image of {height} x {width}.", fix)
        side = "lowest" if height >= width else "rightmost"
        self.notes += (
            f"there is a single image: its {side} fifth is held out, and a strip beside it is used for neither",
        )
        return {part: [unit._replace(region=part)] for part in ("train", "val")}

    def _id(self, pair: Pair) -> str:
        page = "" if pair.page is None else f"_{pair.page:03d}"
        return self._stem(pair) + page + (f"_{pair.region}" if pair.region else "")

    def _stem(self, pair: Pair) -> str:
        return pair.name.replace("/", "_") or pair.image.stem

    def _read_label(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """The ids in a label file, (H, W) int32, and the pixels that are void, (H, W) bool."""
        stored = self._stored(pair)
        void = (stored == NO_CLASS) | (stored == (NO_CLASS if self._void is None else self._void))
        label = stored
        below = (stored < 0) & ~void
        if below.any() and self._values is None:
            what = f"{_named(pair)}: {first_of(stored, below)}, which is no class and no object."
            void_is = Setting("data.ignore_class", int(stored[below][0]))
            raise OutsideClasses(what, "Where it is void, pass ", void_is, ".")
        if self._values is not None:
            order = np.argsort(self._values)
            known = np.asarray(self._values)[order]
            rank = np.searchsorted(known, stored).clip(max=len(known) - 1)
            unknown = (known[rank] != stored) & ~void
            if unknown.any():
                what = f"{first_of(stored, unknown)}, which is not among data.values={tuple(self._values)}."
                raise OutsideClasses(f"{_named(pair)}: {what}", "Name the number of every class there.")
            label = order[rank].astype(np.int32)
        # 255 must not become void unless a person says so: masks of 0 and 255 would lose every object.
        hidden = (label == VOID) & ~void
        if hidden.any() and not self.has_instances:
            taken = f"Void is {self._void} (data.ignore_class): give what is {VOID} another number in the files."
            advice = self.advice(stored) if self._void is None else (taken,)
            raise OutsideClasses(f"{_named(pair)}: {first_of(label, hidden)}, which is no class.", *advice)
        return label, void

    def _name_classes(self, classes: int | None) -> tuple[str, ...]:
        path = self.root / "classes.txt"
        names = tuple(read_lines(path)) if path.is_file() else self._table.names if self._table else ()
        if self.has_instances:
            self._doubt_objects()
            names = names or ("background", "object")
            classes = classes or 2
        if names and classes not in (None, len(names)):
            what = f"data.classes is {classes}, but the classes named are {', '.join(names)}."
            raise ConfigError(what, f"Mend {path}, or leave data.classes out.")
        count = len(names) or classes or len(self._values or ()) or self._largest_id() + 1
        if self._values is not None and len(self._values) != count and not self.has_instances:
            what = f"data.values names {len(self._values)} numbers, but there are {count} classes."
            raise ConfigError(what, "Name the number of every class.")
        return names or tuple(f"class {number}" for number in range(count))

    def _doubt_objects(self) -> None:
        """Adds a doubt where a few of the labels look like masks with smoothed edges and not like numbered objects."""
        for pair in self._pairs[:FEW]:
            stored = self._stored(pair)
            if int(stored.max(initial=0)) == VOID and is_smoothed(np.unique(stored).tolist(), flat_counts(stored)):
                self.doubts = (Doubt(f"{_named(pair)}: {SMOOTHED}"),)

    def _stored(self, pair: Pair) -> np.ndarray:
        return read_stored(pair.label, pair.page or 0, self._table, VOID if self._void is None else self._void)

    def _largest_id(self) -> int:
        """The largest id in the labels of all parts; adds a doubt where they may number objects.

        Raises:
          DataError: the labels surely number objects.
        """
        labels = [file for pairs in self._parts.values() for pair in pairs for file in files_of(pair.label)]
        colours = sorted(self._table.numbers.items()) if self._table else None
        options = ["largest id, numbered", self._void, list(self._values or ()), colours]
        largest, numbered = remembered(labels, options, self._look_at_ids)
        classes = f"{largest + 1} classes"
        if numbered:
            what = f"the labels seem to number their objects, each 1, 2, ... on its own, up to {largest}"
            self.doubts = (Doubt(f"{what}; they are taken for {classes}.", (*NUMBERED, ".")),)
        elif largest >= MANY_CLASSES:
            fix = *NUMBERED, "; where these are classes, ", Setting("data.classes", largest + 1), "."
            self.doubts = (Doubt(f"the labels hold numbers up to {largest}, which makes {classes}.", fix),)
        return largest

    def _look_at_ids(self) -> list[int]:
        """Reads every label: the largest id in the labels of all parts, and whether they seem to number objects."""
        largest, objects = 1, []
        for pair in (pair for pairs in self._parts.values() for pair in pairs):
            label, void = self._read_label(pair)
            label = np.where(void, 0, label)
            largest = max(largest, int(label.max(initial=0)))
            if largest >= MOST_GUESSED:
                what = f"{first_of(label, label == largest)}, which makes {largest + 1} classes."
                raise DataError(f"{_named(pair)}: {what}", *self.advice(label))
            if label.any():
                objects.append(count_numbered(label, np.unique(label).tolist()))
        return [largest, are_numbered(objects)]


def _named(pair: Pair) -> str:
    page = "" if pair.page is None else f", page {pair.page}"
    return f"{pair.label}{page}" + (f", the part for {pair.region}" if pair.region else "")
