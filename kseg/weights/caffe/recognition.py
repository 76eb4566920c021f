"""Recognises the network of a Caffe file by its layers' names and shapes."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from kseg.errors import Setting, WeightsError
from kseg.models.fcn import BACKBONES, HEADS, STREAMS
from kseg.weights.fill import Source, is_bilinear

Shapes = Mapping[str, tuple[int, ...]]  # of kernels, by layer

# The U-Net authors' names: the level, and the position in it, a to d (release u-net-release-2015-10-02, phseg_v5).
_UNET = {
    r"conv_d(\d)a-b": r"enc\1_conv1",
    r"conv_d(\d)b-c": r"enc\1_conv2",
    r"upconv_[du]\d[cd]_u(\d)a": r"up\1_upconv",
    r"conv_u(\d)b-c": r"dec\1_conv1",
    r"conv_u(\d)c-d": r"dec\1_conv2",
    r"conv_u0d-score": "head",
}
# The FCN authors' names of 2015, before the release. The last up-sampling was `upsample` in every network.
_EARLY = {"score59": "score_fr", "score2": "upscore2", "score4": "upscore_pool4"}


@dataclasses.dataclass(frozen=True)
class _Trunk:
    """A backbone's layers in a file.

    Attributes:
      first: the first convolution's name.
      kernel: the height and width of its kernel.
      channels: its output channels at width 1.
      top: the classifier's last layer.
      convolutions: the count of the trunk's weights at width 1.
      map: the size of the map that fc6 reads, at width 1; 0 without fc6.
    """

    first: str
    kernel: int
    channels: int
    top: str
    convolutions: int
    map: int


_TRUNKS = {
    "vgg16": _Trunk("conv1_1", 3, 64, "fc8", 14_714_688, 7 * 7 * 512),
    "alexnet": _Trunk("conv1", 11, 96, "fc8", 2_334_080, 6 * 6 * 256),
    "googlenet": _Trunk("conv1.7x7_s2", 7, 64, "loss3.classifier", 5_973_552, 0),
}
_EARLY_FUSION = "conv1_1_bgrd"
_CONTEXT_CLASSES, _NYUD_CLASSES = 60, 40
_UNET_NUMBERS = 31_100_354  # at 64 channels, 4 levels deep
# The weights of the learned up-samplings of a 32s, 16s and 8s, for each pair of classes.
_LEARNED = (64**2, 4**2 + 32**2, 4**2 + 4**2 + 16**2)


def renamed(source: Source) -> Source:
    """The source with the names of kseg's networks: the release's, and for U-Net kseg's own."""
    if "score-fr" in source or "score59" in source:
        skips = sum(level in source for level in ("score-pool4", "score-pool3"))
        last = ("upscore", "upscore16", "upscore8")[skips]
        return {
            last if name == "upsample" else _EARLY.get(name, name.replace("-", "_")): tensors
            for name, tensors in source.items()
        }
    names = {}
    for name in source:
        for theirs, ours in _UNET.items():
            if re.fullmatch(theirs, name):
                names[name] = re.sub(theirs, ours, name)
    return {names.get(name, name): tensors for name, tensors in source.items()}


def recognised(source: Source) -> tuple[str, dict[str, Any]]:
    """The network's name and the options with which `kseg.build` makes it.

    Args:
      source: tensors by kseg's names.

    Raises:
      WeightsError: it is none of kseg's, or larger than the file; the message does not name the file.
    """
    shapes = {name: tensors[0].shape for name, tensors in source.items() if tensors}
    name, options = _unet(shapes) if "enc0_conv1" in shapes else _fcn_or_classifier(shapes, source)
    wanted, found = _numbers(name, options), sum(math.prod(t.shape) for tensors in source.values() for t in tensors)
    if wanted > 2 * found + 1_000_000:  # a rough count; the report on the built network names layers that do not fit
        raise WeightsError(
            f"looks like {name} of {wanted:,} numbers by its first layers, but has only {found:,}.",
            "Is the file whole, and the network a usual one?",
        )
    return name, options


def own_preprocessing(name: str, options: Mapping[str, Any]) -> str:
    """The entry of `kseg.layers.SCALINGS` that the network was trained with, or "own" for the builder's.

    Raises:
      WeightsError: the file can't tell; the message does not name the file.
    """
    if name in ("unet", "fcn32s-rgbd") or "streams" in options:
        return "own"
    classes, channels = options.get("classes"), options["input_shape"][2]
    if channels != 3:
        raise WeightsError(
            f"the first convolution takes {channels} channels, for which no means are known.",
            *_give_preprocessing(),
        )
    if name.startswith("fcn"):
        if classes == _NYUD_CLASSES:
            raise WeightsError(
                f"{classes} classes, as NYUDv2's networks for colour and for HHA, which differ in the means alone.",
                *_give_preprocessing("nyud-rgb", "nyud-hha"),
            )
        if isinstance(classes, dict):
            return "siftflow"
        if classes == _CONTEXT_CLASSES:
            return "context"
    return "own"


