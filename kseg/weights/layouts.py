"""Copies tensors in Caffe's or Keras' order of axes into Keras variables, slice by slice.

| layer | Caffe | Keras |
| --- | --- | --- |
| convolution | (out, in / groups, rows, columns) | (rows, columns, in / groups, out) |
| transposed convolution | (in, out, rows, columns) | (rows, columns, out, in) |
| inner product | (out, in), the map before it flattened as (C, H, W) | (in, out), flattened as (H, W, C) |

So every kernel is transposed from Caffe to Keras by the axes (2, 3, 1, 0), without a flip. An inner product is a
convolution whose kernel covers the whole map: in either layout its rows are that kernel in the same order.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import keras
import numpy as np

_SLICE_BYTES = 16 << 20


class Slice(NamedTuple):
    """A part of a variable, float32: from index `start` along its first axis (0) or its last (-1)."""

    axis: Literal[0, -1]
    start: int
    numbers: np.ndarray


Slices = Iterator[Slice]


class Misfit(Exception):
    """The reason why the weights of a file do not fit a layer."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One array of a file, which is read on demand.

    Attributes:
      shape: at least one size; comparisons ignore leading sizes of one.
      read: gives rows start..stop of the first axis, float32, in C order.
      layout: the order of its axes: Caffe's or Keras'.
    """

    shape: tuple[int, ...]
    read: Callable[[int, int], np.ndarray]
    layout: Literal["caffe", "keras"]

    @classmethod
    def of(cls, array: np.ndarray, layout: Literal["caffe", "keras"]) -> Tensor:
        """A tensor from an array in memory with at least one axis."""
        return cls(array.shape, lambda start, stop: np.asarray(array[start:stop], np.float32), layout)

    def whole(self) -> np.ndarray:
        """The whole tensor, float32."""
        return self.read(0, self.shape[0]).reshape(self.shape)


def kernel_slices(tensor: Tensor, window: tuple[int, ...], shape: tuple[int, ...]) -> Callable[[], Slices]:
    """A function that iterates over a kernel's slices.

    Args:
      tensor: the kernel of a convolution or an inner product.
      window: the kernel's shape as a Keras convolution, (rows, columns, in / groups, out); for an inner product
        rows and columns are those of the whole map.
      shape: the shape of the variable: `window`, or (rows * columns * in, out).

    Raises:
      Misfit: the tensor has another shape, which the message names.
    """
    rows, columns, read, out = window
    caffe = tensor.layout == "caffe"
    convolution = (out, read, rows, columns) if caffe else window
    product = (out, read * rows * columns) if caffe else (rows * columns * read, out)
    if _bare(tensor.shape) not in (_bare(convolution), _bare(product)):
        own = product if len(tensor.shape) == 2 else convolution
        if caffe and tensor.shape[1:] == own[1:]:
            raise Misfit(f"{tensor.shape[0]} outputs in the file, {own[0]} in the network")
        raise Misfit(f"a kernel of {tensor.shape} in the file, of {own} in the network")
    return lambda: (_from_caffe if caffe else _from_keras)(tensor, window, shape)


def array_slices(tensor: Tensor, shape: tuple[int, ...], what: str) -> Callable[[], Slices]:
    """As `kernel_slices`, for a bias or a scale (C,), in a single slice.

    Raises:
      Misfit: the tensor has another shape.
    """
    if _bare(tensor.shape) != _bare(shape):
        raise Misfit(f"{what} of {tensor.shape} in the file, of {shape} in the network")
    return lambda: iter([Slice(0, 0, tensor.whole().reshape(shape))])


def assign(variable: keras.Variable, slices: Slices) -> None:
    """Writes slices, which together cover the variable, into it.

    TensorFlow writes a large variable in place. Other backends, and variables on several devices, need memory for a
    second copy.

    Raises:
      WeightsError: the file can't be read any more; a large variable is then filled in part.
    """
    large = 4 * math.prod(variable.shape) > _SLICE_BYTES and variable.dtype == "float32"
    if large and keras.backend.backend() == "tensorflow" and _assigned_in_place(variable, slices):
        return
    whole = np.empty(variable.shape, np.float32)
    for axis, start, part in slices:
        stop = start + part.shape[axis]
        whole[(slice(start, stop) if axis == 0 else (..., slice(start, stop)))] = part
    variable.assign(whole)


def _assigned_in_place(variable: keras.Variable, slices: Slices) -> bool:
    """Writes slices into a variable of TensorFlow; does nothing and returns False if it is on several devices.

    Raw operations are used, since `variable.value[a:b].assign` copies the whole variable for every slice. After a slice
    was assigned every later read would copy the variable, too, unless that is turned off again.
    """
    import tensorflow as tf

    if isinstance(variable.value, tf.distribute.DistributedValues):
        return False
    handle = variable.value.handle
    try:
        for axis, start, part in slices:
            stop = start + part.shape[axis]
            begin, end, ellipsis = ([start], [stop], 0) if axis == 0 else ([0, start], [0, stop], 1)
            tf.raw_ops.ResourceStridedSliceAssign(
                ref=handle, begin=begin, end=end, strides=[1] * len(begin), value=part, ellipsis_mask=ellipsis
            )
    finally:
        tf.raw_ops.DisableCopyOnRead(resource=handle)
    return True


def steps(count: int, bytes_each: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive parts of `count` rows of `bytes_each`; a part has at most 16 MB, or a single row."""
    step = max(1, _SLICE_BYTES // max(1, bytes_each))
    return ((start, min(count, start + step)) for start in range(0, count, step))


def _from_caffe(tensor: Tensor, window: tuple[int, ...], shape: tuple[int, ...]) -> Slices:
    """Slices along the last axis, which is Caffe's first."""
    rows, columns, read, out = window
    whole = None if tensor.shape[0] == out else tensor.whole().reshape(out, -1)  # a legacy shape with leading ones
    for start, stop in steps(out, 4 * rows * columns * read):
        part = tensor.read(start, stop) if whole is None else whole[start:stop]
        part = part.reshape(stop - start, read, rows, columns).transpose(2, 3, 1, 0)
        yield Slice(-1, start, part.reshape(*shape[:-1], stop - start))


def _from_keras(tensor: Tensor, window: tuple[int, ...], shape: tuple[int, ...]) -> Slices:
    """Slices along the first axis, each of whole rows both of the tensor and of the variable."""
    count = math.prod(window)
    units = math.gcd(tensor.shape[0], shape[0])
    for start, stop in steps(units, 4 * count // units):
        first, last = (start * tensor.shape[0] // units, stop * tensor.shape[0] // units)
        yield Slice(0, start * shape[0] // units, tensor.read(first, last).reshape(-1, *shape[1:]))


def _bare(shape: Iterable[int]) -> tuple[int, ...]:
    """The shape without its leading ones, which Caffe's older files add to a bias or an inner product."""
    sizes = list(shape)
    while len(sizes) > 1 and sizes[0] == 1:
        sizes.pop(0)
    return tuple(sizes)
