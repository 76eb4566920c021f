"""GoogLeNet, the trunk of the public model: Szegedy et al., "Going Deeper with Convolutions" (2015).

Without the two auxiliary heads, which serve training only. 6,998,552 parameters with 1,000 classes.
"""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

from kseg.layers import SCALINGS, CaffePooling2D, InputScaling
from kseg.models.classifiers.backbone import Backbone, classifier
from kseg.models.feature_map import FeatureMap, concatenated, scaled
from kseg.models.registry import NETWORKS

# Channels of an inception's 1x1, 3x3_reduce, 3x3, 5x5_reduce, 5x5 and pool_proj.
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def trunk(image: FeatureMap, width: float, pad: int, first: str) -> dict[str, FeatureMap]:
    """Nine inceptions, to inception_5b/output."""
    x = image.conv(first, scaled(64, width), 7, stride=2, pad=pad)
    x = x.max_pool("pool1/3x3_s2", 3, 2).lrn("pool1/norm1")
    x = x.conv("conv2/3x3_reduce", scaled(64, width), 1).conv("conv2/3x3", scaled(192, width), 3, pad=1)
    x = x.lrn("conv2/norm2").max_pool("pool2/3x3_s2", 3, 2)
    for name, channels in INCEPTIONS.items():
        x = _inception(x, f"inception_{name}", [scaled(count, width) for count in channels])
        if name in ("3b", "4e"):
            x = x.max_pool(f"pool{name[0]}/3x3_s2", 3, 2)
    return {"inception_5b/output": x}


def _inception(x: FeatureMap, block: str, channels: list[int]) -> FeatureMap:
    one, three_reduce, three, five_reduce, five, projection = channels
    branches = [
        x.conv(f"{block}/1x1", one, 1),
        x.conv(f"{block}/3x3_reduce", three_reduce, 1).conv(f"{block}/3x3", three, 3, pad=1),
        x.conv(f"{block}/5x5_reduce", five_reduce, 1).conv(f"{block}/5x5", five, 5, pad=2),
        x.max_pool(f"{block}/pool", 3, 1, pad=1).conv(f"{block}/pool_proj", projection, 1),
    ]
    return concatenated(branches, f"{block}/output")


def _finished(x: FeatureMap) -> FeatureMap:
    """The average over 7x7 cells before the classifier."""
    mean = CaffePooling2D("average", 7, 1, name="pool5.7x7_s1")(x.tensor)
    return FeatureMap(layers.Dropout(0.4, name="pool5.drop_7x7_s1")(mean), x.grid.pooled(7))


GOOGLENET = Backbone(trunk, first="conv1/7x7_s2", pad=3, same_pad=3, size=224, fully={}, fc6_pad=0, upscore=63)


@NETWORKS.register("googlenet")
def googlenet(
    *,
    classes: int = 1000,
    input_shape: tuple[int | None, int | None, int] | None = None,
    width: float = 1.0,
    preprocessing: InputScaling | None = SCALINGS["googlenet"],
    include_top: bool = True,
    convolutional: bool = False,
    weights: str | Path | None = None,
) -> keras.Model:
    """GoogLeNet, the classifier: images (N, 224, 224, 3) to scores (N, K) float32, before softmax.

    Args:
      classes: K.
      input_shape: (H, W, C); None for 224 x 224 RGB, or for any size if convolutional or without top.
      width: a factor for the channels of the convolutions.
      preprocessing: the first layer's constants; None for none.
      include_top: whether it has the average and the classifier; without them it gives inception_5b's output.
      convolutional: with the classifier as a 1x1 convolution: scores (N, H', W', K), a cell every 32 pixels.
      weights: None for fresh ones; "imagenet", from the cache or downloaded; or a file of weights.

    Raises:
      ConfigError: an option is out of range, or a size is missing.
      WeightsError: the file can't be read.
    """
    return classifier("googlenet", GOOGLENET, fc_width=1, top="loss3/classifier", finish=_finished, **locals())
