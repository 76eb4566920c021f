"""Turns the arrays of decoders into those that networks take: type, orientation, alpha, channels, extent."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from kseg.errors import DataError, Setting

LARGEST_PAGE = 1 << 30
# By orientation tag (274): whether to exchange the axes first, and which to reverse then.
TURNS = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


def check_extent(path: Path, page: tuple[int, ...]) -> None:
    """Raises DataError where a page of this shape is empty or too large."""
    if not 0 < math.prod(page) <= LARGEST_PAGE:
        what = f"{path}: a page of {' x '.join(map(str, page))} values; up to 2^30 values a page are read."
        raise DataError(what, "Cut it into pieces.")


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """`array` (H, W, C) as its orientation tag shows it."""
    exchange, reverse = TURNS.get(orientation, (False, ()))
    return np.ascontiguousarray(np.flip(array.swapaxes(0, 1) if exchange else array, reverse))


def as_stored(array: np.ndarray, orientation: int) -> np.ndarray:
    """The array from which `turned` makes `array`."""
    return turned(array, {6: 8, 8: 6}.get(orientation, orientation))


def plain(array: np.ndarray, path: Path, first_row: int = 0) -> np.ndarray:
    """`array`, whose first row has the number `first_row`, in native byte order as uint8, uint16 or float32.

    Raises:
      DataError: that would lose something.
    """
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 65535:
        return array.astype(np.uint16)
    if array.dtype.kind == "f" and (np.abs(array) <= np.finfo(np.float32).max).all():
        return array.astype(np.float32)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        wrong = ~np.isfinite(array)
        row, column, _ = np.argwhere(wrong)[0]
        many = f"{int(wrong.sum()):,} values ({wrong.mean():.1%})"
        void = "Where NaN means that there is no data, say so in the file, and it is void: "
        what = f"{path}: {many} are NaN or infinite, the first at row {row + first_row}, column {column}."
        raise DataError(what, "Replace them. ", void, "gdal_edit.py -a_nodata nan FILE.tif.")
    raise DataError(
        f"{path}: values of type {array.dtype} from {array.min()} to {array.max()}.",
        "Save it with 8 or 16 bits, or as finite float32. Where the lowest or highest value means that there is no "
        "data, say so in the file, and it is void: gdal_edit.py -a_nodata NUMBER FILE.tif.",
    )


def opaque(array: np.ndarray, path: Path) -> np.ndarray:
    """`array` (H, W, C) without its alpha channel.

    Raises:
      DataError: a pixel is transparent.
    """
    if array.shape[2] not in (2, 4):
        return array
    clear = transparent(array)
    if not clear.any():
        return np.ascontiguousarray(array[..., :-1])
    flatten = "Flatten it onto a background first: what lies below is not defined. "
    band = "Where that channel is a band like the others, as the near infrared of aerial images, pass "
    what = f"{path}: an image with an alpha channel, {clear.mean():.1%} of it transparent."
    raise DataError(what, flatten, band, Setting("data.alpha", "channel"), ".")


def transparent(array: np.ndarray) -> np.ndarray:
    """The pixels at which the last channel of `array` (H, W, C), taken as alpha, is not opaque: (H, W) bool."""
    return array[..., -1] != (1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max)


def with_channels(image: np.ndarray, channels: int, name: str) -> np.ndarray:
    """`image` (H, W, C) with `channels` channels: grey is repeated, of three equal channels one is taken.

    Raises:
      DataError: neither is possible; `name` is the file's.
    """
    found = image.shape[-1]
    if found == channels:
        return image
    if found == 1 and channels == 3:
        return np.repeat(image, 3, axis=-1)
    if found == 3 and channels == 1:
        if (image == image[..., :1]).all():
            return image[..., :1]
        what = f"{name}: a colour image, but the network takes one grey channel."
        raise DataError(what, "Convert it, or train a network on colour images.")
    what = f"{name}: {found} channel{'s' * (found > 1)}, but the network takes {channels}."
    raise DataError(what, "Give it images like those it was trained on.")
