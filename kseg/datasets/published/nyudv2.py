"""NYU Depth V2: 1,449 indoor frames with colour and depth, in Gupta's 40 classes, cropped to 425 x 560.

    DIR/nyu_depth_v2_labeled.mat, splits.mat, classMapping40.mat        as published; read one frame at a time

    DIR/data/{images,depth,hha}/img_N.png, DIR/segmentation/img_N.mat   as the FCN authors prepared it, nyud/
    DIR/{train,val,test}.txt                                            N = 5000 + the frame's number from 1

Source: Silberman et al., ECCV 2012; Gupta, Arbelaez, Malik, CVPR 2013 (the classes); the FCN paper, section 5.
`ids/nyudv2-val.txt`: the FCN authors' release. splits.mat separates only test from train and val together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, OutsideClasses, find_root, first_of
from kseg.datasets.published.hha import Camera, cached_hha
from kseg.datasets.published.mat import read_mat
from kseg.datasets.text_files import IDS, read_lines
from kseg.errors import ConfigError, DataError, in_a_line
from kseg.images import read_image

CLASSES = (
    ("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter")
    + ("blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling")
    + ("books", "refridgerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person")
    + ("night stand", "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop")
)  # fmt: skip
VIEWS = {"rgb": ["rgb"], "rgbd": ["rgb", "depth"], "hha": ["hha"], "rgb-hha": ["rgb", "hha"]}
COLOURS = {"rgb": {"": 3}, "rgbd": {"": 3}, "hha": {}, "rgb-hha": {"rgb": 3}}
LABELLED, MAPPING = "nyu_depth_v2_labeled.mat", "classMapping40.mat"
ROW, COLUMN, HEIGHT, WIDTH = 45, 40, 425, 560
# The colour camera, onto whose image the depth was projected.
CAMERA = Camera(518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)
FIRST = 5001


@DATASETS.register("nyudv2")
class NyuDepth(Dataset):
    """NYU Depth V2, indoor frames with depth in 40 classes; 0 in the files is void.

    Args:
      data_dir: the folder that holds nyu_depth_v2_labeled.mat or the FCN authors' data/ and segmentation/, or the one
        around it.
      split: train (381), val (414), trainval or test (654).
      view: rgb; rgbd, (H, W, 4) uint16: colour and the depth in millimetres; hha: the FCN authors' images, or for the
        published file images that are made from the depth and kept in the cache folder; rgb-hha: a dict of both.
    """

    name = "nyudv2"
    classes = CLASSES
    upright = True

    def __init__(
        self,
        data_dir: str | Path | None,
        *,
        split: str,
        view: Literal["rgb", "rgbd", "hha", "rgb-hha"] = "rgb",
    ) -> None:
        if view not in VIEWS:
            raise ConfigError(f"data.view is {view!r}, but must be one of {', '.join(VIEWS)}.")
        self.choose(split, ("train", "val", "trainval", "test"))
        root = find_root(self.name, data_dir, [LABELLED, "segmentation"])
        self._view, self.colour_channels = view, COLOURS[view]
        self.colour_white = 255.0 if view == "rgbd" else None  # only the depth needs the 16 bits
        self._frames = PublishedFile(root) if (root / LABELLED).is_file() else FcnFolders(root)
        self._numbers = self._frames.numbers(split)
        self.ids = [f"img_{number}" for number in self._numbers]

    def read(self, index: int) -> Item:
        number = self._numbers[index]
        stored = self._frames.label(number)
        label = np.where(stored == 0, VOID, stored - 1)
        found = {kind: self._frames.image(number, kind) for kind in VIEWS[self._view]}
        if self._view == "rgbd":
            image = np.concatenate([found["rgb"].astype(np.uint16), found["depth"]], axis=-1)
            return Item(self.ids[index], image, label)
        return Item(self.ids[index], found if len(found) > 1 else found[self._view], label)

    def location(self, index: int) -> str:
        return self._frames.location(self._numbers[index])


class PublishedFile:
    """The published file. It is opened for each array, so that this object can be sent to another process."""

    def __init__(self, root: Path) -> None:
        self._path, self._splits, mapping = root / LABELLED, root / "splits.mat", root / MAPPING
        if not mapping.is_file():
            raise DataError(
                f"{mapping}: there is no such file.",
                f"It says which of the 40 classes each of the 894 labels of {LABELLED} is (10,474 bytes, at "
                "github.com/ankurhanda/nyuv2-meta-data). Put it beside that file.",
            )
        self._class_of = np.concatenate([np.zeros(1, np.int32), read_mat(mapping, "mapClass").ravel()])

    def numbers(self, split: str) -> list[int]:
        """The frames of a split, counted from 5001."""
        listed = read_mat(self._splits, "testNdxs" if split == "test" else "trainNdxs").ravel()
        numbers = (listed + FIRST - 1).tolist()
        if split in ("test", "trainval"):
            return numbers
        held_out = set(map(int, read_lines(IDS / "nyudv2-val.txt")))
        return [number for number in numbers if (number in held_out) == (split == "val")]

    def location(self, number: int) -> str:
        return f"{self._path}, frame {number - FIRST + 1}"

    def image(self, number: int, kind: str) -> np.ndarray:
        """rgb or hha, (425, 560, 3) uint8, or depth, (425, 560, 1) uint16, mm."""
        if kind == "rgb":
            return self._read("images", number)
        metres = self._read("depths", number)
        if kind == "depth":
            return np.rint(metres * 1000).astype(np.uint16)[..., None]
        return cached_hha(metres, self._read("rawDepths", number), CAMERA.cropped(ROW, COLUMN))

    def label(self, number: int) -> np.ndarray:
        """(425, 560) int32, 0 void, 1..40."""
        stored = self._read("labels", number)
        beyond = stored >= len(self._class_of)
        if beyond.any():
            raise OutsideClasses(
                f"{self.location(number)}: {first_of(stored, beyond)}, but {MAPPING} knows {len(self._class_of) - 1}.",
                "Are both as published?",
            )
        return self._class_of[stored]

    def _read(self, name: str, number: int) -> np.ndarray:
        """The crop of one frame, (425, 560[, C]). The axes in the file are those of MATLAB in reverse."""
        import h5py

        try:
            with h5py.File(self._path) as file:
                frame = file[name][number - FIRST].T
        except (OSError, KeyError, ValueError, IndexError) as error:
            what = f"{self.location(number)}: no {name} ({in_a_line(error, 120)})."
            raise DataError(what, "Copy or fetch the file again.") from error
        return np.ascontiguousarray(frame[ROW : ROW + HEIGHT, COLUMN : COLUMN + WIDTH])


class FcnFolders:
    """The FCN authors' folders."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def numbers(self, split: str) -> list[int]:
        """The frames of a split, counted from 5001."""
        parts = ("train", "val") if split == "trainval" else (split,)
        return [int(line) for part in parts for line in read_lines(self._root / f"{part}.txt")]

    def location(self, number: int) -> str:
        return f"{self._mat(number)}"

    def image(self, number: int, kind: str) -> np.ndarray:
        """rgb or hha, (425, 560, 3) uint8, or depth, (425, 560, 1) uint16, mm."""
        return read_image(self._root / "data" / ("images" if kind == "rgb" else kind) / f"img_{number}.png")

    def label(self, number: int) -> np.ndarray:
        """(425, 560) int32, 0 void, 1..40."""
        return read_mat(self._mat(number), "segmentation")

    def _mat(self, number: int) -> Path:
        return self._root / "segmentation" / f"img_{number}.mat"
