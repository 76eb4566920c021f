"""AlexNet in CaffeNet's order, pooling before normalisation: Krizhevsky, Sutskever, Hinton, "ImageNet Classification
with Deep Convolutional Neural Networks" (2012).

60,965,224 parameters with 1,000 classes.
"""

from __future__ import annotations

from pathlib import Path

import keras

from kseg.layers import SCALINGS, InputScaling
from kseg.models.classifiers.backbone import Backbone, classifier
from kseg.models.feature_map import FeatureMap, scaled
from kseg.models.registry import NETWORKS


def trunk(image: FeatureMap, width: float, pad: int, first: str) -> dict[str, FeatureMap]:
    """Five convolutions, three of them in two groups, to pool5."""
    conv1, conv2, conv4 = (scaled(channels, width, groups=2) for channels in (96, 256, 384))
    x = image.conv(first, conv1, 11, stride=4, pad=pad).max_pool("pool1", 3, 2).lrn("norm1")
    x = x.conv("conv2", conv2, 5, pad=2, groups=2).max_pool("pool2", 3, 2).lrn("norm2")
    x = x.conv("conv3", conv4, 3, pad=1)
    x = x.conv("conv4", conv4, 3, pad=1, groups=2).conv("conv5", conv2, 3, pad=1, groups=2)
    return {"pool5": x.max_pool("pool5", 3, 2)}


ALEXNET = Backbone(trunk, first="conv1", pad=0, same_pad=5, size=227, fully={"fc6": 6, "fc7": 1}, fc6_pad=3, upscore=63)


@NETWORKS.register("alexnet")
def alexnet(
    *,
    classes: int = 1000,
    input_shape: tuple[int | None, int | None, int] | None = None,
    width: float = 1.0,
    fc_width: int = 4096,
    preprocessing: InputScaling | None = SCALINGS["voc"],
    include_top: bool = True,
    convolutional: bool = False,
    weights: str | Path | None = None,
) -> keras.Model:
    """AlexNet as CaffeNet, the classifier: images (N, 227, 227, 3) to scores (N, K) float32, before softmax.

    Args:
      classes: K.
      input_shape: (H, W, C); None for 227 x 227 RGB, or for any size if convolutional or without top.
      width: a factor for the channels of the convolutions; each group keeps one.
      fc_width: channels of fc6 and fc7.
      preprocessing: the first layer's constants; None for none.
      include_top: whether it has the fully connected layers; without them it gives pool5.
      convolutional: with the fully connected layers as convolutions: scores (N, H', W', K), a cell every 32 pixels.
      weights: None for fresh ones; "imagenet", from the cache or downloaded; or a file of weights.

    Raises:
      ConfigError: an option is out of range, or a size is missing.
      WeightsError: the file can't be read.
    """
    return classifier("alexnet", ALEXNET, **locals())
