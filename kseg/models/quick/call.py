"""A call of a network that leaves out what nothing reads.

Two things are left out: the convolutions of cells that do not see the image (`padded_trunk`), and up-sampled cells that
the next layer crops.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import Any

import keras
from keras import layers, ops

from kseg.layers import BilinearUpsampling, CropTo, MeanProbability
from kseg.models.quick.padded_trunk import Call, Readers, call_layer, padded_trunks

# The layers that take a list of maps
_MERGES = (CropTo, MeanProbability, layers.Add, layers.Average, layers.Concatenate)


def call_quickly(model: keras.Model, images: Any, *, training: bool = False, call: Call | None = None) -> Any:
    """What `model(images, training=training)` gives.

    Args:
      model: any network. One whose layers are not each called once on one map, or a list of maps, is called as it is.
      images: as the network takes them.
      training: whether layers behave as in training.
      call: calls a layer on its input, with the same result as `call_layer`, which None stands for.
    """
    kinds = layers.ZeroPadding2D | BilinearUpsampling
    can_gain = call or any(isinstance(layer, kinds) for layer in model.layers)
    readers = _readers(model) if can_gain else {}
    if not readers:
        return model(images, training=training)
    call = call or functools.partial(call_layer, training=training)
    trunks = {trunk.padding: trunk for trunk in padded_trunks(model, readers)}
    inside = {layer for trunk in trunks.values() for layer in trunk.layers}
    cropped = {id(layer.output): layer for layer in model.layers if _is_only_cropped(layer, readers)}
    ends = keras.tree.flatten(model.input)
    values = {id(end): ops.cast(image, end.dtype) for end, image in zip(ends, keras.tree.flatten(images), strict=True)}

    def computed(tensors: Any) -> Any:
        return keras.tree.map_structure(lambda tensor: values[id(tensor)], tensors)

    for layer in model.layers:
        if layer in trunks:
            maps = trunks[layer](values[id(layer.input)], call)
            values |= {id(model.get_layer(name).output): found for name, found in maps.items()}
            continue
        if layer in inside or layer in cropped.values() or isinstance(layer, layers.InputLayer):
            continue
        up = cropped.get(id(layer.input[0])) if isinstance(layer, CropTo) else None
        if up is None:
            values[id(layer.output)] = call(layer, computed(layer.input))
        else:
            lengths = ops.shape(values[id(layer.input[1])])[1:3]
            values[id(layer.output)] = up.window(values[id(up.input)], layer.offset, lengths)
    found = computed(model.output)
    return found[0] if isinstance(found, list) and len(found) == 1 else found  # as Keras gives it


def _readers(model: keras.Model) -> dict[int, list[keras.Layer | None]]:
    """The layers that read a tensor, by its id, with None for an output; {} if layers can't be called one by one."""
    readers: dict[int, list[keras.Layer | None]] = defaultdict(list)
    if isinstance(model, keras.Sequential) or not hasattr(model, "operations"):
        return {}
    if len(model.operations) != len(model.layers):
        return {}
    known = {id(tensor) for tensor in model.inputs}
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        if not _is_called_plainly(layer):
            return {}
        tensors = keras.tree.flatten(layer.input)
        # `input` and `output` are those of a layer's first call, which may be another network's.
        if not all(id(tensor) in known for tensor in tensors):
            return {}
        for tensor in tensors:
            readers[id(tensor)].append(layer)
        readers.setdefault(id(layer.output), [])
        known.add(id(layer.output))
    for tensor in model.outputs:
        readers[id(tensor)].append(None)
    return readers if all(id(tensor) in known for tensor in model.outputs) else {}


def _is_called_plainly(layer: keras.Layer) -> bool:
    """Whether a layer takes one map, or a list of maps that it merges, and nothing else."""
    arguments = layer._inbound_nodes[0].arguments
    given = {name for name, value in arguments.kwargs.items() if value is not None}
    if len(arguments.args) != 1 or given - {"training"}:
        return False
    return isinstance(layer, _MERGES) or not isinstance(layer.input, list | tuple | dict)


def _is_only_cropped(layer: keras.Layer, readers: Readers) -> bool:
    """Whether a layer up-samples a map of which a single other layer reads a part."""
    if not isinstance(layer, BilinearUpsampling):
        return False
    found = readers[id(layer.output)]
    return len(found) == 1 and isinstance(found[0], CropTo) and found[0].input[0] is layer.output
