"""From class ids to numbered objects."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kseg.errors import ConfigError
from kseg.instances.numbering import components
from kseg.instances.separation import part


@dataclass(frozen=True)
class ObjectRules:
    """What counts as an object of a mask.

    Attributes:
      min_size: objects with fewer pixels are left out; 0 keeps all.
      fill_holes: whether background that an object encloses belongs to it.
      separate: whether touching objects are separated where the mask is narrow (kseg.instances.part).

    Raises:
      ConfigError: a value of another type, or a size below 0.
    """

    min_size: int = 0
    fill_holes: bool = False
    separate: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.min_size, bool) or not isinstance(self.min_size, int | np.integer) or self.min_size < 0:
            raise ConfigError(f"min_size is {self.min_size!r}, but must be a whole number of pixels, at least 0.")
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
    """Numbers the objects of all classes except 0.

    Args:
      prediction: (H, W) integers, class ids.
      rules: what counts as an object.

    Returns:
      (H, W) int32, 0 outside, 1..n; class by class, and within a class in the order of their first pixels, row by row.
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
    """`inside` with its holes filled. A hole is all class 0 and does not touch the image's border."""
    _, outside = cv2.connectedComponents((~inside).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    is_hole = np.ones(int(outside.max()) + 1, bool)
    is_hole[np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]])] = False
    is_hole[outside[~inside & (prediction != 0)]] = False
    is_hole[0] = False
    return inside | is_hole[outside]


def _kept(parts: np.ndarray, min_size: int) -> np.ndarray:
    """The parts with at least `min_size` pixels, numbered again in the order of their first pixels."""
    numbers, firsts, areas = np.unique(parts, return_index=True, return_counts=True)
    kept = (numbers != 0) & (areas >= min_size)
    renumbered = np.zeros(int(numbers[-1]) + 1, np.int32)
    renumbered[numbers[kept][np.argsort(firsts[kept])]] = 1 + np.arange(np.count_nonzero(kept))
    return renumbered[parts]
