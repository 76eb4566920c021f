"""What the labels of a data set look like: sizes of objects, whether they touch, and which side is up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from kseg.datasets.contract import Item

NEAR = 2  # pixels between two objects that touch
LARGE = 90  # per cent of the objects are at most as wide as a large one
# Which side is up is told from LEAST_IMAGES or more, in which a class lies off the middle by LEAST_LEAN of the height,
# with at most one chance in about 30,000 that images without an up do so (4 standard errors).
LEAST_IMAGES, LEAST_LEAN, ERRORS = 8, 0.1, 4.0


@dataclass
class Traits:
    """What was seen in the items that were added.

    Attributes:
      items: how many were added.
      areas: pixels of the objects of each item: of those with numbers, else of the connected parts of class 1 where
        there are two classes; empty arrays else.
      are_numbered: whether an item numbered its objects.
      touching: how many objects with numbers have another one within two pixels.
      rows: for each class, in each item that shows it, the mean row of its pixels, 0 at the top to 1 at the bottom.
    """

    items: int = 0
    areas: list[np.ndarray] = field(default_factory=list)
    are_numbered: bool = False
    touching: int = 0
    rows: dict[int, list[float]] = field(default_factory=dict)

    def add(self, item: Item, classes: int, void: int) -> None:
        """Looks at one more item. Of several heads it takes the first."""
        self.items += 1
        label = next(iter(item.labels.values()))
        if item.instances is not None:
            self.areas.append(np.unique(item.instances[item.instances > 0], return_counts=True)[1])
            self.are_numbered = True
            self.touching += touching(item.instances)
        elif classes == 2:
            found = cv2.connectedComponentsWithStats((label == 1).astype(np.uint8), connectivity=4)[2]
            self.areas.append(found[1:, cv2.CC_STAT_AREA].astype(np.int64))
        middles = (np.arange(label.shape[0]) + 0.5) / label.shape[0]
        for number in np.unique(label[label != void]).tolist():
            counts = np.count_nonzero(label == number, axis=1)
            self.rows.setdefault(number, []).append(float(counts @ middles / counts.sum()))

    @property
    def objects(self) -> int:
        """How many objects there are."""
        return sum(map(len, self.areas))

    @property
    def median_area(self) -> float | None:
        """Pixels of the median object; None where there is none."""
        return float(np.median(np.concatenate(self.areas))) if self.objects else None

    @property
    def large_diameter(self) -> float | None:
        """How wide a large object is, pixels: the disc of its area. None where there is no object."""
        if not self.objects:
            return None
        return 2 * math.sqrt(float(np.percentile(np.concatenate(self.areas), LARGE)) / math.pi)

    @property
    def touching_share(self) -> float:
        """The share of the objects that touch another one."""
        return self.touching / max(1, self.objects)

    @property
    def leans(self) -> Mapping[int, float]:
        """The classes that lie above or below the middle in nearly all images, and the mean row of each, 0..1."""
        found = {}
        for number, rows in self.rows.items():
            mean, error = float(np.mean(rows)), float(np.std(rows)) / math.sqrt(len(rows))
            if len(rows) >= LEAST_IMAGES and abs(mean - 0.5) > max(LEAST_LEAN, ERRORS * error):
                found[number] = mean
        return found


def touching(instances: np.ndarray) -> int:
    """How many objects have a pixel of another one within `NEAR` pixels along a row or a column.

    Args:
      instances: (H, W) integers, 0 background, 1..K one number per object.
    """
    near: list[np.ndarray] = []
    for array in (instances, instances.T):
        for distance in range(1, NEAR + 2):
            one, other = array[distance:], array[:-distance]
            meet = (one != other) & (one > 0) & (other > 0)
            near += [one[meet], other[meet]]
    return len(np.unique(np.concatenate(near)))
