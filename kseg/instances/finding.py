"""From a mask to numbered objects: what counts as one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kseg.errors import ConfigError
from kseg.instances.numbering import components
from kseg.instances.parting import part


@dataclass(frozen=True)
class ObjectRules:
    """What counts as an object of a mask.

    Attributes:
      min_size: the pixels an object has at least; smaller ones are left out. 0 for all.
      fill_holes: whether background that an object encloses belongs to it.
      separate: whether objects that touch are parted where the mask is narrow (kseg.instances.part).

    Raises:
      ConfigError: a value of another type, or a size below 0.
    """

    min_size: int = 0
    fill_holes: bool = False
    separate: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.min_size, bool) or not isinstance(self.min_size, int | np.integer) or self.min_size < 0:
            raise ConfigError(f"min_size is {self.min_size!r}, but must be a whole number of pixels, 0 or more.")
        for name in ("fill_holes", "separate"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ConfigError(f"{name} is {getattr(self, name)!r}, but must be true or false.")

    def __str__(self) -> str:
        """The rules in a sentence."""
        parts = ["Objects are the 4-connected parts of the mask"]
        parts += ["with their holes filled"] if self.fill_holes else []
        parts += ["parted at their necks where they touch"] if self.separate else []
        parts += [f"of {self.min_size} pixels or more"] if self.min_size > 1 else []
        return ", ".join(parts) + "."


def number(prediction: np.ndarray, rules: ObjectRules = ObjectRules()) -> np.ndarray:  # noqa: B008
    """The objects of each class but 0, numbered through.

    Args:
      prediction: (H, W) integers, class ids.
      rules: what counts as an object.

    Returns:
      (H, W) int32, 0 outside, 1..n; class by class, and within a class in the order of their first pixel, row by row.
    """
    prediction = np.asarray(prediction)
    numbers, count = np.zeros(prediction.shape, np.int32), 0
    for class_id in np.unique(prediction[prediction != 0]):
        inside = prediction == class_id
        if rules.fill_holes:
            inside = _filled(inside, prediction)
        parts = part(inside) if rules.separate else components(inside)
        if rules.separate or rules.min_size > 1:
            parts = _kept(parts, rules.min_size)
        numbers = np.where(parts > 0, parts + count, numbers)
        count += int(parts.max())
    return numbers


def _filled(inside: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """`inside` with the holes that hold nothing but class 0 and do not reach the image's border."""
    _, outside = cv2.connectedComponents((~inside).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    is_hole = np.ones(int(outside.max()) + 1, bool)
    is_hole[np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]])] = False
    is_hole[outside[~inside & (prediction != 0)]] = False
    is_hole[0] = False
    return inside | is_hole[outside]


def _kept(parts: np.ndarray, min_size: int) -> np.ndarray:
    """The parts of `min_size` pixels and more, numbered anew in the order of their first pixel."""
    places = np.flatnonzero(parts)
    found = parts.ravel()[places]
    areas = np.bincount(found, minlength=int(parts.max()) + 1)
    firsts = np.full(len(areas), parts.size)
    np.minimum.at(firsts, found, places)
    order = [each for each in np.argsort(firsts, kind="stable") if areas[each] >= max(1, min_size)]
    names = np.zeros(len(areas), np.int32)
    names[order] = 1 + np.arange(len(order))
    return names[parts]
