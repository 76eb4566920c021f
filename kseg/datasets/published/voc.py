"""PASCAL VOC 2011 and 2012, the segmentation task: 20 classes and the background.

    VOC2012/JPEGImages/ID.jpg
    VOC2012/SegmentationClass/ID.png        palette indices: 0..20; 255 at borders and at difficult objects
    VOC2012/ImageSets/Segmentation/{train,val,trainval}.txt

Source: Everingham et al., International Journal of Computer Vision 88(2):303 (2010). `ids/seg11valid.txt`: the FCN
authors' release (github.com/shelhamer/fcn.berkeleyvision.org), the val of VOC 2011 without the images of SBD's train.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Sequence
from pathlib import Path

from kseg.datasets.contract import DATASETS, Dataset, Item, find_root
from kseg.datasets.published.mat import read_mat
from kseg.datasets.text_files import IDS, read_lines
from kseg.errors import DataError
from kseg.images import read_image, read_label

CLASSES = (
    ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus")
    + ("car", "cat", "chair", "cow", "diningtable", "dog", "horse")
    + ("motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor")
)  # fmt: skip
LISTED = ("train", "val", "trainval")
TASK = "ImageSets/Segmentation"


class VocMasks(Dataset):
    """Images with a mask of VOC's classes each."""

    classes = CLASSES
    upright = True

    @abc.abstractmethod
    def files(self, name: str) -> tuple[Path, Path]:
        """The image and the mask of an id."""

    def read(self, index: int) -> Item:
        image, mask = self.files(self.ids[index])
        label = read_mat(mask, "GTcls", "Segmentation") if mask.suffix == ".mat" else read_label(mask)
        return Item(self.ids[index], read_image(image), label)

    def location(self, index: int) -> str:
        return f"{self.files(self.ids[index])[1]}"


class Voc(VocMasks):
    """One year's segmentation task."""

    year: int
    extra: tuple[str, ...] = ()

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        self.choose(split, [*LISTED, *self.extra])
        self._kit = find_kit(self.name, data_dir, [self.year])
        self.ids = seg11valid(self._kit) if split == "seg11valid" else read_lines(self._kit / TASK / f"{split}.txt")

    def files(self, name: str) -> tuple[Path, Path]:
        return files_of(self._kit, name)


@DATASETS.register("voc2011")
class Voc2011(Voc):
    """PASCAL VOC 2011, 20 classes and the background; seg11valid is the FCN paper's held-out part."""

    name, year, extra = "voc2011", 2011, ("seg11valid",)


@DATASETS.register("voc2012")
class Voc2012(Voc):
    """PASCAL VOC 2012, 20 classes and the background."""

    name, year = "voc2012", 2012


def find_kit(name: str, data_dir: str | Path | None, years: Sequence[int], task: str = TASK) -> Path:
    """The folder VOC{year} of the first of `years` that is there.

    Args:
      name: the data set's, for messages.
      data_dir: VOC2012, VOCdevkit, TrainVal, or the folder around one of them.
      years: the years that fit, the preferred one first.
      task: the folder of lists in VOC{year}.

    Raises:
      DataError: no such folder is there, or it is of another year.
    """
    kits = [f"{above}VOC{year}" for year in years for above in ("", "VOCdevkit/", "TrainVal/VOCdevkit/")]
    root = find_root(name, data_dir, [*(f"{kit}/{task}" for kit in kits), task])
    kit = next(root / kit for kit in (*kits, "") if (root / kit / task).is_dir())
    named = re.fullmatch(r"VOC(\d{4})", kit.resolve().name)
    if named and int(named[1]) not in years:
        raise DataError(f"{name}: {kit} is of {named[1]}.", f"Name the folder that holds VOC{years[0]}.")
    return kit


def seg11valid(kit: Path) -> list[str]:
    """The FCN paper's 736 held-out ids that the val list of the kit has. VOC 2011 and 2012 have all."""
    listed = set(read_lines(kit / TASK / "val.txt"))
    return [one for one in read_lines(IDS / "seg11valid.txt") if one in listed]


def files_of(kit: Path, name: str) -> tuple[Path, Path]:
    """The image and the official mask of an id."""
    return kit / "JPEGImages" / f"{name}.jpg", kit / "SegmentationClass" / f"{name}.png"
