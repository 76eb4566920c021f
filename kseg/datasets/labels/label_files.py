"""Reads a label as its files store it: numbers, colours, or a folder with one mask per object."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kseg.datasets.contract import VOID
from kseg.datasets.labels.colours import ColourTable, read_coloured
from kseg.errors import DataError
from kseg.images import is_image, label_pages, read_image, read_label


def read_stored(path: Path, page: int, table: ColourTable | None, void: int) -> np.ndarray:
    """A label's numbers, (H, W) int32.

    Args:
      path: its file, or a folder with one mask per object; the masks are numbered 1, 2, ... in the order of their
        names.
      page: of the file.
      table: what its colours mean.
      void: the number to give to the table's void.

    Raises:
      DataError: a file can't be read, or a colour is not in the table.
    """
    if path.is_dir():
        return read_objects(path)
    coloured = read_coloured(path, page, table) if table else None
    if coloured is None:
        return read_label(path, page)
    return np.where(coloured == VOID, void, coloured).astype(np.int32)


def read_objects(folder: Path) -> np.ndarray:
    """The masks in a folder as one label: (H, W) int32, 0 background, 1, 2, ... in the order of their names.

    Raises:
      DataError: a mask can't be read, or has another size than the others.
    """
    objects: np.ndarray | None = None
    for number, file in enumerate(files_of(folder), start=1):
        mask = read_image(file).max(axis=2) > 0
        objects = np.zeros(mask.shape, np.int32) if objects is None else objects
        if mask.shape != objects.shape:
            raise DataError(f"{file}: {_by(mask.shape)}, but the masks before it are {_by(objects.shape)}.")
        objects[mask] = number
    if objects is None:
        raise DataError(f"{folder}: there is no mask in this folder.", "Take it away, or export the masks again.")
    return objects


def files_of(label: Path) -> list[Path]:
    """The files of a label in the order of their names."""
    return sorted(filter(is_image, label.iterdir())) if label.is_dir() else [label]


def pages_of(label: Path) -> int:
    """How many pages a label has."""
    return 1 if label.is_dir() else label_pages(label)


def scale_of(image: tuple[int, ...], label: tuple[int, ...]) -> float | None:
    """How many times larger an image (H, W) is than a label (H, W) of the same proportions; None where it is not."""
    (height, width), (rows, columns) = image, label
    larger = height > rows and width > columns
    return height / rows if larger and abs(height * columns - width * rows) <= max(height, width) else None


def enlarged(label: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """`label` (H, W) enlarged to `size`; each new pixel is the nearest pixel of the label."""
    rows, columns = ((np.arange(new) * 2 + 1) * old // (2 * new) for new, old in zip(size, label.shape, strict=True))
    return np.ascontiguousarray(label[rows[:, None], columns])


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]}"