def _give_preprocessing(*names: str) -> list[str | Setting]:
    """The advice to give the preprocessing, by one of `names`."""
    settings = [Setting("preprocessing", name) for name in names or (...,)]
    between: list[str | Setting] = [part for setting in settings for part in (" or ", setting)]
    without = Setting("preprocessing", None)
    return ["Give ", *between[1:], ", or ", without, " for input as Caffe's data blob has it."]


def _unet(shapes: Shapes) -> tuple[str, dict[str, Any]]:
    width, channels, *_ = _sizes(shapes, "enc0_conv1", 3)
    depth = 0
    while depth < 8 and f"enc{depth + 1}_conv1" in shapes:
        depth += 1
    classes = _sizes(shapes, "head", 1)[0]
    shape = (None, None, channels)
    return "unet", {"variant": "phseg_v5", "width": width, "depth": depth, "classes": classes, "input_shape": shape}


def _fcn_or_classifier(shapes: Shapes, source: Source) -> tuple[str, dict[str, Any]]:
    streams = [stream for stream, suffix in STREAMS.items() if f"conv1_1{suffix}" in shapes]
    suffix = STREAMS[streams[0]] if streams else ""
    first = {"vgg16": _EARLY_FUSION if _EARLY_FUSION in shapes else f"conv1_1{suffix}"}
    backbone = next((kind for kind, trunk in _TRUNKS.items() if first.get(kind, trunk.first) in shapes), None)
    if backbone is None:
        raise WeightsError(
            f"none of kseg's networks has these layers: {', '.join(shapes)[:200]}.",
            "Build the nearest one and load the file into it (load_caffemodel).",
        )
    trunk = _TRUNKS[backbone]
    width, channels, *_ = _sizes(shapes, first.get(backbone, trunk.first), trunk.kernel)
    options: dict[str, Any] = {"width": width / trunk.channels, "input_shape": (None, None, channels)}
    if f"fc6{suffix}" in shapes:
        options["fc_width"] = shapes[f"fc6{suffix}"][0]
    classes = {
        head: shapes[f"score_fr{ending}{suffix}"][0]
        for head, ending in {"": "", **HEADS}.items()
        if f"score_fr{ending}{suffix}" in shapes
    }
    if not classes:
        return backbone, options | _classifier(shapes, backbone, channels)
    options["classes"] = classes.get("", classes)
    kernels = [tensors[0] for name, tensors in source.items() if tensors and name.startswith("upscore")]
    options["upsampling"] = "fixed" if all(is_bilinear(kernel, kernel.shape[-1]) for kernel in kernels) else "learned"
    if _EARLY_FUSION in shapes:
        return "fcn32s-rgbd", options
    options["backbone"] = backbone
    if streams:
        options["streams"] = streams
    return f"fcn{32 >> _skips(shapes)}s" + ("-atonce" if _any(shapes, "scale_pool4") else ""), options


def _classifier(shapes: Shapes, backbone: str, channels: int) -> dict[str, Any]:
    """The options of a classifier, without those of its trunk."""
    trunk = _TRUNKS[backbone]
    if trunk.top not in shapes:
        if "fc6" in shapes:
            raise WeightsError(
                f"a trunk alone: it has fc6, but neither {trunk.top} nor score_fr.",
                "Build the network that it is for, and load the file into it (load_caffemodel).",
            )
        return {"include_top": False}
    options: dict[str, Any] = {"classes": shapes[trunk.top][0]}
    if len(shapes.get("fc6", shapes[trunk.top])) == 4:
        return options | {"convolutional": True}
    size = BACKBONES[backbone].size
    return options | {"input_shape": (size, size, channels)}


def _skips(shapes: Shapes) -> int:
    return sum(_any(shapes, f"score_{level}") for level in ("pool4", "pool3"))


def _any(shapes: Shapes, start: str) -> bool:
    return any(name.startswith(start) for name in shapes)


def _sizes(shapes: Shapes, name: str, window: int) -> tuple[int, ...]:
    """The sizes of a convolution's kernel, (out, in, window, window)."""
    found = shapes.get(name, ())
    sizes = (1,) * (4 - len(found)) + found
    if sizes[2:] != (window, window):
        raise WeightsError(f"{name} is {found}, not a kernel (out, in, {window}, {window}).", "Is it another network?")
    return sizes


def _numbers(name: str, options: Mapping[str, Any]) -> int:
    """The rough count of a network's weights, so that none is built that is far larger than the file."""
    if name == "unet":
        return int(_UNET_NUMBERS * (options["width"] / 64) ** 2 * 4.0 ** (options["depth"] - 4))
    trunk = _TRUNKS[options.get("backbone", name if name in _TRUNKS else "vgg16")]
    classes, width, fully = options.get("classes", 0), options["width"], 0
    if trunk.map and options.get("include_top", True):
        fully = options.get("fc_width", 4096)
    each = trunk.convolutions * width**2 + fully * (trunk.map * width + fully)
    heads = classes.values() if isinstance(classes, dict) else [classes]
    last = 0
    if options.get("upsampling") == "learned":
        last = sum(count**2 for count in heads) * _LEARNED[{"fcn16s": 1}.get(name, 0 if "32s" in name else 2)]
    return int(each * max(1, len(options.get("streams", ()))) + last)
