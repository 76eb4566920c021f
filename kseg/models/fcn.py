"""FCN: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation" (2015; Shelhamer 2017).

The networks of the authors' release. The first convolution pads by 100, so that even one pixel leaves a cell behind
fc6, and every crop follows from the grids of the maps (kseg.geometry.Grid). With VGG16: FCN-32s 134,346,581, FCN-16s
134,357,354, FCN-8s 134,362,751 trained parameters, the up-sampling not counted; a cell of fc7 reads 404 pixels.

`padding="same"` is a cheap alternative, which the authors do not have: the classifier's own padding, fc6 padded, and
the up-sampled map cropped to the skip if the skip is smaller. The same weights fit; near the border scores differ.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, ParamSpec

import keras
from keras import layers

from kseg.errors import ConfigError
from kseg.geometry import Geometry
from kseg.layers import SCALINGS, InputScaling, ScaleChannels, SizeCheck
from kseg.models.checks import check_bounds, check_choice, check_classes
from kseg.models.classifiers.alexnet import ALEXNET
from kseg.models.classifiers.backbone import Backbone, scaled_input, widths
from kseg.models.classifiers.googlenet import GOOGLENET
from kseg.models.classifiers.vgg16 import VGG16
from kseg.models.feature_map import FeatureMap, mean_of
from kseg.models.registry import NETWORKS, started

BACKBONES: dict[str, Backbone] = {"vgg16": VGG16, "alexnet": ALEXNET, "googlenet": GOOGLENET}
HEADS = {"semantic": "_sem", "geometric": "_geo"}  # the ends of SIFT Flow's layer names in the release
STREAMS = {"rgb": "color", "hha": "hha"}  # the ends of NYUDv2's
STREAM_SCALINGS = {"rgb": SCALINGS["nyud-rgb"], "hha": SCALINGS["nyud-hha"]}
AT_ONCE = {"pool4": 0.01, "pool3": 0.0001}

Options = ParamSpec("Options")
Classes = int | Mapping[str, int]
Shape = tuple[int | None, int | None, int]
Scalings = InputScaling | Mapping[str, InputScaling] | None


@NETWORKS.register("fcn32s")
def fcn32s(
    *,
    classes: Classes = 21,
    input_shape: Shape = (None, None, 3),
    width: float = 1.0,
    fc_width: int = 4096,
    preprocessing: Scalings | Literal["own"] = "own",
    backbone: Literal["vgg16", "alexnet", "googlenet"] = "vgg16",
    padding: Literal["released", "same"] = "released",
    upsampling: Literal["fixed", "learned"] = "fixed",
    streams: Sequence[str] = (),
    weights: str | Path | None = None,
) -> keras.Model:
    """FCN-32s: the scores of fc7, up-sampled by 32.

    Images (N, H, W, C) of any size to scores (N, H, W, K) float32, before softmax.

    Args:
      classes: K, or one number per head ({"semantic": 33, "geometric": 3}); then scores are a dict.
      input_shape: (H, W, C); H and W may be None.
      width: a factor for the channels of the convolutions, 1/1024 to 16.
      fc_width: channels of fc6 and fc7, 1 to 65536.
      preprocessing: the first layer's constants, by stream if there are several; None for none.
      backbone: vgg16, alexnet or googlenet. The last two are up-sampled with a kernel of 63; the authors did
        not release a network with googlenet.
      padding: released (100 pixels) or same.
      upsampling: fixed bilinear, or learned from there.
      streams: names of several inputs ("rgb", "hha"), a backbone for each; their scores are averaged.
      weights: None for fresh ones; "imagenet" for those of the backbone's classifier, from the cache or downloaded; or
        a file of weights.

    Raises:
      ConfigError: an option is out of range, or the backbone has no skips.
      WeightsError: the file can't be read, or is of another network.
    """
    return _fcn("fcn32s", (), **locals())


def _with_skips(
    family: Callable[Options, keras.Model], name: str, summary: str, skips: tuple[str, ...], *, at_once: bool = False
) -> Callable[Options, keras.Model]:
    """Makes and registers the builder of network `name`. It has the signature and the docstring of `family`."""
    signature = inspect.signature(family)

    @functools.wraps(family)
    def build(*args: Options.args, **options: Options.kwargs) -> keras.Model:
        given = signature.bind(*args, **options)
        given.apply_defaults()
        return _fcn(name, skips, at_once=at_once, **given.arguments)

    build.__name__ = build.__qualname__ = name.replace("-", "_")
    build.__doc__ = "\n".join([summary, *(family.__doc__ or "").splitlines()[1:]])
    NETWORKS.register(name)(build)
    return build


fcn16s = _with_skips(fcn32s, "fcn16s", "FCN-16s: the scores of fc7 and pool4 summed.", ("pool4",))
fcn8s = _with_skips(fcn32s, "fcn8s", "FCN-8s: the scores of fc7, pool4 and pool3 summed.", ("pool4", "pool3"))
fcn8s_atonce = _with_skips(
    fcn32s,
    "fcn8s-atonce",
    "FCN-8s for training in one go: pool4 and pool3 times 0.01 and 0.0001.",
    ("pool4", "pool3"),
    at_once=True,
)


@NETWORKS.register("fcn32s-rgbd")
def fcn32s_rgbd(
    *,
    classes: Classes = 40,
    input_shape: Shape = (None, None, 4),
    width: float = 1.0,
    fc_width: int = 4096,
    preprocessing: Scalings | Literal["own"] = SCALINGS["nyud-rgbd"],
    padding: Literal["released", "same"] = "released",
    upsampling: Literal["fixed", "learned"] = "fixed",
    weights: str | Path | None = None,
) -> keras.Model:
    """FCN-32s on colour and depth together: images (N, H, W, 4), RGB and millimetres; otherwise as `fcn32s`.

    The first convolution is `conv1_1_bgrd`.

    Args:
      classes, input_shape, weights: as in `fcn32s`.
      width: a factor for the channels of the convolutions, 1/1024 to 16.
      fc_width: channels of fc6 and fc7, 1 to 65536.
      preprocessing: the first layer's constants; None for none.
      padding: released (100 pixels) or same.
      upsampling: fixed bilinear, or learned from there.
    """
    return _fcn("fcn32s-rgbd", (), first="conv1_1_bgrd", backbone="vgg16", streams=(), **locals())


def own_scaling(streams: Sequence[str]) -> Scalings:
    """The means of the release's training images: PASCAL VOC's; for several streams NYUDv2's by stream."""
    return {stream: STREAM_SCALINGS[stream] for stream in streams} or SCALINGS["voc"]


