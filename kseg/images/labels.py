"""Reads the numbers of classes or objects in label files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kseg.errors import DataError, Setting
from kseg.images.errors import ColouredLabel
from kseg.images.read import check_file, is_stack, named, read_head, read_only_page, stored_numbers, tag_of
from kseg.images.tiff.nodata import NO_CLASS, is_no_class, without_data
from kseg.images.tiff.slices import open_tiff, read_numbers

_LARGEST = (1 << 31) - 1


def label_pages(path: str | Path) -> int:
    """How many pages a label file has. Each page is a label of its own, since a pixel has one number and no channels.

    Raises:
      DataError: as `read_label`.
    """
    path = Path(path)
    with named(path):
        check_file(path)
        return open_tiff(path, label=True).shape[0] if is_stack(path) else 1


def orientation_of(path: str | Path) -> int:
    """The orientation tag of a label or image, 1..8; 1 where there is none.

    Raises:
      DataError: as `read_label`.
    """
    path = Path(path)
    with named(path):
        return open_tiff(path, label=True).origin.orientation if is_stack(path) else tag_of(path)


def read_label(path: str | Path, page: int = 0) -> np.ndarray:
    """One page of a label file as (H, W) int32: the stored numbers, of palette files the indices.

    Numbers may be of any type, and below 0. Pixels that GDAL's tag marks as without data become NO_CLASS, unless their
    number can be a class: 0 often is the background.

    Raises:
      LossyLabel: the file is compressed with loss, as JPEG.
      ColouredLabel: it holds colours.
      DataError: it can't be read, or holds fractions, or numbers that int32 does not hold.
    """
    path, missing = Path(path), None
    with named(path):
        check_file(path)
        tiff = open_tiff(path, label=True) if is_stack(path) else None
    if not 0 <= page < (1 if tiff is None else tiff.shape[0]):
        raise IndexError(page)
    with named(path):
        if tiff is not None:
            array = read_numbers(path, tiff, page)
            missing = without_data(array[..., :1], tiff.no_data) if is_no_class(tiff.no_data) else None
        else:
            stored = None if read_head(path) else stored_numbers(path)
            if stored is not None:
                return stored
            array = read_only_page(path)
    first = array[..., :1]
    if array.shape[2] > 1 and not (array == first).all():
        colours = len(np.unique(array.reshape(-1, array.shape[2]), axis=0))
        save = "Save it as a grey or palette image whose values are 0, 1, 2, ..., as the corrected copy of `kseg data "
        save += "check` does; a table can say which colour is which class: "
        what = f"{path}: the label holds {colours} colours, not class numbers."
        raise ColouredLabel(what, save, Setting("data.colours"), ".")
    numbers = first[..., 0] if missing is None else np.where(missing, 0, first[..., 0])
    _check_numbers(path, numbers)
    whole = numbers.astype(np.int32)
    return whole if missing is None else np.where(missing, np.int32(NO_CLASS), whole)


def _check_numbers(path: Path, numbers: np.ndarray) -> None:
    """Raises DataError unless `numbers` (H, W) are whole and fit into int32, in which NO_CLASS is reserved."""
    if numbers.dtype.kind not in "buif":
        raise DataError(f"{path}: the label's values are of type {numbers.dtype}.", "Labels are whole numbers.")
    if numbers.dtype.kind == "f":
        # A float32 holds every whole number up to 2^24.
        most = min(_LARGEST, 1 << (np.finfo(numbers.dtype).nmant + 1))
        if not ((numbers == np.round(numbers)) & (np.abs(numbers) <= most)).all():
            raise DataError(f"{path}: the label holds fractions.", "Labels are whole numbers, one per class or object.")
    elif numbers.dtype.itemsize >= 4 and numbers.size and not -_LARGEST <= numbers.min() <= numbers.max() <= _LARGEST:
        what = f"{path}: the label holds numbers from {numbers.min()} to {numbers.max()}; up to 2,147,483,647 are read."
        raise DataError(what, "Number the objects again, from 1 on.")
