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
from kseg.weights.keras_files import NAMES, read_keras_file
from kseg.weights.layouts import Tensor
from kseg.weights.load_report import LoadReport

Network: TypeAlias = "keras.Model | str | Path"


def transplant(source: Network | Mapping[str, Network], target: keras.Model) -> LoadReport:
    """Fills `target` with the weights that `source` has under the same names; logs a report.

    Fully connected layers become convolutions, and the reverse. Two kinds of layers keep their initial values: those
    that the source lacks, as the new score layers from FCN-32s to 16s to 8s, and those of another size, as the scores
    of other classes. A single network's weights go to every stream of `target`.

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
    report = fill(target, {name: found for name, found in tensors.items() if found})
    for layer in target.layers:
        if layer.name in report.initial and layer.name in named and _copied(named[layer.name], layer):
            report.initial.remove(layer.name)
            report.filled.append(layer.name)
    report.notes += _differing_input(list(named.values()), target)
    return report.logged(" and ".join(_name(network) for network in networks.values()), target.name)


def _name(network: Network) -> str:
    return network.name if isinstance(network, keras.Model) else str(network)


def _load(path: Path) -> keras.Model:
    """The network of a `.keras` file or a run folder."""
    file = keras_file(path)
    if file is None:
        raise WeightsError(f"{path}: no network here.", "Name a .keras file or a run folder.")
    return read_keras_file(file)


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """All layers, with those of networks within it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _tensors(layer: keras.Layer) -> list[Tensor]:
    """Kernel and bias, read from the layer slice by slice; none for layers whose weights are copied whole."""
    if isinstance(layer, ScaleChannels):
        return [_tensor(layer.scale)]
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Dense)):
        return [_tensor(variable) for variable in (layer.kernel, layer.bias) if variable is not None]
    return []


def _tensor(variable: keras.Variable) -> Tensor:
    return Tensor(tuple(variable.shape), lambda start, stop: keras.ops.convert_to_numpy(variable[start:stop]), "keras")


def _copied(source: keras.Layer, target: keras.Layer) -> bool:
    """Copies the weights of a layer without kernel, as a normalisation; tells whether both have one kind and size."""
    shapes = [[tuple(variable.shape) for variable in layer.weights] for layer in (source, target)]
    if type(source) is not type(target) or shapes[0] != shapes[1] or _tensors(source):
        return False
    target.set_weights(source.get_weights())
    return True


def _differing_input(layers: list[keras.Layer], target: keras.Model) -> list[str]:
    """A note if both networks scale their input, in different ways."""
    theirs, ours = (
        [layer.scaling for layer in found if isinstance(layer, ScaleInput)] for found in (layers, target.layers)
    )
    if not theirs or not ours or (theirs[0].order[:3], theirs[0].scale) == (ours[0].order[:3], ours[0].scale):
        return []
    return [f"The input differs: the weights were trained with {theirs[0]}, the network has {ours[0]}."]
