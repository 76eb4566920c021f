"""Which pixels the cells of a network's maps read; unknown behind a layer whose kind is unknown here."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kseg.geometry import Grid
from kseg.layers import (
    BilinearUpsampling,
    CaffePooling2D,
    CropTo,
    LocalResponseNormalization,
    MeanProbability,
    ReadScores,
    ScaleChannels,
    ScaleInput,
    SizeCheck,
)

POOLINGS = (layers.MaxPooling2D, layers.AveragePooling2D)
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
UPSAMPLINGS = (layers.Conv2DTranspose, layers.UpSampling2D, BilinearUpsampling)
JOINING = (
    *(layers.Add, layers.Average, layers.Concatenate),
    *(layers.Maximum, layers.Minimum, layers.Multiply, layers.Subtract, MeanProbability),
)
# Behind one of these a cell reads the whole image.
WHOLE = (layers.GroupNormalization,)
_POINTWISE = (
    *(layers.Activation, layers.ELU, layers.LeakyReLU, layers.PReLU, layers.ReLU, layers.Softmax),
    *(layers.AlphaDropout, layers.Dropout, layers.GaussianDropout, layers.GaussianNoise, layers.SpatialDropout2D),
    *(layers.BatchNormalization, layers.LayerNormalization, layers.Normalization, layers.UnitNormalization, *WHOLE),
    *(layers.Dense, layers.Identity, layers.Rescaling),
    *(LocalResponseNormalization, ReadScores, ScaleChannels, ScaleInput, SizeCheck),
)
# The names of keras.ops' operations that do the same to each pixel.
_POINTWISE_OPERATIONS = {
    "Absolute", "Add", "Cast", "Clip", "Concatenate", "Divide", "Elu", "Exp", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Log", "LogSoftmax", "Maximum", "Minimum", "Multiply", "Negative", "Power", "Relu", "Relu6", "Selu",
    "Sigmoid", "Silu", "Softmax", "Softplus", "Softsign", "Sqrt", "Square", "Subtract", "Swish", "Tanh", "TrueDivide",
}  # fmt: skip


def grids(model: keras.Model, axis: int = 0) -> dict[str, Grid | None]:
    """Where the cells of each layer's map lie over the image; None at and behind a layer whose kind is unknown here.

    Operations of keras.ops between layers are included, by their names.

    If layers with strides pad to keep the size ("same"), this is valid for multiples of the stride.

    Args:
      model: a functional network, or a Sequential that was built.
      axis: 0 along the height, 1 along the width.
    """
    by_tensor: dict[int, Grid | None] = {id(image): Grid() for image in model.inputs if len(image.shape) == 4}
    found: dict[str, Grid | None] = {}
    for layer in getattr(model, "operations", model.layers):  # a Sequential has layers alone
        outputs = keras.tree.flatten(layer.output)
        if isinstance(layer, layers.InputLayer):
            if id(outputs[0]) in by_tensor:
                found[layer.name] = by_tensor[id(outputs[0])]
        elif any(len(output.shape) == 4 for output in outputs):
            given = [by_tensor.get(id(tensor)) for tensor in keras.tree.flatten(layer.input)]
            grid = _grid_after(layer, given, axis) if len(outputs) == 1 else None
            found[layer.name] = by_tensor[id(outputs[0])] = grid
    return found


def reading_all(model: keras.Model) -> set[str]:
    """The layers whose cells read the whole image, because a normalisation before them does."""
    tensors: set[int] = set()
    names = set()
    for layer in model.layers:
        if isinstance(layer, WHOLE) or any(id(tensor) in tensors for tensor in keras.tree.flatten(layer.input)):
            names.add(layer.name)
            tensors.update(id(output) for output in keras.tree.flatten(layer.output))
    return names


def _grid_after(layer: Any, given: list[Grid | None], axis: int) -> Grid | None:
    """The grid of a layer's output; None if it is unknown."""
    if not given or (grid := given[0]) is None or not _is_along_channels(layer):
        return None
    if isinstance(layer, layers.Conv2DTranspose):
        size, stride = _reach(layer, layer.kernel_size, axis), layer.strides[axis]
        crop = max(size - stride, 0) // 2 if layer.padding == "same" else 0
        return grid.upsampled(size, stride).cropped(crop) if layer.output_padding is None else None
    if isinstance(layer, CONVOLUTIONS + POOLINGS):
        window = layer.pool_size if isinstance(layer, POOLINGS) else layer.kernel_size
        size, stride = _reach(layer, window, axis), layer.strides[axis]
        return grid.pooled(size, stride, max(size - stride, 0) // 2 if layer.padding == "same" else 0)
    if isinstance(layer, layers.UpSampling2D):
        factor = layer.size[axis]
        if layer.interpolation == "nearest":
            return grid.upsampled(factor, factor)
        # A pixel is interpolated between the two cells whose centres are nearest to its own.
        bilinear = layer.interpolation == "bilinear"
        return grid.upsampled(2 * factor - factor % 2, factor).cropped(factor // 2) if bilinear else None
    if isinstance(layer, CaffePooling2D):
        return grid.pooled(layer.size, layer.strides, layer.pad)
    if isinstance(layer, BilinearUpsampling):
        return grid.upsampled(layer.size, layer.factor)
    if isinstance(layer, layers.ZeroPadding2D):
        return grid.cropped(-layer.padding[axis][0])
    if isinstance(layer, layers.Cropping2D):
        return grid.cropped(layer.cropping[axis][0])
    if isinstance(layer, CropTo):
        return grid.cropped(layer.offset)
    is_pointwise = not isinstance(layer, layers.Layer) and type(layer).__name__ in _POINTWISE_OPERATIONS
    if isinstance(layer, JOINING) or is_pointwise:
        known = [each for each in given if each is not None and each.stride == grid.stride]
        if len(known) < len(given):
            return None
        return Grid(grid.stride, min(each.first for each in known), max(each.last for each in known))
    return grid if isinstance(layer, _POINTWISE) else None


def _reach(layer: Any, window: tuple[int, int], axis: int) -> int:
    """The number of cells from the first to the last that a window reads, including those that dilation skips."""
    dilation = getattr(layer, "dilation_rate", (1, 1))
    return dilation[axis] * (window[axis] - 1) + 1


def _is_along_channels(layer: Any) -> bool:
    """Whether channels are a layer's last axis, and also the axis that it works along, if it has such an axis."""
    axis = getattr(layer, "axis", -1)
    last = all(each in (-1, 3) for each in (axis if isinstance(axis, list | tuple) else (axis,)))
    return last and getattr(layer, "data_format", None) in (None, "channels_last")
