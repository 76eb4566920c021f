"""What the classifiers have in common, and how they become fully convolutional."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from kseg.errors import ConfigError
from kseg.layers import InputScaling, ScaleInput
from kseg.models.bounds import check_numbers
from kseg.models.feature_map import Path
from kseg.models.start import started


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A classifier's trunk, and how it ends.

    Attributes:
      trunk: of a path over the image, a width, the first convolution's padding and name; the maps by their names, in
        order, the last one the trunk's own.
      first: the first convolution's name.
      pad: its padding in the classifier.
      same_pad: the padding that keeps the map over the whole image without the release's 100 pixels around it.
      size: height and width of the classifier's images.
      fully: kernels of the fully connected layers before the last, by name, fc6's that of the whole map.
      fc6_pad: fc6's padding in networks without the release's.
      upscore: kernel of the up-sampling by 32, so that its cells lie over pixels.
    """

    trunk: Callable[[Path, float, int, str], dict[str, Path]]
    first: str
    pad: int
    same_pad: int
    size: int
    fully: dict[str, int]
    fc6_pad: int
    upscore: int

    def levels(
        self, image: Path, *, width: float, fc_width: int, padding: str = "released", first: str | None = None
    ) -> dict[str, Path]:
        """The maps a fully convolutional network scores, by name; the last one carries the classifier's knowledge."""
        pad = {"released": 100, "same": self.same_pad, "classifier": self.pad}[padding]
        maps = self.trunk(image, width, pad, first or self.first)
        last = list(maps.values())[-1]
        for name, kernel in self.fully.items():
            same = self.fc6_pad if padding == "same" and kernel > 1 else 0
            last = last.conv(name, fc_width, kernel, pad=same).dropout(name.replace("fc", "drop"))
            maps[name] = last
        return maps


def scaled_input(image: Any, preprocessing: InputScaling | None, name: str = "scaling") -> Any:
    """The image as the weights expect it; for another number of channels than theirs, the mean of their means."""
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
    weights: str | pathlib.Path | None,
    top: str = "fc8",
    finish: Callable[[Path], Path] = lambda path: path,
) -> keras.Model:
    """The classifier itself: images (N, H, W, C) to scores before softmax.

    Args:
      name: of the network.
      top: name of the last layer.
      finish: what comes between the trunk and the fully connected layers.
      classes, input_shape, width, fc_width, preprocessing, include_top, convolutional, weights: as the registered
        networks have them.

    Returns:
      Scores (N, K) float32; convolutional (N, H', W', K); without top the trunk's last map (N, H', W', C').

    Raises:
      ConfigError: fully connected layers need a fixed size.
    """
    check_numbers(name, classes=(classes, 1, 65535), **widths(width, fc_width))
    free = convolutional or not include_top
    shape = input_shape or ((None, None, 3) if free else (backbone.size, backbone.size, 3))
    if not free and None in shape:
        raise ConfigError(
            f"{name}: input_shape is {shape}, but fully connected layers need a height and width. "
            f"Give them ({backbone.size} x {backbone.size} as published), or convolutional=True."
        )
    image = layers.Input(shape, name="image")
    path = Path(scaled_input(image, preprocessing))
    if not include_top:
        maps = backbone.trunk(path, width, backbone.pad, backbone.first)
        return started(keras.Model(image, list(maps.values())[-1].x, name=name), weights)
    if convolutional:
        whole = backbone.levels(path, width=width, fc_width=fc_width, padding="classifier")
        last = list(whole.values())[-1]
        scores = (last if backbone.fully else finish(last)).score(top, classes).x
        return started(keras.Model(image, scores, name=name), weights)
    maps = backbone.trunk(path, width, backbone.pad, backbone.first)
    x = layers.Flatten(name="flatten")(finish(list(maps.values())[-1]).x)
    for layer in backbone.fully:
        x = layers.Dense(fc_width, activation="relu", kernel_initializer="he_normal", name=layer)(x)
        x = layers.Dropout(0.5, name=layer.replace("fc", "drop"))(x)
    scores = layers.Dense(classes, kernel_initializer="zeros", dtype="float32", name=top.replace("/", "."))(x)
    return started(keras.Model(image, scores, name=name), weights)


def widths(width: float, fc_width: int) -> dict[str, tuple[float, float, float]]:
    """The bounds of a backbone's widths, as `check_numbers` takes them."""
    return {"width": (width, 1 / 1024, 16), "fc_width": (fc_width, 1, 65536)}
