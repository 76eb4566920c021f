"""PASCAL-Context: VOC 2010's images with every pixel labelled, in 59, 60 or 33 classes.

    DIR/trainval/ID.mat             LabelMap, 459 labels (59 and 60 classes)
    DIR/33_context_labels/ID.png    0 nothing, 1..33 (33 classes), named by DIR/33_labels.txt
    DIR/VOCdevkit/VOC2010/JPEGImages/ID.jpg
    DIR/VOCdevkit/VOC2010/ImageSets/Main/{train,val}.txt

Source: Mottaghi et al., CVPR 2014. The order of the classes and their labels is from the FCN authors' release; other
toolboxes order them by the alphabet.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, OutsideClasses, find_root, first_of
from kseg.datasets.published.mat import read_mat
from kseg.datasets.published.voc import find_kit
from kseg.datasets.text_files import read_lines
from kseg.errors import ConfigError, DataError
from kseg.images import read_image, read_label

# The number of each class among the 459 labels that labels.txt in the archive names.
LABELS = {
    "aeroplane": 2, "bicycle": 23, "bird": 25, "boat": 31, "bottle": 34, "bus": 45, "car": 59, "cat": 65, "chair": 72,
    "cow": 98, "diningtable": 397, "dog": 113, "horse": 207, "motorbike": 258, "person": 284, "pottedplant": 308,
    "sheep": 347, "sofa": 368, "train": 416, "tvmonitor": 427, "bag": 9, "bed": 18, "bench": 22, "book": 33,
    "building": 44, "cabinet": 46, "ceiling": 68, "clothes": 80, "computer": 85, "cup": 104, "door": 115, "fence": 144,
    "floor": 158, "flower": 159, "food": 162, "grass": 187, "ground": 189, "keyboard": 220, "light": 232,
    "mountain": 259, "mouse": 260, "curtain": 105, "platform": 296, "sign": 355, "plate": 295, "road": 324,
    "rock": 326, "shelves": 349, "sidewalk": 354, "sky": 360, "snow": 366, "bedcloth": 19, "track": 415, "tree": 420,
    "truck": 424, "wall": 440, "water": 445, "window": 454, "wood": 458,
}  # fmt: skip
HIGHEST = 459
MAIN = "ImageSets/Main"


@DATASETS.register("pascal-context")
class PascalContext(Dataset):
    """PASCAL-Context: VOC 2010's images with every pixel labelled, in 60 classes (or 59, or 33).

    Args:
      data_dir: the folder that holds trainval/ (or 33_context_labels/) and VOCdevkit/, or the one around it.
      split: train or val.
      classes: 60: 59 classes, and everything else as class 0, as in the FCN paper; 59: everything else is void; 33: the
        easier task of the paper that introduced the set.
    """

    name = "pascal-context"
    upright = True

    def __init__(self, data_dir: str | Path | None, *, split: str, classes: int = 60) -> None:
        if classes not in (60, 59, 33):
            raise ConfigError(
                f"data.classes is {classes}, but PASCAL-Context has 60 (59 and the background), 59 or 33."
            )
        self.choose(split, ("train", "val"))
        folder = "33_context_labels" if classes == 33 else "trainval"
        self._root = find_root(self.name, data_dir, [folder])
        self._kit = find_kit(self.name, self._root, [2010], MAIN)
        self.ids = [line.split()[0] for line in read_lines(self._kit / MAIN / f"{split}.txt")]
        self._labels = self._root / folder
        names = tuple(LABELS) if classes != 33 else _read_names(self._root / "33_labels.txt", 33)
        self.classes = ("background", *names) if classes == 60 else names
        self._ids = _class_of_label(background=classes == 60)

    def read(self, index: int) -> Item:
        image = read_image(self._kit / "JPEGImages" / f"{self.ids[index]}.jpg")
        path = self._path(index)
        if path.suffix == ".png":
            stored = read_label(path)
            return Item(self.ids[index], image, np.where(stored == 0, VOID, stored - 1))
        stored = read_mat(path, "LabelMap")
        beyond = (stored < 0) | (stored > HIGHEST)
        if beyond.any():
            raise OutsideClasses(f"{path}: {first_of(stored, beyond)}, but there are {HIGHEST}.", *self.advice(stored))
        return Item(self.ids[index], image, self._ids[stored])

    def location(self, index: int) -> str:
        return f"{self._path(index)}"

    def _path(self, index: int) -> Path:
        return self._labels / f"{self.ids[index]}{'.png' if self._labels.name != 'trainval' else '.mat'}"


def _class_of_label(*, background: bool) -> np.ndarray:
    """The class of each of the 459 labels and of 0, which means no label: (460,) int32."""
    table = np.full(HIGHEST + 1, 0 if background else VOID, np.int32)
    table[list(LABELS.values())] = np.arange(len(LABELS)) + background
    return table


def _read_names(path: Path, count: int) -> tuple[str, ...]:
    """The names of lines like "12: dog", in order."""
    names = tuple(re.sub(r"^\d+\s*:\s*", "", line) for line in read_lines(path))
    if len(names) != count:
        raise DataError(f"{path}: {len(names)} names, but {count} classes.", "Is this the file as published?")
    return names
