"""What a network is made of: in words, and as a picture with its receptive fields."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from kseg.geometry import Grid
from kseg.layers import BilinearUpsampling, CaffePooling2D, CropTo, SizeCheck
from kseg.pictures import draw_fields


def describe(model: keras.Model) -> str:
    """A table of the layers with weights, and the sizes the network takes.

    Kernel, output, parameters, and how many pixels lie between two cells and are read by one, at the most.
    """
    found = grids(model)
    rows = [("layer", "kernel", "output", "parameters", "stride", "reads")]
    for layer in model.layers:
        if layer.weights:
            kernel = getattr(layer, "kernel", None)
            grid = found.get(layer.name)
            rows.append(
                (
                    layer.name,
                    "" if kernel is None else " x ".join(map(str, kernel.shape)),
                    " x ".join("-" if size is None else str(size) for size in layer.output.shape[1:]),
                    f"{layer.count_params():,}",
                    "" if grid is None else str(grid.stride),
                    "" if grid is None else str(grid.receptive_field),
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    lines += ["", f"parameters  {model.count_params():,}"]
    for name, grid in _coarsest(model, found):
        lines.append(f"coarsest    {name}: a cell every {grid.stride} pixels, reading {grid.receptive_field}")
    lines += _sizes(model)
    return "\n".join(line.rstrip() for line in lines)


def draw(model: keras.Model, path: str | Path, image: np.ndarray | None = None) -> None:
    """Draws the maps of `model` by size and channels and, on an image, what a cell of some reads; as PNG.

    Args:
      model: a network.
      path: where to.
      image: (H, W, C); None for an empty one as large as the network reads.
    """
    found = grids(model)
    maps = [
        (layer.name, layer.output.shape[-1], float(found[layer.name].stride))
        for layer in model.layers
        if layer.name in found and isinstance(layer, (*_CONVOLUTIONS, BilinearUpsampling, CropTo))
    ]
    chosen: dict[str, Grid] = {}
    for layer in model.layers:  # the last map of each stride on the way down
        grid = found.get(layer.name)
        if grid is not None and grid.stride > 1 and isinstance(layer, (layers.Conv2D, layers.MaxPooling2D)):
            chosen = {name: other for name, other in chosen.items() if other.stride != grid.stride}
            chosen[layer.name] = grid
        if isinstance(layer, (layers.Conv2DTranspose, BilinearUpsampling)):
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


_CONVOLUTIONS = (layers.Conv2D, layers.Conv2DTranspose)
_JOINING = (layers.Add, layers.Average, layers.Concatenate)


def grids(model: keras.Model) -> dict[str, Grid]:
    """Where the cells of each layer's map lie over the image, from what the layers say of themselves."""
    by_tensor: dict[int, Grid] = {}
    found: dict[str, Grid] = {}
    for layer in model.layers:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        known = [by_tensor[id(tensor)] for tensor in inputs if id(tensor) in by_tensor]
        if isinstance(layer, layers.InputLayer):
            known = [Grid()]
        if known and len(layer.output.shape) == 4:
            found[layer.name] = by_tensor[id(layer.output)] = _grid_after(layer, known)
    return found


def _grid_after(layer: keras.Layer, given: list[Grid]) -> Grid:
    """The grid of a layer's output."""
    grid = given[0]
    if isinstance(layer, layers.Conv2DTranspose):
        return grid.upsampled(layer.kernel_size[0], layer.strides[0])
    if isinstance(layer, layers.Conv2D):
        return grid.pooled(layer.kernel_size[0], layer.strides[0], _same_pad(layer, layer.kernel_size[0]))
    if isinstance(layer, layers.MaxPooling2D):
        size, stride = layer.pool_size[0], layer.strides[0]
        return grid.pooled(size, stride, _same_pad(layer, size) if stride == 1 else 0)
    if isinstance(layer, CaffePooling2D):
        return grid.pooled(layer.size, layer.strides, layer.pad)
    if isinstance(layer, BilinearUpsampling):
        return grid.upsampled(layer.size, layer.factor)
    if isinstance(layer, layers.ZeroPadding2D):
        return grid.cropped(-layer.padding[0][0])
    if isinstance(layer, CropTo):
        return grid.cropped(layer.offset)
    if isinstance(layer, layers.Cropping2D):
        return grid.cropped(layer.cropping[0][0])
    if isinstance(layer, _JOINING):
        for other in given[1:]:
            grid = grid.fused(other)
    return grid


def _same_pad(layer: Any, size: int) -> int:
    return (size - 1) // 2 if layer.padding == "same" else 0


def _coarsest(model: keras.Model, found: dict[str, Grid]) -> Iterator[tuple[str, Grid]]:
    """The last map of the largest stride, where there is one above 1."""
    kinds = (layers.Conv2D, layers.MaxPooling2D, CaffePooling2D, layers.Concatenate)
    named = [(each.name, found[each.name]) for each in model.layers if isinstance(each, kinds) and each.name in found]
    most = max((grid.stride for _, grid in named), default=Fraction(1))
    if most > 1:
        yield next((name, grid) for name, grid in reversed(named) if grid.stride == most)


def _sizes(model: keras.Model) -> list[str]:
    """The sizes the network takes, in a line."""
    for layer in model.layers:
        if isinstance(layer, SizeCheck):
            geometry = layer.geometry
            if geometry.steps == 1:
                return [f"sizes       any from {geometry.smallest}; the output is as large"]
            sizes = ", ".join(str(geometry.smallest + step * geometry.steps) for step in range(3))
            lost = f"the output is {2 * geometry.border} smaller" if geometry.border else "the output is as large"
            return [f"sizes       {sizes}, ... in steps of {geometry.steps}; {lost}"]
    return []
