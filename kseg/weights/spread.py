"""One network's weights for all layers that start as copies of them: late fusion's streams, early fusion's first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kseg.models.fcn import STREAMS
from kseg.weights.layouts import Tensor

Source = Mapping[str, Sequence[Tensor]]


def spread(model: keras.Model, source: Source) -> Source:
    """The source under the names that `model` has for its layers, where the source itself has no such layer.

    A stream's layer (`conv1_1color`, `conv1_1hha`) takes what the layer without its ending has. `conv1_1_bgrd` takes
    conv1_1's three filters, and their mean for depth.

    Source: the FCN release's nyud-fcn32s-color-d/net.py and surgery.py.
    """
    spreads, copied = dict(source), set()
    for layer in model.layers:
        if layer.name in source:
            continue
        stem = next((layer.name.removesuffix(end) for end in STREAMS.values() if layer.name.endswith(end)), layer.name)
        if stem in source:
            spreads[layer.name] = source[stem]
            copied.add(stem)
        elif layer.name == "conv1_1_bgrd" and "conv1_1" in source:
            kernel, *rest = source["conv1_1"]
            spreads[layer.name] = [_with_mean_filter(kernel), *rest]
            copied.add("conv1_1")
    return {name: tensors for name, tensors in spreads.items() if name not in copied}


def _with_mean_filter(kernel: Tensor) -> Tensor:
    axis = 1 if kernel.layout == "caffe" else 2
    whole = kernel.whole()
    return Tensor.of(np.concatenate([whole, whole.mean(axis, keepdims=True)], axis), kernel.layout)