def _fcn(
    name: str,
    skips: tuple[str, ...],
    *,
    classes: Classes,
    input_shape: Shape,
    width: float,
    fc_width: int,
    preprocessing: Scalings | Literal["own"],
    backbone: str,
    padding: str,
    upsampling: str,
    streams: Sequence[str],
    weights: str | Path | None,
    first: str | None = None,
    at_once: bool = False,
) -> keras.Model:
    """The network `name`. The builders hand their options on by `**locals()`, as to `backbone.classifier`."""
    heads = dict(classes) if isinstance(classes, Mapping) else {"": classes}
    for count in heads.values():
        check_classes(name, count, 65535)
    check_bounds(name, **widths(width, fc_width))
    trunk = _checked(name, skips, backbone, padding, upsampling, streams)
    if preprocessing == "own":
        preprocessing = own_scaling(streams)

    size = SizeCheck(name="size")
    images = {stream: layers.Input(input_shape, name=stream or "image") for stream in streams or ("",)}
    maps: list[dict[str, FeatureMap]] = []
    for stream, image in images.items():
        suffix = STREAMS.get(stream, "")
        scaling = preprocessing.get(stream) if isinstance(preprocessing, Mapping) else preprocessing
        x = FeatureMap(scaled_input(image if maps else size(image), scaling, f"scaling{suffix}"), suffix=suffix)
        maps.append(trunk.levels(x, width=width, fc_width=fc_width, padding=padding, first=first))

    scales = {level: AT_ONCE[level] for level in skips} if at_once else {}
    for levels in maps:
        for level, value in scales.items():
            x = levels[level]
            scale = ScaleChannels(value, name=x.named(f"scale_{level}"))
            levels[level] = replace(x, tensor=scale(x.tensor))

    over = FeatureMap(next(iter(images.values())))
    scores = {
        head: _scores(maps, skips, count, HEADS.get(head, f"_{head}" if head else ""), trunk, upsampling, over)
        for head, count in heads.items()
    }
    reach = max(x.grid.reach for x in scores.values())
    # A shift by 32 pixels does not change the numbers; any size fits.
    size.geometry = Geometry(stride=32, margin=-(-reach // 32) * 32, step=1)
    inputs: Any = images if streams else images[""]
    outputs: Any = {head: x.tensor for head, x in scores.items()} if heads.keys() != {""} else scores[""].tensor
    return started(keras.Model(inputs, outputs, name=name), weights)


def _scores(
    maps: list[dict[str, FeatureMap]],
    skips: tuple[str, ...],
    classes: int,
    head: str,
    trunk: Backbone,
    upsampling: str,
    image: FeatureMap,
) -> FeatureMap:
    """One head: scores the last maps, up-samples them, adds the skips' scores, and crops to the image."""
    learned = upsampling == "learned"

    def scored(level: str, name: str, mean: str) -> FeatureMap:
        """A level's scores, averaged over the streams."""
        each = [levels[level].score(name, classes) for levels in maps]
        return each[0] if len(each) == 1 else mean_of(each, mean)

    x = scored(list(maps[0])[-1], f"score_fr{head}", f"score_fused{head}")
    factor, up = 32, f"upscore2{head}"
    for level in skips:
        skip = scored(level, f"score_{level}{head}", f"score_{level}{head}_fused")
        x = x.upsampled(up, 4, 2, learned=learned)
        x = x.fused(skip, f"fuse_{level}{head}", f"score_{level}{head}c")
        factor, up = factor // 2, f"upscore_{level}{head}"
    name, kernel = (f"upscore{factor}{head}", 2 * factor) if skips else (f"upscore{head}", trunk.upscore)
    return x.upsampled(name, kernel, factor, learned=learned).cropped_to(image, f"score{head}")


def _checked(
    name: str, skips: tuple[str, ...], backbone: str, padding: str, upsampling: str, streams: Sequence[str]
) -> Backbone:
    """The backbone. Raises ConfigError if an option is not one of those that exist."""
    check_choice(name, backbone=(backbone, BACKBONES))
    check_choice(name, padding=(padding, ("released", "same")))
    check_choice(name, upsampling=(upsampling, ("fixed", "learned")))
    for stream in streams:
        check_choice(name, streams=(stream, STREAMS))
    if skips and backbone != "vgg16":
        raise ConfigError(
            f"{name}: backbone is {backbone}, but only vgg16 has skips: the cells of {backbone}'s maps lie half a cell "
            "beside those that a kernel of 4 gives.",
            "Use fcn32s.",
        )
    if len(streams) == 1 or len(set(streams)) < len(streams):
        raise ConfigError(f"{name}: streams are {list(streams)}.", "Name two different ones, or none.")
    return BACKBONES[backbone]
