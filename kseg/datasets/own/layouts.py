"""Finds a person's images and labels in the layouts that are in use, under the names that are in use.

DIR/images/a.png      DIR/labels/a.png                  or masks/, ... for labels/
DIR/train/images/...  DIR/val/...  DIR/test/...         or DIR/images/train/...; also valid/, training/, ...
DIR/images/EXP/a.png  DIR/labels/EXP/a.png              one folder per experiment
DIR/a.png  DIR/a_mask.png                               beside each other
DIR/images/a.png  DIR/masks/a/1.png, 2.png              a folder with one mask per object
DIR/ID/images/ID.png  DIR/ID/masks/1.png, 2.png         the same in the layout of the 2018 Data Science Bowl
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from kseg.datasets.contract import find_root
from kseg.datasets.own.ignored_files import unread
from kseg.datasets.own.pairing import Matched, Pair, apart, folders_in, match, names_in
from kseg.errors import Advice, DataError
from kseg.images import is_image

SPLITS = ("train", "val", "test")
# The split that the name of a folder means.
SPLIT_OF = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SPLIT_OF |= {"test": "test", "testing": "test"}
IMAGES = ("images", "image", "imgs", "jpegimages")
HOW: Advice = (
    "Put the images into images/ and their labels into labels/, under the same names; a_mask.png beside a.png is "
    "understood too.",
)
OF_SEVERAL: Advice = (
    "Name one of them. To train on all of them, give each a folder in one images/ and one labels/: images/NAME/..., "
    "labels/NAME/...",
)
LABELS = ("labels", "masks", "label", "mask", "annotations", "groundtruth", "gt", "segmentationclass")


@dataclass
class Found:
    """How a person's folder was understood.

    Attributes:
      root: the folder.
      parts: its pairs by split, "" where there is none.
      notes: text about folders with other names or in another layout.
      unread: text about what was not looked at.
      missing: folders of labels that are not there.
      looked_into: folders whose inner folders were looked at.
      paired: folders whose files were paired.
    """

    root: Path
    parts: dict[str, Matched] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    looked_into: list[Path] = field(default_factory=list)
    paired: list[Path] = field(default_factory=list)


def find(name: str, data_dir: str | Path | None) -> Found:
    """Finds and pairs the images and labels in a folder.

    Raises:
      DataError: the folder holds none, or two folders could be meant.
    """
    root = _root(name, data_dir)
    found = Found(root)
    splits = _splits(root, found)
    if splits and not {"train", "val"} & splits.keys() and _one_of(root, IMAGES):
        splits[""] = root
    for split, folder in (splits or {"": root}).items():
        images = _one_of(folder, IMAGES)
        if images is None:
            _pair_otherwise(found, split, folder)
            continue
        labels = _one_of(folder, LABELS, found)
        within = {} if split or names_in(images) else _splits(images, found)
        found.looked_into += [images, *([labels] if labels else [])] if within else []
        for part, inner in (within or {split: images}).items():
            _pair(found, part, inner, labels / inner.name if within and labels else labels)
    found.parts = {part: found.parts[part] for part in ("", *SPLITS) if part in found.parts}
    found.notes += [note for part in found.parts.values() for note in part.notes]
    looked_into = [root, *splits.values(), *found.looked_into]
    found.unread = unread(root, looked_into, found.paired, {p for part in found.parts.values() for p in part.pairs})
    return found


def _root(name: str, data_dir: str | Path | None) -> Path:
    """The folder of images, labels and splits: the one that was named, one in it, or the one around it."""
    if data_dir is not None and Path(data_dir).is_dir():
        given = Path(data_dir)
        if _holds(given):
            around = given.resolve().parent
            beside = [path for path in around.iterdir() if SPLIT_OF.get(path.name.lower()) == "train"]
            return around if given.resolve().name.lower() in SPLIT_OF and any(map(_holds, beside)) else given
        inner = [path for path in sorted(given.iterdir()) if path.is_dir() and _holds(path)]
        if len(inner) == 1:
            return inner[0]
    wanted = [*IMAGES, *(f"{split}/{images}" for split in SPLIT_OF for images in IMAGES)]
    said = ("images", "train/images", "val/images", "test/images")
    return find_root(name, data_dir, wanted, said=said, if_none=HOW, if_several=OF_SEVERAL)


def _holds(folder: Path) -> bool:
    """Whether `folder` has one of the layouts."""
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        return False
    inner = [path for path in folder.iterdir() if path.is_dir()]
    levels = [folder, *(path for path in inner if path.name.lower() in SPLIT_OF)]
    if any(path.name.lower() in IMAGES and path.is_dir() for level in levels for path in level.iterdir()):
        return True
    return any(_flat(level) or _per_object(level) for level in levels)


def _splits(folder: Path, found: Found) -> dict[str, Path]:
    """The folders of splits in `folder`, by kseg's names of the splits."""
    splits = {}
    for split in SPLITS:
        there = [
            path for path in sorted(folder.iterdir()) if path.is_dir() and SPLIT_OF.get(path.name.lower()) == split
        ]
        if folder.name.lower() not in IMAGES:
            there = [path for path in there if _one_of(path, IMAGES) or _flat(path) or _per_object(path)]
        if len(there) > 1:
            what = f"{folder}: {' and '.join(path.name for path in there)} could both be {split}."
            raise DataError(what, "Keep one of them there.")
        if there:
            splits[split] = there[0]
            if there[0].name != split:
                found.notes.append(f"{there[0].name}/ is taken for {split}/")
    return splits


