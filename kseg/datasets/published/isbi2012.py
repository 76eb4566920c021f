"""The ISBI 2012 EM challenge: 30 labelled slices of 512 x 512 in two TIFF stacks.

The test labels were never published, so the labelled slices are split: into blocks, since neighbours are alike.

Source: Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142 (2015).
"""

from __future__ import annotations

from pathlib import Path

from kseg.datasets.contract import DATASETS, Dataset, Item, find_root, first_of
from kseg.errors import DataError
from kseg.images import open_pages, read_label

SPLITS = {"train": range(21), "val": range(21, 24), "test": range(24, 30), "all": range(30)}


@DATASETS.register("isbi2012")
class Isbi2012(Dataset):
    """ISBI 2012, neurons in 30 electron micrographs: membrane and cell.

    DIR/train-volume.tif and DIR/train-labels.tif, in which 255 is cell, 0 membrane.
    """

    name = "isbi2012"
    classes = ("membrane", "cell")
    em_measures = ("v_rand", "v_info", "rand_error", "warping_error", "pixel_error")

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        self.choose(split, list(SPLITS))
        root = find_root(self.name, data_dir, ["train-volume.tif"])
        self._volume, self._labels = root / "train-volume.tif", root / "train-labels.tif"
        slices, labelled = len(open_pages(self._volume)), len(open_pages(self._labels))
        if slices != 30 or labelled != 30:
            raise DataError(
                f"{root}: {slices} slices and {labelled} labels in the two stacks, but the challenge has 30 of each."
            )
        self._slices = SPLITS[split]
        self.ids = [f"slice_{number:02d}" for number in self._slices]

    def read(self, index: int) -> Item:
        number = self._slices[index]
        label = read_label(self._labels, number)
        other = (label != 0) & (label != 255)
        if other.any():
            what = f"{self.location(index)}: {first_of(label, other)}, but only 0 and 255 occur there."
            raise DataError(what, "Is it the challenge's own file?")
        return Item(self.ids[index], open_pages(self._volume)[number], label // 255)

    def location(self, index: int) -> str:
        return f"{self._labels}, slice {self._slices[index]}"
