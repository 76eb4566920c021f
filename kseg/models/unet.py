"""U-Net: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation" (2015).

Two forms. `paper` is the paper's figure 1: up-convolutions halve the channels and have no
activation, the cropped skip comes first in the concatenation; 31,030,658 parameters. `phseg_v5` is
the network of the authors' release u-net-release-2015-10-02: a ReLU after every up-convolution, the
last of which keeps its 128 channels, and the up-sampled map first; 31,100,354 parameters.

Dropout: the paper has it "at the end of the contracting path". The release, and so both forms here, has
it after the second ReLU of the two deepest levels, before the pooling and the skip.

Initialisation: Gaussian with deviation sqrt(2/N), biases zero. N is 9 times the channels read for a 3x3
convolution. An output pixel of a 2x2 up-convolution of stride 2 reads one input pixel, so by the paper's
rule N is its input channels (`paper`); the release's filler counts 4 times the output channels (`phseg_v5`).
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

import keras
from keras import layers

from kseg.errors import ConfigError
from kseg.geometry import unet_geometry
from kseg.layers import SCALINGS, InputScaling, ScaleInput, SizeCheck
from kseg.models.checks import check_bounds, check_choice, check_classes
from kseg.models.registry import NETWORKS, started


@NETWORKS.register("unet")
def unet(
    *,
    classes: int = 2,
    input_shape: tuple[int | None, int | None, int] = (None, None, 1),
    width: int = 64,
    preprocessing: InputScaling | None = SCALINGS["unit"],
    variant: Literal["paper", "phseg_v5"] = "paper",
    padding: Literal["valid", "same"] = "valid",
    depth: int = 4,
    dropout: float = 0.5,
    normalization: Literal["none", "batch", "group"] = "none",
    weights: str | Path | None = None,
) -> keras.Model:
    """A U-Net: images (N, H, W, C) to scores (N, H', W', K) float32, before softmax.

    With `valid` convolutions H' = H - 2 * (6 * 2^depth - 4): 572 gives 388. With `same` it is H.

    Args:
      classes: K.
      input_shape: (H, W, C); H and W may be None.
      width: channels of the first level, 1 to 1024, doubled at each further one.
      preprocessing: the first layer's constants; None for none.
      variant: paper or phseg_v5.
      padding: valid, as in both of the authors' forms, or same.
      depth: how many times the image is halved, 1 to 8.
      dropout: the share of values dropped in training, 0 to 0.99.
      normalization: after each 3x3 convolution: none, as in the paper, batch, or group (8 groups at most).
      weights: None for fresh ones, or a file of weights; there are no ImageNet weights.

    Raises:
      ConfigError: an option is out of range.
      SizeError: H or W does not fit; the message names the next size that does.
      WeightsError: the file can't be read, or is of another network.
    """
    check_choice("unet", variant=(variant, ("paper", "phseg_v5")))
    check_choice("unet", padding=(padding, ("valid", "same")))
    check_choice("unet", normalization=(normalization, ("none", "batch", "group")))
    check_classes("unet", classes, 255)
    check_bounds("unet", width=(width, 1, 1024), depth=(depth, 1, 8), dropout=(dropout, 0, 0.99))
    if width != int(width):
        raise ConfigError(f"unet: width is {width}, but must be a whole number of channels.")
    geometry = unet_geometry(depth, padding)
    if normalization == "group":
        geometry = dataclasses.replace(geometry, margin=None)
    height, breadth, _ = input_shape
    geometry.check(height or geometry.smallest, breadth or geometry.smallest, "input_shape")

    released = variant == "phseg_v5"
    image = layers.Input(input_shape, name="image")
    x = SizeCheck(**dataclasses.asdict(geometry), name="size")(image)
    if preprocessing is not None:
        x = ScaleInput(**dataclasses.asdict(preprocessing), name="scaling")(x)

    skips = []
    for level in range(depth + 1):
        x = _block(x, f"enc{level}", width * 2**level, padding, normalization)
        if dropout and level >= depth - 1:
            x = layers.Dropout(dropout, name=f"enc{level}_dropout")(x)
        if level < depth:
            skips.append(x)
            x = layers.MaxPooling2D(2, name=f"enc{level}_pool")(x)

    for level in reversed(range(depth)):
        channels = width * 2**level
        up_channels = 2 * channels if released and level == 0 else channels
        fan_in = 4 * up_channels if released else x.shape[-1]
        x = layers.Conv2DTranspose(
            up_channels,
            2,
            strides=2,
            activation="relu" if released else None,
            kernel_initializer=_gaussian(fan_in),
            name=f"up{level}_upconv",
        )(x)
        skip = skips[level]
        if padding == "valid":
            # The skip is larger by the border that the path below lost: this number on each side.
            skip = layers.Cropping2D(6 * 2 ** (depth - level) - 8, name=f"dec{level}_crop")(skip)
        x = layers.Concatenate(name=f"dec{level}_concat")([x, skip] if released else [skip, x])
        x = _block(x, f"dec{level}", channels, padding, normalization)

    # Scores stay float32 under any precision.
    scores = layers.Conv2D(classes, 1, kernel_initializer=_gaussian(x.shape[-1]), dtype="float32", name="head")(x)
    return started(keras.Model(image, scores, name="unet"), weights)


def _block(x: Any, name: str, channels: int, padding: str, normalization: str) -> Any:
    """Two 3x3 convolutions, each followed by the normalisation, if any, and a ReLU."""
    normalized = normalization != "none"
    for number in (1, 2):
        x = layers.Conv2D(
            channels,
            3,
            padding=padding,
            activation=None if normalized else "relu",
            use_bias=not normalized,
            kernel_initializer=_gaussian(9 * x.shape[-1]),
            name=f"{name}_conv{number}",
        )(x)
        if normalization == "batch":
            # Trainings have few steps of few images: an average over 10 steps, not 100, follows the weights.
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm{number}")(x)
        if normalization == "group":
            x = layers.GroupNormalization(math.gcd(8, channels), name=f"{name}_norm{number}")(x)
        if normalized:
            x = layers.ReLU(name=f"{name}_relu{number}")(x)
    return x


def _gaussian(fan_in: int) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(0.0, math.sqrt(2 / fan_in))
