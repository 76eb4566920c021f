"""Describes a network: as a table, and as a picture with its receptive fields."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from kseg.charts import draw_fields
from kseg.geometry import Grid
from kseg.layers import CaffePooling2D, CropTo, SizeCheck
from kseg.models.fields import CONVOLUTIONS, POOLINGS, UPSAMPLINGS, grids, reading_all

Grids = tuple[Grid | None, Grid | None]  # along the height, along the width
Fields = dict[str, Grids]


def describe(model: keras.Model) -> str:
    """A table of the layers with weights, and the sizes that the network takes.

    Its columns are kernel, output, parameters, the distance of two cells (stride), and the largest number of pixels
    that a cell reads. The last two are "unknown" at and behind a layer whose kind is unknown.
    """
    found = _fields(model)
    whole = reading_all(model)
    rows = [("layer", "kernel", "output", "parameters", "stride", "reads")]
    for layer in model.layers:
        if layer.weights:
            kernel = getattr(layer, "kernel", None)
            size = keras.tree.flatten(layer.output)[0].shape[1:]
            rows.append(
                (
                    layer.name,
                    "" if kernel is None else " x ".join(map(str, kernel.shape)),
                    " x ".join("-" if side is None else str(side) for side in size),
                    f"{layer.count_params():,}",
                    _joined(*_strides(found[layer.name])) if layer.name in found else "",
                    _reads(layer.name, found, whole) if layer.name in found else "",
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    lines += ["", f"parameters  {model.count_params():,}"]
    lines += _coarsest(model, found, whole)
    lines += _sizes(model)
    return "\n".join(line.rstrip() for line in lines)


def draw(model: keras.Model, path: str | Path, image: np.ndarray | None = None) -> None:
    """Draws the maps of `model` by size and channels, and on an image what a cell of some reads; as PNG.

    Maps whose grid is unknown, or differs between height and width, are left out.

    Args:
      model: a network.
      path: the file to write.
      image: (H, W, C); None for an empty one, slightly larger than a cell reads.
    """
    known = {name: rows for name, (rows, columns) in _fields(model).items() if rows is not None and rows == columns}
    whole = reading_all(model)
    maps = [
        (layer.name, layer.output.shape[-1], float(known[layer.name].stride))
        for layer in model.layers
        if layer.name in known and isinstance(layer, (*CONVOLUTIONS, *UPSAMPLINGS, CropTo))
    ]
    chosen: dict[str, Grid] = {}
    for layer in model.layers:  # the last map of each stride before the up-sampling
        grid = None if layer.name in whole else known.get(layer.name)
        if grid is not None and grid.stride > 1 and isinstance(layer, (*CONVOLUTIONS, *POOLINGS)):
            chosen = {name: other for name, other in chosen.items() if other.stride != grid.stride}
            chosen[layer.name] = grid
        if isinstance(layer, UPSAMPLINGS):
            break
    if image is None:
        side = max((grid.receptive_field for grid in chosen.values()), default=64) * 5 // 4
        image = np.full((side, side, 3), 235, np.uint8)
    height, width = image.shape[:2]
    fields = {}
    for name, grid in chosen.items():
        # The cell whose centre lies nearest to the image's.
        row, column = (round((Fraction(size - 1, 2) - grid.offset) / grid.stride) for size in (height, width))
        top, left = (float(grid.stride * cell + grid.first) for cell in (row, column))
        fields[f"{name}: {grid.receptive_field} pixels, one every {grid.stride}"] = (
            left, top, grid.receptive_field, float(grid.stride)
        )  # fmt: skip
    draw_fields(maps, image, fields, path)


def _fields(model: keras.Model) -> Fields:
    columns = grids(model, axis=1)
    return {name: (rows, columns[name]) for name, rows in grids(model).items()}


def _joined(*values: Any) -> str:
    """The numbers along height and width, as text: a single one if they are equal."""
    if None in values:
        return "unknown"
    return " x ".join(str(value) for value in dict.fromkeys(values))


def _coarsest(model: keras.Model, found: Fields, whole: set[str]) -> Iterator[str]:
    """A line on the last map with the largest stride above 1, or on the first layer of an unknown kind."""
    for layer in getattr(model, "operations", model.layers):  # a Sequential has layers alone
        if None in found.get(layer.name, ()):
            yield f"unknown     from {layer.name} on: kseg does not know what a {type(layer).__name__} reads"
            return
    kinds = (*CONVOLUTIONS, *POOLINGS, CaffePooling2D, layers.Concatenate)
    named = [layer.name for layer in model.layers if isinstance(layer, kinds) and layer.name in found]
    most = max((_strides(found[name]) for name in named), default=(1, 1))
    if most > (1, 1):
        last = next(name for name in reversed(named) if _strides(found[name]) == most)
        yield f"coarsest    {last}: a cell every {_joined(*most)} pixels, reading {_reads(last, found, whole)}"


def _strides(both: Grids) -> tuple[Any, ...]:
    return tuple(grid and grid.stride for grid in both)


def _reads(name: str, found: Fields, whole: set[str]) -> str:
    """How many pixels a cell of layer `name` reads."""
    return "the whole image" if name in whole else _joined(*(grid and grid.receptive_field for grid in found[name]))


def _sizes(model: keras.Model) -> list[str]:
    """A line on the sizes that the network takes."""
    for layer in model.layers:
        if isinstance(layer, SizeCheck):
            geometry = layer.geometry
            if geometry.steps == 1:
                return [f"sizes       any from {geometry.smallest}; the output is as large"]
            sizes = ", ".join(str(geometry.smallest + step * geometry.steps) for step in range(3))
            lost = f"the output is {2 * geometry.border} smaller" if geometry.border else "the output is as large"
            return [f"sizes       {sizes}, ... in steps of {geometry.steps}; {lost}"]
    return []
