"""VGG16, configuration D: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition".

138,357,544 parameters with 1,000 classes.
"""

from __future__ import annotations

from pathlib import Path

import keras

from kseg.layers import SCALINGS, InputScaling
from kseg.models.classifiers.backbone import Backbone, classifier
from kseg.models.feature_map import FeatureMap, scaled
from kseg.models.registry import NETWORKS

BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def trunk(image: FeatureMap, width: float, pad: int, first: str) -> dict[str, FeatureMap]:
    """Five blocks of 3x3 convolutions, each halved by its pooling: pool1 to pool5."""
    maps, x = {}, image
    for block, (count, channels) in enumerate(BLOCKS, start=1):
        for number in range(1, count + 1):
            opening = (block, number) == (1, 1)
            name = first if opening else f"conv{block}_{number}"
            x = x.conv(name, scaled(channels, width), 3, pad=pad if opening else 1)
        x = maps[f"pool{block}"] = x.max_pool(f"pool{block}", 2, 2)
    return maps


VGG16 = Backbone(trunk, first="conv1_1", pad=1, same_pad=1, size=224, fully={"fc6": 7, "fc7": 1}, fc6_pad=3, upscore=64)


@NETWORKS.register("vgg16")
def vgg16(
    *,
    classes: int = 1000,
    input_shape: tuple[int | None, int | None, int] | None = None,
    width: float = 1.0,
    fc_width: int = 4096,
    preprocessing: InputScaling | None = SCALINGS["vgg"],
    include_top: bool = True,
    convolutional: bool = False,
    weights: str | Path | None = None,
) -> keras.Model:
    """VGG16, the classifier: images (N, 224, 224, 3) to scores (N, K) float32, before softmax.

    Args:
      classes: K.
      input_shape: (H, W, C); None for 224 x 224 RGB, or for any size if convolutional or without top.
      width: a factor for the channels of the convolutions.
      fc_width: channels of fc6 and fc7.
      preprocessing: the first layer's constants; None for none.
      include_top: whether it has the fully connected layers; without them it gives pool5.
      convolutional: with the fully connected layers as convolutions: scores (N, H', W', K), a cell every 32 pixels.
      weights: None for fresh ones; "imagenet", from the cache or downloaded; or a file of weights.

    Raises:
      ConfigError: an option is out of range, or a size is missing.
      WeightsError: the file can't be read.
    """
    return classifier("vgg16", VGG16, **locals())
