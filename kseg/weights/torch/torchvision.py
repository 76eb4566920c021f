"""VGG16 as torchvision has it, and pytorch-fcn's networks, from `.pth` files.

torchvision trained anew, on RGB in 0..1 less a mean, over a deviation. What its first convolution computes of that is a
convolution of any other scaling too; kernel and bias are converted so, exactly but for the padded border, where the
zeros stand for another colour. pytorch-fcn's files have Caffe's layer names and scaling.

Source: facts of the FCN release, sections 1.4 and 6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import keras
import numpy as np

from kseg.errors import WeightsError
from kseg.layers import SCALINGS, InputScaling, ScaleInput
from kseg.weights.fill import fill
from kseg.weights.layouts import Tensor
from kseg.weights.load_report import Report
from kseg.weights.sources import same_file
from kseg.weights.spread import spread
from kseg.weights.torch.torch_file import open_torch

_CONVOLUTIONS = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14), 4: (17, 19, 21), 5: (24, 26, 28)}
NAMES = {
    **{
        f"features.{place}": f"conv{block}_{number}"
        for block, places in _CONVOLUTIONS.items()
        for number, place in enumerate(places, start=1)
    },
    "classifier.0": "fc6",
    "classifier.3": "fc7",
    "classifier.6": "fc8",
}


class _Colours(NamedTuple):
    """What a file's first convolution expects: (colour - mean) * scale, colours 0 to 255 in the order "rgb"."""

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


# None: Caffe's, which kseg's networks have themselves
_SCALINGS: dict[str, _Colours | None] = {
    "torchvision": _Colours((123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375)),
    "amdegroot": _Colours((122.99925, 116.99910, 103.9992), (1.0, 1.0, 1.0)),
    "caffe": None,
}
_NO_CLASSIFIER = (
    "Its fully connected layers are not numbers: it was made for its convolutions alone. "
    "The file with all layers is vgg16-397923af.pth (`weights fetch vgg16-torchvision`)."
)


def load_torchvision(
    model: keras.Model, path: str | Path, *, scaling: Literal["torchvision", "amdegroot", "caffe"] | None = None
) -> Report:
    """What became of each layer, after `model` took torchvision's VGG16 or a network of pytorch-fcn; printed too.

    Args:
      model: a network with VGG16's layer names, as `vgg16` and the FCNs on it.
      path: a `.pth` file: a state dict, or a training checkpoint with one.
      scaling: which input a file with torchvision's names was trained on; None: torchvision's own, unless the file is
        one of the two known others (by its digest).

    Raises:
      WeightsError: the file is broken, asks for code to be run, has no layers of these names, or fits none.
    """
    with open_torch(path) as tensors:
        source = layers_of(tensors)
        if "conv1_1" not in source:
            raise WeightsError(
                f"{path}: neither torchvision's VGG16 nor pytorch-fcn's: {', '.join(list(tensors)[:3])}, ... "
                "Those have features.0.weight or conv1_1.weight."
            )
        notes = []
        if "features.0.weight" in tensors:
            name = scaling or scaling_of(path)
            notes.append(f"The file's input scaling was taken to be {name}'s.")
            source["conv1_1"] = _converted(source["conv1_1"], _SCALINGS[name], _target(model))
        report = fill(model, spread(model, source))
    if any(layer.startswith("fc") and "NaN" in reason for layer, reason in report.refused.items()):
        notes.append(_NO_CLASSIFIER)
    report.notes += notes
    if not report.show().filled:
        raise WeightsError(f"{path}: no layer of {model.name} was filled. Is it a file of this network?\n{report}")
    return report


def layers_of(tensors: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
    """By kseg's layer names, kernel before bias."""
    source: dict[str, list[Tensor]] = {}
    for ending in (".weight", ".bias"):
        for key, tensor in tensors.items():
            if key.endswith(ending):
                name = key.removesuffix(ending)
                source.setdefault(NAMES.get(name, name.replace("/", ".")), []).append(tensor)
    return source


def scaling_of(path: str | Path) -> str:
    """Which scaling a file with torchvision's names has, by its digest: torchvision's, unless it is a known other."""
    others = {"vgg16-amdegroot": "amdegroot", "vgg16-pth": "caffe"}
    return next((scaling for name, scaling in others.items() if same_file(name, path)), "torchvision")


def _target(model: keras.Model) -> InputScaling:
    """What the network's first convolution is given: by its first layer; without one, Caffe's."""
    found = [layer.scaling for layer in model.layers if isinstance(layer, ScaleInput)]
    return found[0] if found else SCALINGS["vgg"]


def _converted(tensors: list[Tensor], colours: _Colours | None, target: InputScaling) -> list[Tensor]:
    """Kernel and bias that compute of `target`'s input what these compute of their own.

    With input t = (x - M) S and the file's (x - m) s for a colour x: W (x - m) s = (W s / S) t + W s (M - m).
    """
    if colours is None or len(tensors) != 2 or tensors[0].shape[1:2] != (3,) or "d" in target.order[:3]:
        return tensors
    kernel, bias = (tensor.whole().astype(np.float64) for tensor in tensors)
    order = ["rgb".index(colour) for colour in target.order[:3]]
    scaled = kernel * np.reshape(colours.scale, (3, 1, 1))
    scaled = scaled[:, order]
    mean = np.broadcast_to(target.mean, (3,)) if len(target.mean) == 1 else np.asarray(target.mean[:3])
    bias = bias + scaled.sum((2, 3)) @ (mean - np.asarray(colours.mean)[order])
    return [Tensor.of((array).astype(np.float32), "caffe") for array in (scaled / target.scale, bias)]
