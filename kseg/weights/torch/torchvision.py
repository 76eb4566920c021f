"""Loads torchvision's VGG16, and pytorch-fcn's networks, from `.pth` files.

torchvision trained its own weights, with other images: RGB in 0..1, minus a mean, divided by a deviation. The first
convolution's kernel and bias are converted so that they compute the same from kseg's images. This is exact except at
the padded border, where zero is another colour. pytorch-fcn's files have Caffe's layer names and scaling.

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
from kseg.weights.fill import NOT_FINITE, fill
from kseg.weights.layouts import Tensor
from kseg.weights.load_report import LoadReport
from kseg.weights.sources import same_file
from kseg.weights.torch.torch_file import open_torch

_CONVOLUTIONS = {1: (0, 2), 2: (5, 7), 3: (10, 12, 14), 4: (17, 19, 21), 5: (24, 26, 28)}
NAMES = {
    **{
        f"features.{index}": f"conv{block}_{number}"
        for block, indices in _CONVOLUTIONS.items()
        for number, index in enumerate(indices, start=1)
    },
    "classifier.0": "fc6",
    "classifier.3": "fc7",
    "classifier.6": "fc8",
}


class _Colours(NamedTuple):
    """The input of a file's first convolution: (colour - mean) * scale, colours 0 to 255 in the order "rgb"."""

    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


# None: Caffe's, which is that of kseg's networks
_SCALINGS: dict[str, _Colours | None] = {
    "torchvision": _Colours((123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375)),
    "amdegroot": _Colours((122.99925, 116.99910, 103.9992), (1.0, 1.0, 1.0)),
    "caffe": None,
}
_NO_CLASSIFIER = (
    "Its fully connected layers are NaN: it was made for its convolutions alone. "
    "The file with all layers is vgg16-397923af.pth (`kseg weights fetch vgg16-torchvision`)."
)


def load_torchvision(
    model: keras.Model, path: str | Path, *, scaling: Literal["torchvision", "amdegroot", "caffe"] | None = None
) -> LoadReport:
    """Fills `model` with torchvision's VGG16 or a network of pytorch-fcn; logs a report.

    Args:
      model: a network with VGG16's layer names, as `vgg16` and the FCNs with it.
      path: a `.pth` file: a state dict, or a training checkpoint with one.
      scaling: the input that a file with torchvision's names was trained with; None for torchvision's own, unless the
        file's digest is that of one of the two known others.

    Raises:
      WeightsError: the file is broken, wants to run code, has no layers of these names, or fits no layer.
    """
    with open_torch(path) as tensors:
        source = layers_of(tensors)
        if "conv1_1" not in source:
            raise WeightsError(
                f"{path}: neither torchvision's VGG16 nor pytorch-fcn's: {', '.join(list(tensors)[:3])}, ...",
                "Is it the right file? Those have features.0.weight or conv1_1.weight.",
            )
        notes = []
        if "features.0.weight" in tensors:
            name = scaling or scaling_of(path)
            notes.append(f"The file's input scaling was taken to be {name}'s.")
            source["conv1_1"] = _converted(source["conv1_1"], _SCALINGS[name], _target(model))
        report = fill(model, source)
    if any(layer.startswith("fc") and reason == NOT_FINITE for layer, reason in report.refused.items()):
        notes.append(_NO_CLASSIFIER)
    report.notes += notes
    return report.logged(str(path), model.name)


def layers_of(tensors: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
    """The tensors of each layer, by kseg's names, kernel before bias."""
    source: dict[str, list[Tensor]] = {}
    for ending in (".weight", ".bias"):
        for key, tensor in tensors.items():
            if key.endswith(ending):
                name = key.removesuffix(ending)
                source.setdefault(NAMES.get(name, name.replace("/", ".")), []).append(tensor)
    return source


def scaling_of(path: str | Path) -> str:
    """The scaling of a file with torchvision's names, by its digest: torchvision's, unless it is a known other file."""
    others = {"vgg16-amdegroot": "amdegroot", "vgg16-pth": "caffe"}
    return next((scaling for name, scaling in others.items() if same_file(name, path)), "torchvision")


def _target(model: keras.Model) -> InputScaling:
    """The scaling of the network's input: its ScaleInput's, or Caffe's if it has none."""
    found = [layer.scaling for layer in model.layers if isinstance(layer, ScaleInput)]
    return found[0] if found else SCALINGS["vgg"]


def _converted(tensors: list[Tensor], colours: _Colours | None, target: InputScaling) -> list[Tensor]:
    """Kernel and bias that give the same from `target`'s input as `tensors` give from the file's.

    For a colour x the network's input is t = (x - M) S, the file's (x - m) s: W (x - m) s = (W s / S) t + W s (M - m).
    """
    if colours is None or len(tensors) != 2 or tensors[0].shape[1:2] != (3,) or "d" in target.order[:3]:
        return tensors
    kernel, bias = (tensor.whole().astype(np.float64) for tensor in tensors)
    order = ["rgb".index(colour) for colour in target.order[:3]]
    scaled = kernel * np.reshape(colours.scale, (3, 1, 1))
    scaled = scaled[:, order]
    mean = np.broadcast_to(target.mean, (3,)) if len(target.mean) == 1 else np.asarray(target.mean[:3])
    bias = bias + scaled.sum((2, 3)) @ (mean - np.asarray(colours.mean)[order])
    return [Tensor.of(array.astype(np.float32), "caffe") for array in (scaled / target.scale, bias)]
