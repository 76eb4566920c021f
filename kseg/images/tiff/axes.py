"""Tells whether the pages of a TIFF are slices or channels, by what ImageJ, OME-XML, tifffile or a person says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kseg.errors import ConfigError, DataError, Setting
from kseg.images.tiff.descriptions import Text

CHANNEL_AXES = "CS"
_CHANNELS, _SLICES = Setting("data.axes", "CYX"), Setting("data.axes", "ZYX")
_SAY = "Say what the pages are: ", _CHANNELS, " where they are channels, ", _SLICES, " where they are slices."


class Arrangement(NamedTuple):
    """The slices of a file.

    Attributes:
      slices: for each slice the directories that hold its channels.
      sizes: the axes of the slices, the outermost first: {"T": 5, "Z": 3}; {} where they are not known.
      is_stated: whether the file or a person says it.
    """

    slices: tuple[tuple[int, ...], ...]
    sizes: Mapping[str, int]
    is_stated: bool


def one_by_one(directories: Sequence[int]) -> Arrangement:
    """The arrangement in which every directory is a slice."""
    return Arrangement(tuple((number,) for number in directories), {}, False)


def check_axes(axes: str | None) -> None:
    """Raises ConfigError where `axes` are not letters, each once, with Y before X."""
    if axes is None:
        return
    plain = axes.isascii() and axes.isalpha() and axes.isupper() and len(set(axes)) == len(axes)
    if not plain or not 0 <= axes.find("Y") < axes.find("X"):
        raise ConfigError(
            f"data.axes is {axes!r}.",
            "Name each axis once, the outermost first: CYX for pages that are channels, ZYX for slices, ZCYX for "
            "slices of channels, YXS for pixels of channels.",
        )


def arrange(path: Path, text: Text, directories: Sequence[int], page: str, axes: str | None) -> Arrangement:
    """The slices of a file and the directories of each.

    Args:
      path: for messages.
      text: what the file says of itself.
      directories: the numbers of those that are images.
      page: the axes of one directory: YX, YXS or SYX.
      axes: what a person says; None for what the file says.

    Raises:
      DataError: the axes do not fit the directories, or channels can't be told from slices.
    """
    count = len(directories)
    order = np.asarray(directories)
    if axes is not None:
        letters = _before_page(axes, page, path)
        sizes = _asked(path, axes, letters, text, count)
    else:
        if text.trouble and count > 1:
            raise DataError(f"{path}: {count} pages, but {text.trouble}.", "Save it again. ", *_SAY)
        letters, sizes = text.letters, text.sizes
        if text.axes:
            letters = _before_page(text.axes, page, path) if count > 1 else ""
            sizes = text.sizes[: len(letters)]
        if not letters or not _fits(path, text, letters, sizes, count):
            return one_by_one(directories)
        if text.order is not None:
            if sorted(text.order) != list(range(count)):
                raise DataError(f"{path}: its OME-XML names {len(text.order)} pages, of {count} in the file.", *_SAY)
            order = order[list(text.order)]
    grid = order.reshape(sizes)
    channels = [axis for axis, letter in enumerate(letters) if letter in CHANNEL_AXES]
    others = [axis for axis in range(len(letters)) if axis not in channels]
    grid = grid.transpose(*others, *channels).reshape(-1, math.prod(sizes[axis] for axis in channels))
    kept = {letters[axis]: sizes[axis] for axis in others if sizes[axis] > 1}
    return Arrangement(tuple(map(tuple, grid.tolist())), kept, True)


def _before_page(axes: str, page: str, path: Path) -> str:
    """The letters of `axes` that count directories, without those within one directory."""
    # People leave out the axis of the colours within each pixel.
    for tail in {"YX": ("YX",), "YXS": ("YXS", "YXC", "YX"), "SYX": ("SYX", "CYX", "YX")}[page]:
        if axes.endswith(tail):
            return axes[: -len(tail)]
    what = f"{path}: its axes are {axes}, but each of its pages is {page}."
    raise DataError(what, "Save it as pages of whole rows (CYX, ZYX), or with its channels within each pixel (YXS).")


def _asked(path: Path, axes: str, letters: str, text: Text, count: int) -> tuple[int, ...]:
    """The lengths of the axes that count pages, the `letters` among the `axes` that a person named."""
    sizes = [text.lengths.get(letter, 0) for letter in letters]
    if text.writer == "tifffile" and not text.axes and len(text.sizes) == len(axes):
        # tifffile wrote the shape of the whole without letters
        sizes = list(text.sizes[: len(letters)])
    if len(letters) == 1 or count == 1:
        sizes = [count] * len(letters)
    elif sizes.count(0) == 1:
        sizes[sizes.index(0)] = count // max(1, math.prod(filter(None, sizes)))
    if math.prod(sizes) != count:
        named = f"axes {' and '.join(letters)}" if letters else "rows and columns of one page"
        what = f"{path}: {count} pages do not fit the {named} that data.axes names."
        raise DataError(what, "Name the axes of this file, or save it from Fiji, which writes their lengths.")
    return tuple(sizes)


def _fits(path: Path, text: Text, letters: str, sizes: Sequence[int], count: int) -> bool:
    """Whether the sizes fit the number of pages.

    Raises:
      DataError: they do not, and some are channels; a person must say what the pages are.
    """
    if math.prod(sizes) == count:
        return True
    channels = math.prod(size for letter, size in zip(letters, sizes, strict=True) if letter in CHANNEL_AXES)
    if channels in (0, 1) or count == 1:  # no channels are at stake
        return False
    said = ", ".join(f"{letter} {size}" for letter, size in zip(letters, sizes, strict=True))
    raise DataError(f"{path}: {count} pages, but its {text.writer} description says {said}.", *_SAY)
