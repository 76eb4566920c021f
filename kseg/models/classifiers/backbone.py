"""The common parts of the classifiers, and their fully convolutional form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from kseg.errors import ConfigError
from kseg.layers import InputScaling, ScaleInput
from kseg.models.checks import check_bounds
from kseg.models.feature_map import FeatureMap
from kseg.models.registry import started


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A classifier's trunk and fully connected layers.

    Attributes:
      trunk: builds the convolutions from the image, a width, and the first convolution's padding and name; returns maps
        by their names, in order. The last one is the trunk's result.
      first: the first convolution's name.
      pad: its padding in the classifier.
      same_pad: its padding for a map that covers the whole image, without the release's 100 pixels.
      size: height and width of the classifier's images.
      fully: the fully connected layers before the last: by name the size of the kernel, for fc6 that of the whole map.
      fc6_pad: fc6's padding for `same_pad`.
      upscore: the kernel size of the up-sampling by 32, with which its cells lie over pixels.
    """

    trunk: Callable[[FeatureMap, float, int, str], dict[str, FeatureMap]]
    first: str
    pad: int
    same_pad: int
    size: int
    fully: dict[str, int]
    fc6_pad: int
    upscore: int

    def levels(
        self, image: FeatureMap, *, width: float, fc_width: int, padding: str = "released", first: str | None = None
    ) -> dict[str, FeatureMap]:
        """The maps that a fully convolutional network scores, by name; the last one follows the layers of `fully`."""
        pad = {"released": 100, "same": self.same_pad, "classifier": self.pad}[padding]
        maps = self.trunk(image, width, pad, first or self.first)
        last = list(maps.values())[-1]
        for name, kernel in self.fully.items():
            same = self.fc6_pad if padding == "same" and kernel > 1 else 0
            last = last.conv(name, fc_width, kernel, pad=same).dropout(name.replace("fc", "drop"))
            maps[name] = last
        return maps


def scaled_input(image: Any, preprocessing: InputScaling | None, name: str = "scaling") -> Any:
    """The image scaled as the weights need it. If it has another number of channels, all get the mean of the means."""
    if preprocessing is None:
        return image
    if len(preprocessing.mean) not in (1, image.shape[-1]):
        mean = sum(preprocessing.mean) / len(preprocessing.mean)
        preprocessing = InputScaling(mean=(mean,), scale=preprocessing.scale)
    return ScaleInput(**dataclasses.asdict(preprocessing), name=name)(image)


def classifier(
    name: str,
    backbone: Backbone,
    *,
    classes: int,
    input_shape: tuple[int | None, int | None, int] | None,
    width: float,
    fc_width: int,
    preprocessing: InputScaling | None,
    include_top: bool,
    convolutional: bool,
    weights: str | Path | None,
    top: str = "fc8",
    finish: Callable[[FeatureMap], FeatureMap] = lambda x: x,
) -> keras.Model:
    """The classifier itself: images (N, H, W, C) to scores before softmax.

    The registered builders have signatures of their own, and hand all their options on by `**locals()`. That is safe
    since the names are the same: one that is missing here, or too many, is a TypeError at the first call.

    Args:
      name: the network's name.
      top: the last layer's name.
      finish: adds the layers between the trunk and the fully connected layers.
      classes, input_shape, width, fc_width, preprocessing, include_top, convolutional, weights: the builder's options.

    Returns:
      Scores (N, K) float32; convolutional (N, H', W', K); without top the trunk's last map (N, H', W', C').

    Raises:
      ConfigError: fully connected layers need a fixed size.
    """
    check_bounds(name, classes=(classes, 1, 65535), **widths(width, fc_width))
    free = convolutional or not include_top
    shape = input_shape or ((None, None, 3) if free else (backbone.size, backbone.size, 3))
    if not free and None in shape:
        raise ConfigError(
            f"{name}: input_shape is {shape}, but fully connected layers need a height and width.",
            f"Give them ({backbone.size} x {backbone.size} as published), or convolutional=True.",
        )
    image = layers.Input(shape, name="image")
    x = FeatureMap(scaled_input(image, preprocessing))
    if convolutional and include_top:
        x = list(backbone.levels(x, width=width, fc_width=fc_width, padding="classifier").values())[-1]
        scores = (x if backbone.fully else finish(x)).score(top, classes).tensor
        return started(keras.Model(image, scores, name=name), weights)
    x = list(backbone.trunk(x, width, backbone.pad, backbone.first).values())[-1]
    if not include_top:
        return started(keras.Model(image, x.tensor, name=name), weights)
    flat = layers.Flatten(name="flatten")(finish(x).tensor)
    for layer in backbone.fully:
        flat = layers.Dense(fc_width, activation="relu", kernel_initializer="he_normal", name=layer)(flat)
        flat = layers.Dropout(0.5, name=layer.replace("fc", "drop"))(flat)
    scores = layers.Dense(classes, kernel_initializer="zeros", dtype="float32", name=top.replace("/", "."))(flat)
    return started(keras.Model(image, scores, name=name), weights)


def widths(width: float, fc_width: int) -> dict[str, tuple[float, float, float]]:
    """A backbone's widths with their bounds, for `check_bounds`."""
    return {"width": (width, 1 / 1024, 16), "fc_width": (fc_width, 1, 65536)}
