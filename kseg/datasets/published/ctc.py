"""The Cell Tracking Challenge: two-dimensional sequences with some frames segmented by hand.

    DIR/01/t000.tif ...                    frames
    DIR/01_GT/SEG/man_seg000.tif ...       gold truth, one number per cell, of some frames
    DIR/01_GT/TRA/man_track000.tif ...     a marker in every cell, of all frames
    DIR/01_ST/SEG/man_seg000.tif ...       silver truth, computed, where it is offered

Some frames are segmented only in part. A marker shows a cell that is not segmented if at most half of it lies in a
segmented cell. The pixels around such a marker must not be learned as background, so they become void.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from kseg.datasets.contract import DATASETS, VOID, Dataset, Item, find_root
from kseg.errors import ConfigError, DataError
from kseg.images import read_image, read_label


@DATASETS.register("ctc")
class CellTracking(Dataset):
    """Cell Tracking Challenge, any set of two dimensions: background and cell, and a number per cell.

    Args:
      data_dir: the folder that holds 01/ and 01_GT/, or the one around it.
      split: all, a sequence's number, val (the last quarter of each sequence's segmented frames, rounded up) or
        train (the others).
      drop: frame numbers to leave out, whatever the sequence.
      truth: gold (by hand) or silver (computed).
    """

    name = "ctc"
    classes = ("background", "cell")
    has_instances = True
    published = False
    local_options = ("drop",)

    def __init__(
        self,
        data_dir: str | Path | None,
        *,
        split: str,
        drop: Sequence[int] = (),
        truth: Literal["gold", "silver"] = "gold",
    ) -> None:
        if truth not in ("gold", "silver"):
            raise ConfigError(f"data.truth is {truth!r}, but must be gold or silver.")
        ending = {"gold": "GT", "silver": "ST"}[truth]
        self._root = find_root(self.name, data_dir, [f"{number:02d}_{ending}/SEG" for number in (1, 2)])
        self._ending = ending
        frames = {
            folder.name.partition("_")[0]: _frames(folder / "SEG", "man_seg", drop)
            for folder in sorted(self._root.glob(f"[0-9][0-9]_{ending}"))
        }
        self.choose(split, ["train", "val", "all", *frames])
        chosen = []
        for sequence, numbers in frames.items():
            held_out = len(numbers) - math.ceil(len(numbers) / 4)
            part = {"train": numbers[:held_out], "val": numbers[held_out:], "all": numbers, sequence: numbers}
            chosen += [(sequence, number) for number in part.get(split, [])]
        self._frames = chosen
        self.ids = [f"{sequence}_{number}" for sequence, number in chosen]

    def read(self, index: int) -> Item:
        sequence, number = self._frames[index]
        image = read_image(self._root / sequence / f"t{number}.tif")
        cells = read_label(self.location(index))
        label = (cells > 0).astype(np.int32)
        markers = self._root / f"{sequence}_GT" / "TRA" / f"man_track{number}.tif"
        if markers.is_file():
            marked = read_label(markers)
            if marked.shape != cells.shape:
                sizes = "{} x {}, but the cells are {} x {}".format(*marked.shape, *cells.shape)
                raise DataError(f"{markers}: {sizes}.", "Is this the set as published?")
            label[unlabelled(cells, marked)] = VOID
        return Item(self.ids[index], image, label, cells)

    def location(self, index: int) -> str:
        sequence, number = self._frames[index]
        return f"{self._root / f'{sequence}_{self._ending}' / 'SEG' / f'man_seg{number}.tif'}"

    def source(self, index: int) -> str:
        """The sequence, whose frames show the same cells."""
        return self._frames[index][0]


def unlabelled(cells: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """The pixels at which cells may lie that are not segmented.

    Args:
      cells: (H, W) integers, 0 background, one number per segmented cell.
      markers: (H, W) likewise, of the tracking truth.

    Returns:
      (H, W) bool: the background near each marker of which at most half lies in a cell. Near means within the diameter
      of a disc with the median cell's area.
    """
    lonely = np.zeros(cells.shape, bool)
    marked = markers > 0
    _, marker, sizes = np.unique(markers[marked], return_inverse=True, return_counts=True)
    cell = cells[marked].astype(np.int64)
    # One sort counts how many pixels each marker shares with each cell.
    count = int(cell.max(initial=0)) + 1
    pairs, shared = np.unique((marker * count + cell)[cell > 0], return_counts=True)
    most = np.zeros(len(sizes), np.int64)
    np.maximum.at(most, pairs // count, shared)
    lonely[marked] = (2 * most <= sizes)[marker]
    if not lonely.any():
        return lonely
    areas = np.bincount(cells[cells > 0])
    diameter = 2 * math.sqrt(float(np.median(areas[areas > 0])) / math.pi) if areas.any() else 32.0
    distance = cv2.distanceTransform((~lonely).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return (distance <= diameter) & (cells == 0)


def _frames(folder: Path, prefix: str, drop: Sequence[int]) -> list[str]:
    """The frame numbers in the names of the files PREFIX + number + .tif in `folder`.

    Raises:
      DataError: there is no such file.
    """
    found = [match[1] for path in folder.glob("*.tif") if (match := re.fullmatch(prefix + r"_?(\d+)\.tif", path.name))]
    if not found:
        what = f"{folder}: no {prefix}NNN.tif there."
        raise DataError(what, "Volumes (man_seg_T_Z.tif) are not read: kseg's networks see planes.")
    return sorted((number for number in found if int(number) not in drop), key=int)
