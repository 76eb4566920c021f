"""The arithmetic of sizes: input and output sizes of networks, receptive fields, mirrored borders, plans of tiles.

Sizes. Take a U-Net with d poolings and unpadded 3x3 convolutions. If its deepest map is m pixels wide, its input has
n = 2^d (m + 4) - 4 pixels and its output 2^d (m - 8) + 4. So 6 * 2^d - 4 pixels are lost on each side (d = 4: 572 to
388, 92 a side). Height and width are independent.

Phase. The pooling grids start at the corner of the input. So only a shift by a multiple of 2^d shifts the output and
leaves its numbers the same. Tiles at other distances, for example 388, fit without a gap, but their numbers differ from
those of one pass over the whole image. Here tiles lie a multiple of 2^d apart (384 for 388), and the overlap is
dropped; then the numbers are equal.

Reach. An output pixel reads at most border + 2^d - 1 pixels beyond itself, which is further than the border at the far
side. Beyond the image its mirror image is read.

Grids. The cells of a feature map lie on a grid over the image (`Grid`). The grid gives the receptive fields of a fully
convolutional network and the offsets of its crops, as in Caffe's coordinate maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kseg.errors import SizeError


@dataclass(frozen=True)
class Geometry:
    """How a network's output lies over its input, the same along height and width.

    Attributes:
      stride: a shift of the input by this many pixels shifts the output and leaves its numbers the same.
      border: pixels lost on each side; 0 for networks whose output has the input's size.
      smallest: the smallest input that fits.
      margin: how far beyond itself an output pixel may read, in networks that pad with zeros (a multiple of `stride`);
        None if it reads the whole image.
      step: from one input size that fits to the next; None for `stride`.
    """

    stride: int = 1
    border: int = 0
    smallest: int = 1
    margin: int | None = 0
    step: int | None = None

    @property
    def steps(self) -> int:
        """Pixels from one input size that fits to the next."""
        return self.step or self.stride

    def next_input(self, size: int) -> int:
        """The smallest input size >= `size` that fits."""
        steps = -(-max(0, size - self.smallest) // self.steps)
        return self.smallest + steps * self.steps

    def fits(self, size: int) -> bool:
        return self.next_input(size) == size

    def previous_input(self, size: int) -> int:
        """The largest input size <= `size` that fits, or the smallest of all if there is none."""
        return self.smallest + max(0, size - self.smallest) // self.steps * self.steps

    def usual_tile(self) -> int:
        """A tile of about 1024 pixels, larger if borders and margins would leave little of it."""
        return self.next_input(max(1024, 4 * (self.border + (self.margin or 0))))

    def check(self, height: int, width: int, what: str) -> None:
        """Raises SizeError unless both sizes fit; the message says that they are of `what`, and which ones fit."""
        for side, size in (("height", height), ("width", width)):
            if not self.fits(size):
                below, above = self.previous_input(size), self.next_input(size)
                known = f"{above}" if below >= size else f"{below} or {above}"
                raise SizeError(
                    f"{what}: {side} {size} does not fit this network, which takes {self.smallest}, "
                    f"{self.smallest + self.steps}, {self.smallest + 2 * self.steps}, ...",
                    f"Take {known}.",
                )


def unet_geometry(depth: int, padding: str) -> Geometry:
    """The geometry of a U-Net with `depth` poolings; `padding` is valid or same.

    Source: U-Net paper, section 2 ("an even x- and y-size"); the arithmetic is at the head of this module.
    """
    step = 2**depth
    border = 6 * step - 4
    if padding == "same":
        return Geometry(stride=step, smallest=step, margin=7 * step)
    deepest = 8 if depth > 1 else 7
    return Geometry(stride=step, border=border, smallest=step * (deepest + 4) - 4)


def mirrored(start: int, stop: int, size: int) -> np.ndarray:
    """Indices of the pixels start..stop-1 of a line of `size` pixels that is continued by its mirror image.

    Returns:
      (stop - start,) int64 in 0..size-1. The border pixel is not repeated, and the line is mirrored as often as needed:
      numpy's `reflect`, which here also works for a line of a single pixel.
    """
    period = max(1, 2 * (size - 1))
    index = np.arange(start, stop) % period
    return np.minimum(index, (period - index) % period)


@dataclass(frozen=True)
class Span:
    """One tile along one axis: it reads [read, read_stop) and keeps [keep, keep_stop), in image pixels.

    The first `skip` pixels of the tile's output are dropped.
    """

    read: int
    read_stop: int
    keep: int
    keep_stop: int
    skip: int


def spans(size: int, geometry: Geometry, tile: int | None = None) -> list[Span]:
    """The tiles that cover a line of `size` pixels and give the same numbers as one pass.

    Args:
      size: pixels of the image along this axis, >= 1.
      geometry: the network's.
      tile: the input size of one tile, pixels; None for the whole image at once.

    Returns:
      Spans in order; their kept parts join without a gap. They may read pixels outside the image, where it is mirrored.

    Raises:
      SizeError: `tile` does not fit the network, or leaves nothing to keep.
    """
    border = geometry.border
    whole = geometry.next_input(size + 2 * border)
    if tile is None or tile >= whole:
        return [Span(-border, whole - border, 0, size, 0)]
    geometry.check(tile, tile, "tile")
    if geometry.margin is None:
        raise SizeError(
            "tile: group normalisation takes its mean over the whole image, so tiles would change the numbers.",
            "Predict without tiles, or train with batch normalisation.",
        )
    margin = geometry.margin
    step = (tile - 2 * border - 2 * margin) // geometry.stride * geometry.stride
    if step < 1:
        least = geometry.next_input(2 * border + 2 * margin + geometry.stride)
        raise SizeError(f"tile: {tile} leaves nothing once its margins are cut off.", f"Take {least} or more.")
    plan = []
    keep = 0
    while keep < size:
        # The first tile starts at the image's corner and the last ends at its end, so that padded convolutions read
        # zeros there, as in one pass. Each starts at a multiple of the stride, so the last may be smaller.
        latest = -(-max(0, whole - tile) // geometry.stride) * geometry.stride
        read = min(max(0, keep - margin), latest)
        last = read == latest
        keep_stop = size if last else read + margin + step
        plan.append(Span(read - border, (whole if last else read + tile) - border, keep, keep_stop, keep - read))
        keep = keep_stop
    return plan


@dataclass(frozen=True)
class Grid:
    """Where the cells of a feature map lie over the image, the same along height and width.

    Cell i reads image pixels stride * i + first to stride * i + last, so it is centred at stride * i + offset. After
    up-sampling, cells differ, and these bounds are those of the cell that reads most.

    A crop that aligns a map with another one starts at the difference of their offsets, in strides. For FCN-32s on
    VGG16, whose image is padded by 100: offset 12.5 at fc7, 12.5 - (64 - 1) / 2 = -19 after the up-sampling, so 19.

    Source: Caffe's coordinate maps; the FCN paper, section 3 (composition of kernels and strides).
    """

    stride: Fraction = Fraction(1)
    first: Fraction = Fraction(0)
    last: Fraction = Fraction(0)

    @property
    def offset(self) -> Fraction:
        return (self.first + self.last) / 2

    @property
    def receptive_field(self) -> int:
        """Pixels a cell reads along each axis."""
        return int(self.last - self.first) + 1

    @property
    def reach(self) -> int:
        """How far from its centre a cell reads, rounded up to whole pixels."""
        return -int((self.first - self.last) / 2 // 1)

    def pooled(self, kernel: int, stride: int = 1, pad: int = 0) -> Grid:
        """The grid of a convolution's or pooling's output."""
        return Grid(self.stride * stride, self.first - self.stride * pad, self.last + self.stride * (kernel - 1 - pad))

    def upsampled(self, kernel: int, factor: int) -> Grid:
        """The grid of a transposed convolution's output."""
        stride = self.stride / factor
        return Grid(stride, self.first - stride * (kernel - 1), self.last)

    def cropped(self, offset: int) -> Grid:
        """The grid after the first `offset` cells are cut off."""
        return Grid(self.stride, self.first + self.stride * offset, self.last + self.stride * offset)

    def fused(self, other: Grid) -> Grid:
        """The grid of a sum or concatenation of two maps whose cells have the same centres."""
        if self.crop_offset(other) != 0:
            raise SizeError(f"Maps with cells at {self.offset} and {other.offset} do not lie over each other.")
        return Grid(self.stride, min(self.first, other.first), max(self.last, other.last))

    def crop_offset(self, reference: Grid) -> int:
        """The number of this map's cell that lies over cell 0 of `reference`; it may be negative.

        Raises:
          SizeError: the strides differ, or no cell lies over cell 0.
        """
        cells = (reference.offset - self.offset) / self.stride
        if self.stride != reference.stride or cells.denominator != 1:
            raise SizeError(
                f"Cells {self.stride} pixels apart at {self.offset} never lie over cells {reference.stride} apart "
                f"at {reference.offset}."
            )
        return int(cells)
