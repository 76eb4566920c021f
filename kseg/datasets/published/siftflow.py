"""SIFT Flow: 2,688 outdoor scenes of 256 x 256 with two labels for every pixel, semantic and geometric.

    DIR/Images/spatial_envelope_.../ID.jpg
    DIR/SemanticLabels/spatial_envelope_.../ID.mat    S: 0 void, 1..33
    DIR/GeoLabels/spatial_envelope_.../ID.mat         S: -1 void, 1 sky, 2 horizontal, 3 vertical
    DIR/TrainSet1.txt, TestSet1.txt                   spatial_envelope_...\\ID.jpg

Source: Liu, Yuen, Torralba, PAMI 33(12):2368 (2011); Tighe, Lazebnik, ECCV 2010; the FCN paper, section 5.
"""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import numpy as np

from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, find_root
from kseg.datasets.published.mat import read_mat
from kseg.datasets.text_files import read_lines
from kseg.images import read_image

LISTS = {"trainval": "TrainSet1.txt", "test": "TestSet1.txt"}
SEMANTIC = (
    ("awning", "balcony", "bird", "boat", "bridge", "building", "bus", "car", "cow", "crosswalk", "desert", "door")
    + ("fence", "field", "grass", "moon", "mountain", "person", "plant", "pole", "river", "road", "rock", "sand")
    + ("sea", "sidewalk", "sign", "sky", "staircase", "streetlight", "sun", "tree", "window")
)  # fmt: skip
GEOMETRIC = ("sky", "horizontal", "vertical")
FOLDERS = {"semantic": "SemanticLabels", "geometric": "GeoLabels"}
# These two stand in TrainSet1.txt, but have no labels.
UNLABELLED = {"highway_bost181", "street_urb506"}
ABSENT_FROM_TEST = {"cow", "desert", "moon"}


@DATASETS.register("siftflow")
class SiftFlow(Dataset):
    """SIFT Flow, outdoor scenes in 33 semantic and 3 geometric classes: two labels for each image.

    Args:
      data_dir: SiftFlowDataset, or the folder around it.
      split: trainval (2,486 images) or test (200).
    """

    name = "siftflow"
    classes = {"semantic": SEMANTIC, "geometric": GEOMETRIC}
    scored_classes = {
        "semantic": tuple(number for number, name in enumerate(SEMANTIC) if name not in ABSENT_FROM_TEST),
        "geometric": (0, 1, 2),
    }
    upright = True

    def __init__(self, data_dir: str | Path | None, *, split: str) -> None:
        self.choose(split, list(LISTS))
        self._root = find_root(self.name, data_dir, ["SemanticLabels"])
        listed = [PureWindowsPath(line) for line in read_lines(self._root / LISTS[split])]
        self._stems = [path.with_suffix("").as_posix() for path in listed if path.stem not in UNLABELLED]
        self.ids = [stem.rpartition("/")[2] for stem in self._stems]

    def read(self, index: int) -> Item:
        image = read_image(self._root / "Images" / f"{self._stems[index]}.jpg")
        stored = {head: read_mat(self._path(index, head), "S") for head in FOLDERS}
        label = {head: np.where(one <= 0, VOID, one - 1) for head, one in stored.items()}  # void is 0 or -1
        return Item(self.ids[index], image, label)

    def location(self, index: int) -> str:
        return " and ".join(f"{self._path(index, head)}" for head in FOLDERS)

    def _path(self, index: int, head: str) -> Path:
        return self._root / FOLDERS[head] / f"{self._stems[index]}.mat"
