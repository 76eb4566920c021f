"""From Caffe's order of axes or Keras' into a Keras variable, slice by slice.

| layer | Caffe | Keras |
| --- | --- | --- |
| convolution | (out, in / groups, rows, columns) | (rows, columns, in / groups, out) |
| transposed convolution | (in, out, rows, columns) | (rows, columns, out, in) |
| inner product | (out, in), the map before it flattened as (C, H, W) | (in, out), flattened as (H, W, C) |

So every kernel goes from Caffe to Keras by the axes (2, 3, 1, 0), without a flip, and an inner product is the
convolution whose window is the whole map: its rows are that window in the same order, in either layout.
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
    """Numbers of a variable, float32: all that lie between two places along its first axis (0) or last (-1)."""

    axis: Literal[0, -1]
    start: int
    numbers: np.ndarray


Slices = Iterator[Slice]


class Misfit(Exception):
    """Why a layer can't take what a file has for it."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One array of a file, read when it is wanted.

    Attributes:
      shape: its sizes, at least one; leading sizes of one count as absent when it is compared.
      read: gives rows start..stop of its first axis, float32, in C order.
      layout: whose order of axes it has.
    """

    shape: tuple[int, ...]
    read: Callable[[int, int], np.ndarray]
    layout: Literal["caffe", "keras"]

    @classmethod
    def of(cls, array: np.ndarray, layout: Literal["caffe", "keras"]) -> Tensor:
        """A tensor of an array that is in memory, of at least one axis."""
        return cls(array.shape, lambda start, stop: np.asarray(array[start:stop], np.float32), layout)

    def whole(self) -> np.ndarray:
        """All of it: float32, of its shape."""
        return self.read(0, self.shape[0]).reshape(self.shape)


def kernel_slices(tensor: Tensor, window: tuple[int, ...], shape: tuple[int, ...]) -> Callable[[], Slices]:
    """A function that goes through the tensor in slices of a kernel.

    Args:
      tensor: a convolution's kernel or an inner product's.
      window: the kernel as a Keras convolution's, (rows, columns, in / groups, out); the whole map
        where it is an inner product's.
      shape: the variable's own: `window`, or (rows * columns * in, out).

    Raises:
      Misfit: the tensor has other sizes, which the message names.
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
    """As `kernel_slices`, for a bias or a scale: (C,), in one piece.

    Raises:
      Misfit: the tensor has another number of them.
    """
    if _bare(tensor.shape) != _bare(shape):
        raise Misfit(f"{what} of {tensor.shape} in the file, of {shape} in the network")
    return lambda: iter([Slice(0, 0, tensor.whole().reshape(shape))])


def assign(variable: keras.Variable, slices: Slices) -> None:
    """Writes the slices, which cover it, into the variable.

    TensorFlow writes a large one in place. Other backends, and variables spread over several devices, hold the numbers
    twice meanwhile.

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
    """Whether the variable is TensorFlow's on one device, and so took the slices.

    Through raw operations: `variable.value[a:b].assign` reads, and so copies, the whole of it for every slice, and once
    a slice was assigned every later read copies it, unless that is turned off again.
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
    """(start, stop) through `count` things, as many at a time as a slice may hold, one at least."""
    step = max(1, _SLICE_BYTES // max(1, bytes_each))
    return ((start, min(count, start + step)) for start in range(0, count, step))


def _from_caffe(tensor: Tensor, window: tuple[int, ...], shape: tuple[int, ...]) -> Slices:
    """Slices of the last axis, which is Caffe's first."""
    rows, columns, read, out = window
    whole = None if tensor.shape[0] == out else tensor.whole().reshape(out, -1)  # legacy sizes that are mostly ones
    for start, stop in steps(out, 4 * rows * columns * read):
        part = tensor.read(start, stop) if whole is None else whole[start:stop]
        part = part.reshape(stop - start, read, rows, columns).transpose(2, 3, 1, 0)
        yield Slice(-1, start, part.reshape(*shape[:-1], stop - start))


def _from_keras(tensor: Tensor, window: tuple[int, ...], shape: tuple[int, ...]) -> Slices:
    """Slices of the first axis: so many that they are whole rows of the tensor and of the variable."""
    count = math.prod(window)
    units = math.gcd(tensor.shape[0], shape[0])
    for start, stop in steps(units, 4 * count // units):
        first, last = (start * tensor.shape[0] // units, stop * tensor.shape[0] // units)
        yield Slice(0, start * shape[0] // units, tensor.read(first, last).reshape(-1, *shape[1:]))


def _bare(shape: Iterable[int]) -> tuple[int, ...]:
    """The shape without its leading ones, which Caffe's older files put before a bias or an inner product."""
    sizes = list(shape)
    while len(sizes) > 1 and sizes[0] == 1:
        sizes.pop(0)
    return tuple(sizes)
