"""The Semantic Boundaries Dataset: masks for 11,355 images of VOC 2011, alone and together with VOC's masks.

    benchmark_RELEASE/dataset/img/ID.jpg
    benchmark_RELEASE/dataset/cls/ID.mat          GTcls.Segmentation, 0..20; nothing is void
    benchmark_RELEASE/dataset/{train,val}.txt     8,498 and 2,857 ids

`voc-fcn` and `voc-aug` need both archives in one folder.

Source: Hariharan et al., ICCV 2011; Shelhamer, Long, Darrell, PAMI 39(4):640 (2017), section 5 for `voc-fcn`.
"""

from __future__ import annotations

from pathlib import Path

from kseg.datasets.contract import DATASETS, find_root
from kseg.datasets.published.voc import TASK, VocMasks, files_of, find_kit, seg11valid
from kseg.datasets.text_files import read_lines

SPLITS = ("train", "val")
INSIDE = "dataset/cls"


@DATASETS.register("sbd")
class Sbd(VocMasks):
    """Semantic Boundaries Dataset, VOC's 20 classes and the background on 11,355 images; nothing is void."""

    name = "sbd"

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        self.choose(split, SPLITS)
        self._sbd = find_sbd(self.name, data_dir)
        self.ids = read_lines(self._sbd / f"{split}.txt")

    def files(self, name: str) -> tuple[Path, Path]:
        return sbd_files(self._sbd, name)


class _Both(VocMasks):
    """VOC and SBD. The ids in `_official` have VOC's mask, the others SBD's."""

    years: tuple[int, ...]

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        self.choose(split, SPLITS)
        self._kit = find_kit(self.name, data_dir, self.years)
        self._sbd = find_sbd(self.name, data_dir)
        self._official: set[str] = set()

    def files(self, name: str) -> tuple[Path, Path]:
        return files_of(self._kit, name) if name in self._official else sbd_files(self._sbd, name)


@DATASETS.register("voc-fcn")
class VocFcn(_Both):
    """The FCN paper's protocol: SBD's 8,498 training images; held out are 736 of VOC 2011 (or 2012)."""

    name, years = "voc-fcn", (2011, 2012)

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        super().__init__(data_dir, split=split)
        held_out = seg11valid(self._kit)
        self.ids = held_out if split == "val" else read_lines(self._sbd / "train.txt")
        self._official = set(held_out)


@DATASETS.register("voc-aug")
class VocAug(_Both):
    """VOC 2012 and SBD: 10,582 training images, none of which is among the 1,449 of VOC 2012's val."""

    name, years = "voc-aug", (2012,)

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        super().__init__(data_dir, split=split)
        train, val = (read_lines(self._kit / TASK / f"{part}.txt") for part in SPLITS)
        added = [one for part in SPLITS for one in read_lines(self._sbd / f"{part}.txt")]
        self.ids = val if split == "val" else sorted({*train, *added} - set(val))
        self._official = {*train, *val}


def find_sbd(name: str, data_dir: str | Path | None) -> Path:
    """The folder `dataset` of the archive; `data_dir` may be a folder around it or in it."""
    root = find_root(name, data_dir, [f"benchmark_RELEASE/{INSIDE}", INSIDE, "cls"])
    return next(root / path for path in ("benchmark_RELEASE/dataset", "dataset", "") if (root / path / "cls").is_dir())


def sbd_files(sbd: Path, name: str) -> tuple[Path, Path]:
    """The image and SBD's mask of an id."""
    return sbd / "img" / f"{name}.jpg", sbd / "cls" / f"{name}.mat"
