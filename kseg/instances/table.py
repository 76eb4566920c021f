"""The measurements of objects, a row for each."""

from __future__ import annotations

import numpy as np

from kseg.errors import DataError

OUTLINE = ("id", "area", "centroid_row", "centroid_column", "top", "left", "bottom", "right")


def object_table(objects: np.ndarray, image: np.ndarray | None = None) -> list[dict[str, int | float | bool]]:
    """The measurements of each object, in the order of the numbers.

    Args:
      objects: (H, W) integers, 0 background, one number per object.
      image: (H, W) or (H, W, C), for the mean grey levels; None to leave them out.

    Returns:
      A dictionary per object:
        id: its number.
        area: pixels.
        centroid_row, centroid_column: pixels; the centre of the first pixel is 0.
        top, left, bottom, right: the box around it; bottom and right are one beyond the last pixel, as in slices.
        mean: its mean grey level; for an image of several channels mean_1, mean_2, ...
        touches_border: whether it touches the image's border, so that a part of it may lie outside.

    Raises:
      DataError: `objects` is not such an array, or the image has another size.
    """
    objects = np.asarray(objects)
    if objects.ndim != 2 or objects.dtype.kind not in "iu" or (objects.size and objects.min() < 0):
        raise DataError(
            f"objects: an array {objects.shape} of {objects.dtype}.",
            "Give an array of (height, width) integers, at least 0, as kseg.objects returns it.",
        )
    rows, columns = np.nonzero(objects)
    ids, which, areas = np.unique(objects[rows, columns], return_inverse=True, return_counts=True)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(which, values, minlength=len(ids)) / areas

    def extreme(function: np.ufunc, values: np.ndarray, start: int) -> np.ndarray:
        found = np.full(len(ids), start)
        function.at(found, which, values)
        return found

    height, width = objects.shape
    table = {
        "id": ids,
        "area": areas,
        "centroid_row": mean(rows),
        "centroid_column": mean(columns),
        "top": extreme(np.minimum, rows, height),
        "left": extreme(np.minimum, columns, width),
        "bottom": extreme(np.maximum, rows + 1, 0),
        "right": extreme(np.maximum, columns + 1, 0),
    }
    if image is not None:
        levels = np.asarray(image)
        if levels.shape[:2] != objects.shape:
            raise DataError(
                f"image: {levels.shape}, but the objects are {objects.shape}.", "Give the image they were found in."
            )
        channels = levels.reshape(height, width, -1)[rows, columns].T
        names = _means(len(channels))
        table |= {name: mean(channel.astype(np.float64)) for name, channel in zip(names, channels, strict=True)}
    edges = (table["top"] == 0) | (table["left"] == 0) | (table["bottom"] == height) | (table["right"] == width)
    table["touches_border"] = edges
    columns_of = (column.tolist() for column in table.values())
    return [dict(zip(table, row, strict=True)) for row in zip(*columns_of, strict=True)]


def column_names(channels: int) -> list[str]:
    """The names of the values in a row of `object_table`, for an image of so many channels."""
    return [*OUTLINE, *_means(channels), "touches_border"]


def _means(channels: int) -> list[str]:
    return ["mean"] if channels == 1 else [f"mean_{number}" for number in range(1, channels + 1)]
