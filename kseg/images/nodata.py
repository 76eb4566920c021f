"""Pixels without data, as GDAL's tag 42113 marks them in a TIFF: void, whatever their number."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

NO_CLASS = -(1 << 31)  # what a label's pixels without data are read as, where their number can be no class
_MOST_CLASSES = 255


def without_data(array: np.ndarray, number: float | None) -> np.ndarray | None:
    """Where `array` (H, W, C) has no data: (H, W) bool; None where it has all, or nothing marks them.

    Grey levels of 8 and 16 bits must be `number` in every channel, since black is no gap in one; of other types one
    channel is enough, since the network would take it for a level.
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
    """Whether a label's number for no data can't be a class's: void then, unasked. 0 often is the background."""
    return number is not None and not 0 <= number < _MOST_CLASSES


def words_for_below(number: int) -> str:
    """What to do about a number below 0 in labels."""
    return f"where it is void, pass --set data.ignore_class={number}"


def words_for_no_data(files: Mapping[str, int], most: int) -> str:
    """The sentence that says which files have pixels without data, for `train` and `data check`; "" where none has.

    Args:
      files: how many files mark which number, as text: NaN is no key.
      most: how many there are in all.
    """
    if not files:
        return ""
    numbers = ", ".join(f"{float(number):g}" for number in files)
    return (
        f"{sum(files.values()):,} of {most:,} images mark {numbers} as pixels without data (GDAL_NODATA): these are "
        "read as 0, and are void in the label."
    )
