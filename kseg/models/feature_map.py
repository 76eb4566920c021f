"""A feature map together with the grid its cells lie on: what fully convolutional networks are written with."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import layers

from kseg.geometry import Grid
from kseg.layers import Bilinear, BilinearUpsampling, CaffePooling2D, CropTo, GroupedConv2D, LocalResponseNormalization


def scaled(channels: int, width: float, groups: int = 1) -> int:
    """`channels` times `width`, a multiple of `groups`, at least one channel per group."""
    return max(1, round(channels * width / groups)) * groups


@dataclass(frozen=True)
class Path:
    """A map within a network, and where its cells lie over the image. Each method gives the next one.

    Layers are named as in Caffe's files, `/` written `.`, with `suffix` (of a stream) after the name; a
    convolution carries the ReLU that runs in place there.
    """

    x: Any
    grid: Grid = Grid()
    suffix: str = ""

    @property
    def channels(self) -> int:
        return self.x.shape[-1]

    def named(self, name: str) -> str:
        return name.replace("/", ".") + self.suffix

    def conv(self, name: str, channels: int, kernel: int, *, stride: int = 1, pad: int = 0, groups: int = 1) -> Path:
        """A convolution and its ReLU. Weights start Gaussian with deviation sqrt(2 / fan-in), biases at zero."""
        x = self.x
        same = stride == 1 and 2 * pad == kernel - 1
        if pad and not same:
            x = layers.ZeroPadding2D(pad, name=self.named(f"{name}.pad"))(x)
        kind = GroupedConv2D if groups > 1 else layers.Conv2D
        x = kind(
            channels,
            kernel,
            strides=stride,
            padding="same" if same else "valid",
            groups=groups,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(
                0.0, math.sqrt(2 / (kernel**2 * self.channels / groups))
            ),
            name=self.named(name),
        )(x)
        return replace(self, x=x, grid=self.grid.pooled(kernel, stride, pad))

    def max_pool(self, name: str, kernel: int, stride: int, pad: int = 0) -> Path:
        """A maximum over windows; the size rounded up, as Caffe does."""
        simple = (kernel, stride, pad) in ((2, 2, 0), (3, 1, 1))  # there Keras' own has the same windows
        x = (
            layers.MaxPooling2D(kernel, stride, padding="same", name=self.named(name))(self.x)
            if simple
            else CaffePooling2D("max", kernel, stride, pad, name=self.named(name))(self.x)
        )
        return replace(self, x=x, grid=self.grid.pooled(kernel, stride, pad))

    def lrn(self, name: str) -> Path:
        return replace(self, x=LocalResponseNormalization(name=self.named(name))(self.x))

    def dropout(self, name: str, rate: float = 0.5) -> Path:
        return replace(self, x=layers.Dropout(rate, name=self.named(name))(self.x))

    def score(self, name: str, classes: int) -> Path:
        """A 1x1 convolution to class scores, float32 under any precision; weights and biases start at zero."""
        x = layers.Conv2D(classes, 1, kernel_initializer="zeros", dtype="float32", name=self.named(name))(self.x)
        return replace(self, x=x)

    def upsampled(self, name: str, kernel: int, factor: int, *, learned: bool) -> Path:
        """A transposed convolution without bias, fixed bilinear or learned from there, float32 under any precision."""
        layer = (
            layers.Conv2DTranspose(
                self.channels,
                kernel,
                strides=factor,
                use_bias=False,
                kernel_initializer=Bilinear(),
                dtype="float32",
                name=self.named(name),
            )
            if learned
            else BilinearUpsampling(kernel, factor, name=self.named(name))
        )
        return replace(self, x=layer(self.x), grid=self.grid.upsampled(kernel, factor))

    def cropped_to(self, reference: Path, name: str) -> Path:
        """The part that lies over `reference`, cell over cell."""
        offset = self.grid.crop_offset(reference.grid)
        x = CropTo(offset, dtype="float32", name=self.named(name))([self.x, reference.x])
        return replace(self, x=x, grid=self.grid.cropped(offset))

    def fused(self, skip: Path, name: str, crop: str) -> Path:
        """The sum of this map and a skip; the one that begins before the other is cropped to it, as layer `crop`."""
        up = self
        if up.grid.crop_offset(skip.grid) > 0:
            up = up.cropped_to(skip, crop)
        else:
            skip = skip.cropped_to(up, crop)
        x = layers.Add(dtype="float32", name=self.named(name))([up.x, skip.x])
        return replace(self, x=x, grid=up.grid.fused(skip.grid))


def concatenated(paths: list[Path], name: str) -> Path:
    """The channels of maps that lie over each other, one after the other."""
    grid = paths[0].grid
    for path in paths[1:]:
        grid = grid.fused(path.grid)
    first = paths[0]
    return replace(first, x=layers.Concatenate(name=first.named(name))([path.x for path in paths]), grid=grid)


def averaged(paths: list[Path], name: str) -> Path:
    """The mean of maps that lie over each other."""
    return Path(layers.Average(dtype="float32", name=name)([path.x for path in paths]), paths[0].grid)