def _one_of(folder: Path, names: tuple[str, ...], found: Found | None = None) -> Path | None:
    """The folder in `folder` with the first of `names`, else with another of them; None where there is none.

    Raises:
      DataError: two have other names than the first.
    """
    there = [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name.lower() in names]
    first = [path for path in there if path.name == names[0]]
    if first or not there:
        return first[0] if first else None
    if len(there) > 1:
        what = f"{folder}: {' and '.join(path.name for path in there)} could both be {names[0]}/."
        raise DataError(what, f"Rename the one that is meant to {names[0]}.")
    if found is not None:
        found.notes.append(f"{there[0].name}/ is taken for {names[0]}/")
    return there[0]


def _pair(found: Found, split: str, images: Path, labels: Path | None) -> None:
    """Pairs the files of two folders, and of the inner folders that both have."""
    found.paired += [images, *([labels] if labels and labels.is_dir() else [])]
    if labels is None or not labels.is_dir():
        flat = match(*apart(list(names_in(images))))
        if flat.pairs:
            found.notes.append(f"the labels are taken from {images.name}/, where they lie beside the images")
        else:
            found.missing.append(labels or images.with_name(LABELS[0]))
        found.parts[split] = flat
        return
    inner = set(folders_in(images)) & set(folders_in(labels))
    names = names_in(labels, inner)
    objects = {labels / name: name for name in folders_in(labels) if name not in inner}
    image_names = names_in(images, inner)
    if objects and not match(image_names, objects).pairs:
        objects = {}
    found.parts[split] = match(image_names, names | objects)
    if inner:
        found.notes.append(
            f"the folders {', '.join(sorted(inner)[:5])} in {images.name}/ and {labels.name}/ are one set"
        )
    _say_objects(found, len(objects), labels)


def _pair_otherwise(found: Found, split: str, folder: Path) -> None:
    """Pairs the files of a folder without images/."""
    pairs = _per_object(folder)
    found.paired += [] if pairs else [folder]
    if pairs:
        found.parts[split] = Matched(pairs)
        _say_objects(found, len(pairs), folder)
        return
    files = list(names_in(folder))
    images, labels = apart(files)
    found.parts[split] = match(images, labels)
    found.notes.append(f"images and labels lie beside each other in {folder.name}/")


def _say_objects(found: Found, count: int, folder: Path) -> None:
    if count:
        found.notes.append(f"{count} images in {folder.name}/ have a folder of masks, one for each object")


def _flat(folder: Path) -> bool:
    """Whether `folder` has images and their labels beside each other."""
    return folder.is_dir() and bool(match(*apart(list(names_in(folder)))).pairs)


def _per_object(folder: Path) -> list[Pair]:
    """The pairs of ID/images/ID.png with the folder ID/masks; [] where `folder` has another layout."""
    pairs = []
    for inner in sorted(folder.iterdir()) if folder.is_dir() else ():
        images = [path for path in (inner / "images").glob("*") if is_image(path)]
        if len(images) == 1 and (inner / "masks").is_dir() and any(map(is_image, (inner / "masks").iterdir())):
            pairs.append(Pair(images[0], inner / "masks", name=inner.name))
    many = [pair for pair in pairs if len(list(pair.label.iterdir())) > 1]
    return pairs if len(pairs) > 1 and many else []
