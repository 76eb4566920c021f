"""Weights from one network into another, by the names of their layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import keras

from kseg.errors import WeightsError
from kseg.folders import keras_file
from kseg.layers import ScaleChannels, ScaleInput
from kseg.models.fcn import STREAMS
from kseg.weights.fill import fill
from kseg.weights.keras_applications import NAMES
from kseg.weights.keras_file import read_keras_file
from kseg.weights.layouts import Tensor
from kseg.weights.load_report import Report
from kseg.weights.spread import spread

Network: TypeAlias = "keras.Model | str | Path"


def transplant(source: Network | Mapping[str, Network], target: keras.Model) -> Report:
    """What became of each layer, after `target` took what `source` has under the same names; printed too.

    Fully connected layers become convolutions and back. Layers that the source lacks, as the new score layers from
    FCN-32s to 16s to 8s, and those of another size, as the scores of other classes, keep their initial value. A single
    network's weights go to every stream of `target`.

    Args:
      source: a network (keras.applications' VGG16 too), a `.keras` file, a run folder; or one per stream, as
        {"rgb": ..., "hha": ...}.
      target: a network.

    Raises:
      WeightsError: the file can't be read, or no layer took anything.
    """
    networks = source if isinstance(source, Mapping) else {"": source}
    named: dict[str, keras.Layer] = {}
    for stream, network in networks.items():
        model = network if isinstance(network, keras.Model) else _load(Path(network))
        named |= {NAMES.get(layer.name, layer.name) + STREAMS.get(stream, ""): layer for layer in _layers(model)}
    tensors = {name: _tensors(layer) for name, layer in named.items()}
    report = fill(target, spread(target, {name: found for name, found in tensors.items() if found}))
    for layer in target.layers:
        if layer.name in report.initial and layer.name in named and _copied(named[layer.name], layer):
            report.initial.remove(layer.name)
            report.filled.append(layer.name)
    report.notes += _differing_input(list(named.values()), target)
    report.show()
    if not report.filled:
        raise WeightsError(f"{target.name}: no layer has a name and size that the source has too. Is it the right one?")
    return report


def _load(path: Path) -> keras.Model:
    """The network of a `.keras` file or a run folder."""
    file = keras_file(path)
    if file is None:
        raise WeightsError(f"{path}: no network here.", "Name a .keras file or a run folder.")
    return read_keras_file(file)


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """All layers, those of networks within it too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _tensors(layer: keras.Layer) -> list[Tensor]:
    """Kernel and bias, read from the layer a slice at a time; none for layers that are copied as they are."""
    if isinstance(layer, ScaleChannels):
        return [_tensor(layer.scale)]
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Dense)):
        return [_tensor(variable) for variable in (layer.kernel, layer.bias) if variable is not None]
    return []


def _tensor(variable: keras.Variable) -> Tensor:
    return Tensor(tuple(variable.shape), lambda start, stop: keras.ops.convert_to_numpy(variable[start:stop]), "keras")


def _copied(source: keras.Layer, target: keras.Layer) -> bool:
    """Whether a layer of one kind and size, as a normalisation, took the other's weights."""
    shapes = [[tuple(variable.shape) for variable in layer.weights] for layer in (source, target)]
    if type(source) is not type(target) or shapes[0] != shapes[1] or _tensors(source):
        return False
    target.set_weights(source.get_weights())
    return True


def _differing_input(layers: list[keras.Layer], target: keras.Model) -> list[str]:
    """A note where both networks scale their input and do it in different ways."""
    theirs, ours = (
        [layer.scaling for layer in found if isinstance(layer, ScaleInput)] for found in (layers, target.layers)
    )
    if not theirs or not ours or (theirs[0].order[:3], theirs[0].scale) == (ours[0].order[:3], ours[0].scale):
        return []
    return [f"Mind the input: the weights were trained on {theirs[0]}, the network now has {ours[0]}."]
