"""A feature map together with the grid of its cells: fully convolutional networks are written with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import layers

from kseg.geometry import Grid
from kseg.layers import (
    Bilinear,
    BilinearUpsampling,
    CaffePooling2D,
    CropTo,
    GroupedConv2D,
    LocalResponseNormalization,
    ProductConv2D,
)


def scaled(channels: int, width: float, groups: int = 1) -> int:
    """`channels` times `width`, a multiple of `groups`, at least one channel per group."""
    return max(1, round(channels * width / groups)) * groups


@dataclass(frozen=True)
class FeatureMap:
    """A map within a network. Each method adds a layer and returns the next map.

    Layers have the names of Caffe's files, with `/` written `.` and `suffix` (of a stream) after the name. A
    convolution includes the ReLU that Caffe runs in place.

    Attributes:
      tensor: (N, H, W, C), Keras' symbolic tensor.
      grid: where its cells lie over the image.
      suffix: the end of its layers' names.
    """

    tensor: Any
    grid: Grid = Grid()
    suffix: str = ""

    @property
    def channels(self) -> int:
        return self.tensor.shape[-1]

    def named(self, name: str) -> str:
        return name.replace("/", ".") + self.suffix

    def conv(
        self, name: str, channels: int, kernel: int, *, stride: int = 1, pad: int = 0, groups: int = 1
    ) -> FeatureMap:
        """A convolution and its ReLU. Weights start Gaussian with deviation sqrt(2 / fan-in), biases at zero."""
        x = self.tensor
        same = stride == 1 and 2 * pad == kernel - 1
        if pad and not same:
            x = layers.ZeroPadding2D(pad, name=self.named(f"{name}.pad"))(x)
        is_large = stride == 1 and kernel > 5  # as fc6 is, over the few cells of the deepest map
        kind = GroupedConv2D if groups > 1 else ProductConv2D if is_large else layers.Conv2D
        deviation = math.sqrt(2 / (kernel**2 * self.channels / groups))
        x = kind(
            channels,
            kernel,
            strides=stride,
            padding="same" if same else "valid",
            groups=groups,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(0.0, deviation),
            name=self.named(name),
        )(x)
        return replace(self, tensor=x, grid=self.grid.pooled(kernel, stride, pad))

    def max_pool(self, name: str, kernel: int, stride: int, pad: int = 0) -> FeatureMap:
        """A maximum over windows; the size is rounded up, as in Caffe."""
        simple = (kernel, stride, pad) in ((2, 2, 0), (3, 1, 1))  # Keras' own has the same windows
        pool = (
            layers.MaxPooling2D(kernel, stride, padding="same", name=self.named(name))
            if simple
            else CaffePooling2D("max", kernel, stride, pad, name=self.named(name))
        )
        return replace(self, tensor=pool(self.tensor), grid=self.grid.pooled(kernel, stride, pad))

    def lrn(self, name: str) -> FeatureMap:
        return replace(self, tensor=LocalResponseNormalization(name=self.named(name))(self.tensor))

    def dropout(self, name: str, rate: float = 0.5) -> FeatureMap:
        return replace(self, tensor=layers.Dropout(rate, name=self.named(name))(self.tensor))

    def score(self, name: str, classes: int) -> FeatureMap:
        """A 1x1 convolution to class scores, float32 in any precision; weights and biases start at zero."""
        layer = layers.Conv2D(classes, 1, kernel_initializer="zeros", dtype="float32", name=self.named(name))
        return replace(self, tensor=layer(self.tensor))

    def upsampled(self, name: str, kernel: int, factor: int, *, learned: bool) -> FeatureMap:
        """A transposed convolution without bias, float32 in any precision: fixed bilinear, or learned from there."""
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
        return replace(self, tensor=layer(self.tensor), grid=self.grid.upsampled(kernel, factor))

    def cropped_to(self, reference: FeatureMap, name: str) -> FeatureMap:
        """The part that lies over `reference`, cell over cell."""
        offset = self.grid.crop_offset(reference.grid)
        x = CropTo(offset, dtype="float32", name=self.named(name))([self.tensor, reference.tensor])
        return replace(self, tensor=x, grid=self.grid.cropped(offset))

    def fused(self, skip: FeatureMap, name: str, crop: str) -> FeatureMap:
        """The sum of this map and a skip; layer `crop` crops the one that begins first to the other."""
        up = self
        if up.grid.crop_offset(skip.grid) > 0:
            up = up.cropped_to(skip, crop)
        else:
            skip = skip.cropped_to(up, crop)
        x = layers.Add(dtype="float32", name=self.named(name))([up.tensor, skip.tensor])
        return replace(self, tensor=x, grid=up.grid.fused(skip.grid))


def concatenated(maps: Sequence[FeatureMap], name: str) -> FeatureMap:
    """The channels of maps that lie over each other, one after the other."""
    first, *others = maps
    grid = first.grid
    for other in others:
        grid = grid.fused(other.grid)
    x = layers.Concatenate(name=first.named(name))([each.tensor for each in maps])
    return replace(first, tensor=x, grid=grid)


def mean_of(maps: Sequence[FeatureMap], name: str) -> FeatureMap:
    """The mean of maps that lie over each other."""
    return FeatureMap(layers.Average(dtype="float32", name=name)([each.tensor for each in maps]), maps[0].grid)
