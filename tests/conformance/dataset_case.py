"""One entry per registered data set: a function that writes a small tree in its true layout, and what that holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from kseg.datasets.demo import write_demo
from kseg.images import write_image


class DatasetCase(NamedTuple):
    """What to expect.

    Attributes:
      write: writes the tree to a new folder.
      counts: the splits and how many items each has.
      apart: splits that share no item.
      size: (H, W, C) of every image.
      looked_for: what the message names when the folder does not hold the set.
      options: given to `kseg.datasets.open`.
      generated: the set needs no folder.
    """

    write: Callable[[Path], None]
    counts: dict[str, int]
    apart: tuple[str, ...]
    size: tuple[int, int, int]
    looked_for: str
    options: dict[str, Any] = {}
    generated: bool = False


def blobs(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey picture (H, W) uint8 and its two objects (H, W) uint8: 1 on the left, 2 on the right."""
    numbers = np.zeros((height, width), np.uint8)
    numbers[2:-2, 2 : width // 2] = 1
    numbers[3:-3, width // 2 + 1 : -2] = 2
    noise = np.random.default_rng(seed).integers(0, 60, numbers.shape)
    return (90 * (numbers > 0) + noise).astype(np.uint8), numbers


def write_folder(root: Path) -> None:
    for split, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 9))):
        for number in numbers:
            image, label = blobs(14, 18, number)
            for kind, array in (("images", np.stack([image] * 3, axis=2)), ("labels", label)):
                (root / split / kind).mkdir(parents=True, exist_ok=True)
                write_image(root / split / kind / f"{split}{number}.png", array)


def write_isbi2012(root: Path) -> None:
    root.mkdir()
    slices = [blobs(16, 20, number) for number in range(30)]
    for name, place in (("train-volume.tif", 0), ("train-labels.tif", 1)):
        stack = np.stack([(one[place] > 0) * np.uint8(255) if place else one[place] for one in slices])
        tifffile.imwrite(root / name, stack, photometric="minisblack", metadata=None)


def write_ctc(root: Path) -> None:
    for sequence in ("01", "02"):
        for number in range(5):
            image, cells = blobs(16, 20, 10 * int(sequence) + number)
            places = {f"{sequence}/t{number:03d}.tif": image}
            if number != 2:  # not every frame is segmented
                places[f"{sequence}_GT/SEG/man_seg{number:03d}.tif"] = cells.astype(np.uint16)
            places[f"{sequence}_GT/TRA/man_track{number:03d}.tif"] = cells.astype(np.uint16)
            for name, array in places.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(root / name, array)


DATASET_CASES = {
    "ctc": DatasetCase(
        write_ctc, {"train": 6, "val": 2, "all": 8, "01": 4, "02": 4}, ("train", "val"), (16, 20, 1), "01_GT/SEG"
    ),
    "demo": DatasetCase(
        write_demo, {"train": 24, "val": 8}, ("train", "val"), (192, 192, 1), "train/images", generated=True
    ),
    "folder": DatasetCase(
        write_folder, {"train": 4, "val": 2, "test": 3}, ("train", "val", "test"), (14, 18, 3), "images"
    ),
    "isbi2012": DatasetCase(
        write_isbi2012,
        {"train": 21, "val": 3, "test": 6, "all": 30},
        ("train", "val", "test"),
        (16, 20, 1),
        "train-volume.tif",
    ),
}
