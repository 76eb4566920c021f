"""Pixels without data, as GDAL's tag 42113 marks them in a TIFF. They are void."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kseg.errors import Doubt

NO_CLASS = -(1 << 31)  # stands for pixels without data in a label, where their own number can't be a class
_MOST_CLASSES = 255


def without_data(array: np.ndarray, number: float | None) -> np.ndarray | None:
    """The pixels at which `array` (H, W, C) has no data, by the `number` that marks them: (H, W) bool; None if none.

    Pixels of 8 and 16 bits must have the number in every channel, since one channel alone may be black. Of other types
    one channel is enough, since the network would take the number for a grey level.
    """
    if number is None:
        return None
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            found = np.isnan(array) if math.isnan(number) else array == array.dtype.type(number)
    else:
        known = np.iinfo(np.uint8 if array.dtype == np.bool_ else array.dtype)
        if not known.min <= number <= known.max or number != int(number):
            return None
        found = array == int(number)
    missing = found.all(axis=-1) if array.dtype in (np.uint8, np.uint16) else found.any(axis=-1)
    return missing if missing.any() else None


def is_no_class(number: float | None) -> bool:
    """Whether a label's number for no data can't be a class, so that it surely is void. 0 often is the background."""
    return number is not None and not 0 <= number < _MOST_CLASSES


def doubts_of_no_data(marks: Sequence[float | None]) -> list[Doubt]:
    """What `train` and `data check` say about images with pixels without data; [] where there are none.

    Args:
      marks: for each image the number that marks such pixels; None where there is none.
    """
    marked = [f"{mark:g}" for mark in marks if mark is not None]
    if not marked:
        return []
    return [
        Doubt(
            f"{len(marked):,} of {len(marks):,} images mark {', '.join(dict.fromkeys(marked))} as pixels without data "
            "(GDAL_NODATA): these are read as 0, and are void in the label."
        )
    ]
