"""The works: real images of four kinds, which part is trained on, and which part is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from benchmarks.own_data.borders import three_classes
from kseg.storage import aside


@dataclass(frozen=True)
class Case:
    """One image.

    Attributes:
      name: of its files, without an ending.
      image: (H, W) or (H, W, 3) uint8.
      label: (H, W) integers: class ids, or one number per object.
    """

    name: str
    image: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Parts:
    """The images of a work.

    Attributes:
      train: what every system trains on.
      choose: further images on which the threshold of every system is chosen; kseg also chooses its network on them.
        Where there are none, kseg holds out a part of `train` itself.
      test: what is scored.
    """

    train: Sequence[Case]
    test: Sequence[Case]
    choose: Sequence[Case] = ()


@dataclass(frozen=True)
class Work:
    """A data set, and what is asked of it.

    Attributes:
      name: as on the command line.
      about: what it is, in a sentence for the page of results.
      read: finds the images in the folder of all data.
      classes: their names; of a work with objects those of kseg's own labels.
      has_objects: labels hold one number per object.
      margin: pixels of the image's border, outside of the field of interest: objects that lie there alone do not count.
      bright: the objects are brighter than the ground, so that a threshold finds them.
      ignore_class: the number that means void.
      upright: images have an up and a down, so the plain U-Net mirrors them from left to right alone.
    """

    name: str
    about: str
    read: Callable[[Path], Parts]
    classes: tuple[str, ...] = ("ground", "object")
    has_objects: bool = False
    margin: int = 0
    bright: bool = False
    ignore_class: int | None = None
    upright: bool = False

    @property
    def peer_classes(self) -> int:
        """How many classes a peer learns: ground, inside and border where there are objects."""
        return 3 if self.has_objects else len(self.classes)

    @property
    def kseg_settings(self) -> list[str]:
        """What kseg must be told of the labels."""
        found = ["data.instances=true"] if self.has_objects else []
        return found + ([] if self.ignore_class is None else [f"data.ignore_class={self.ignore_class}"])


def _nuclei(shared: Path) -> Parts:
    root = shared / "dsb2018"

    def part(name: str) -> list[Case]:
        found = (root / f"{name}.txt").read_text(encoding="utf-8").split()
        return [
            Case(
                one,
                _picture(root / name / "images" / f"{one}.png"),
                tifffile.imread(root / name / "labels" / f"{one}.tif"),
            )
            for one in found
        ]

    return Parts(part("train"), part("val"))


def _hela(shared: Path) -> Parts:
    root = shared / "ctc" / "DIC-C2DH-HeLa"

    def frames(numbers: Sequence[int]) -> list[Case]:
        return [
            Case(
                f"t{number:03}",
                tifffile.imread(root / "01" / f"t{number:03}.tif"),
                tifffile.imread(root / "01_GT" / "SEG" / f"man_seg{number:03}.tif"),
            )
            for number in numbers
        ]

    return Parts(frames([2, 5, 21, 31, 33, 34]), frames([39, 54]))


CAMVID = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
)


def _camvid(shared: Path) -> Parts:
    root = shared / "camvid"

    def part(name: str) -> list[Case]:
        found = (root / f"{name}.txt").read_text(encoding="utf-8").split()
        return [
            Case(
                one,
                _picture(root / name / "images" / f"{one}.jpg"),
                _picture(root / name / "labels" / f"{one}.png"),
            )
            for one in found
        ]

    return Parts(part("train"), part("val"))


def _isbi(shared: Path) -> Parts:
    images = tifffile.imread(shared / "isbi2012" / "train-volume.tif")
    labels = (tifffile.imread(shared / "isbi2012" / "train-labels.tif") != 0).astype(np.uint8)
    cases = [Case(f"slice{number:02}", images[number], labels[number]) for number in range(30)]
    return Parts(cases[:21], cases[24:], cases[21:24])


WORKS = {
    work.name: work
    for work in (
        Work(
            "nuclei",
            "Fluorescence nuclei of the 2018 Data Science Bowl: 79 images to train on, 19 to score.",
            _nuclei,
            has_objects=True,
            bright=True,
        ),
        Work(
            "hela",
            "HeLa cells in differential interference contrast (Cell Tracking Challenge): 6 frames to train on, 2 to "
            "score. Cells that lie within 50 pixels of the border alone do not count, as the challenge has it (from "
            "memory): many of them have no label.",
            _hela,
            has_objects=True,
            margin=50,
        ),
        Work(
            "camvid",
            "Street scenes of CamVid at 240 x 180, 11 classes: 367 frames to train on, 101 (its val) to score.",
            _camvid,
            classes=CAMVID,
            ignore_class=len(CAMVID),
            upright=True,
        ),
        Work(
            "isbi",
            "Neurons in electron microscopy (ISBI 2012): slices 0 to 20 to train on, 24 to 29 to score. The threshold "
            "of each system, and kseg's network, are chosen on slices 21 to 23.",
            _isbi,
            classes=("membrane", "cell"),
        ),
    )
}


@dataclass(frozen=True)
class Folders:
    """Where the files of a work lie once they are written.

    Attributes:
      own: what kseg is given: images/ and labels/, or these in train/ and val/.
      images, labels: the files that a peer trains on, in the same order.
      choose, test: folders of images to predict; `choose` is None where the work has no such part.
    """

    own: Path
    images: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    choose: Path | None = None
    test: Path = Path()


def write(work: Work, parts: Parts, folder: Path) -> Folders:
    """Writes the files of a work, unless they are there.

    Args:
      work: the work.
      parts: its images.
      folder: a folder for this work alone.
    """
    own = folder / "own"
    train = own / "train" if parts.choose else own
    if not folder.exists():
        with aside(folder) as new:
            moved = new / train.relative_to(folder)
            _write_cases(parts.train, moved / "images", moved / "labels", work)
            if parts.choose:
                _write_cases(parts.choose, new / "own" / "val" / "images", new / "own" / "val" / "labels", work)
            _write_cases(parts.test, new / "test" / "images", None, work)
            (new / "own" / "classes.txt").write_text("\n".join(work.classes) + "\n", encoding="utf-8")
            for case in parts.train:
                label = three_classes(case.label) if work.has_objects else case.label
                _write_picture(new / "peers" / f"{case.name}.png", label)
    return Folders(
        own,
        [train / "images" / f"{case.name}.png" for case in parts.train],
        [folder / "peers" / f"{case.name}.png" for case in parts.train],
        own / "val" / "images" if parts.choose else None,
        folder / "test" / "images",
    )


def _write_cases(cases: Sequence[Case], images: Path, labels: Path | None, work: Work) -> None:
    for case in cases:
        _write_picture(images / f"{case.name}.png", case.image)
        if labels and work.has_objects:
            labels.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(labels / f"{case.name}.tif", case.label.astype(np.uint16), compression="deflate")
        elif labels:
            _write_picture(labels / f"{case.name}.png", case.label)


def _write_picture(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(path)


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)
