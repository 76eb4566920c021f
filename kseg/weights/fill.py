"""Puts weights into a network, by the names of its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from kseg.layers import BilinearUpsampling, ScaleChannels, bilinear_kernel
from kseg.models.fcn import STREAMS
from kseg.weights.layouts import Misfit, Slices, Tensor, array_slices, assign, kernel_slices, steps
from kseg.weights.load_report import LoadReport

__all__ = ["Source", "Tensor", "fill"]

Source = Mapping[str, Sequence[Tensor]]  # by layer, its tensors: kernel, then bias
NOT_FINITE = "the file has NaN or infinity in it"  # why a layer is refused

# A value computed in float32 as (1 - |i/f - c|) (1 - |j/f - c|) is off by 5.5 units of 2^-23 at most: 2.5 for each
# factor (i/f < 2 gives one, c, the difference and its complement a half each), a half for the product.
_BILINEAR_ROUNDING = 6 * 2.0**-23


def fill(model: keras.Model, source: Source) -> LoadReport:
    """Fills the layers of `model` with the weights that `source` has under their names, and reports on each layer.

    A layer takes all its tensors or none. A layer that starts as a copy of another one takes the other one's, if the
    source has none for it. Large kernels are assigned in slices of 16 MB. Only TensorFlow can assign a slice; another
    Keras backend needs memory for a second copy of the largest kernel.

    Args:
      model: a functional network.
      source: the tensors of each layer. Layers without tensors are ignored.
    """
    report = LoadReport()
    source = _with_copies(model, source)
    for layer in model.layers:
        tensors = source.get(layer.name, ())
        if not tensors:
            if layer.weights:
                report.initial.append(layer.name)
        elif layer.weights or isinstance(layer, BilinearUpsampling):
            try:
                reshaped = _fill_layer(model, layer, tensors)
            except Misfit as reason:
                report.refused[layer.name] = str(reason)
                continue
            report.filled.append(layer.name)
            if reshaped:
                report.reshaped.append(layer.name)
    taken = {*report.filled, *report.refused}
    report.unused = [name for name, tensors in source.items() if tensors and name not in taken]
    return report


def _fill_layer(model: keras.Model, layer: keras.Layer, tensors: Sequence[Tensor]) -> bool:
    """Fills a layer, and tells whether its kernel is of another kind of layer in the file.

    Raises:
      Misfit: the tensors do not fit; the layer is unchanged.
    """
    kernel, *biases = tensors
    bias = getattr(layer, "bias", None)
    if len(biases) > 1:
        raise Misfit(f"{len(tensors)} tensors in the file, but a layer has no more than a kernel and a bias")
    if bias is not None and not biases:
        raise Misfit("no bias in the file, one in the network")
    if bias is None and biases and np.any(biases[0].whole()):
        raise Misfit("a bias in the file, none in the network")
    if isinstance(layer, BilinearUpsampling):
        if kernel.shape[-2:] != (layer.size, layer.size):
            raise Misfit(f"a kernel of {kernel.shape} in the file, {layer.size} x {layer.size} in the network")
        if not is_bilinear(kernel, layer.size):
            raise Misfit(
                'its up-sampling was learned, but that of the network is fixed; build with upsampling="learned"'
            )
        return False
    work: list[tuple[keras.Variable, Callable[[], Slices]]] = []
    if isinstance(layer, ScaleChannels):
        work.append((layer.scale, array_slices(kernel, layer.scale.shape, "a scale")))
    elif isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Dense)):
        work.append((layer.kernel, kernel_slices(kernel, _window(model, layer), layer.kernel.shape)))
    else:
        raise Misfit(f"weights of a {type(layer).__name__} layer, which kseg does not fill")
    if bias is not None:
        work.append((bias, array_slices(biases[0], bias.shape, "a bias")))
    if not all(np.isfinite(part.numbers).all() for _, slices in work for part in slices()):
        raise Misfit(NOT_FINITE)
    for variable, slices in work:
        assign(variable, slices())
    return not isinstance(layer, ScaleChannels) and (len(kernel.shape) == 2) != isinstance(layer, keras.layers.Dense)


def _window(model: keras.Model, layer: keras.Layer) -> tuple[int, ...]:
    """The kernel's shape as a convolution's: (rows, columns, in / groups, out)."""
    if not isinstance(layer, keras.layers.Dense):
        return tuple(layer.kernel.shape)
    read, out = layer.kernel.shape
    for other in model.layers:
        if isinstance(other, keras.layers.Flatten) and other.output is layer.input:
            return (*other.input.shape[1:], out)
    return (1, 1, read, out)


def _with_copies(model: keras.Model, source: Source) -> Source:
    """The source, with its layers renamed to the layers of `model` that start as copies of them.

    A stream's layer (`conv1_1color`, `conv1_1hha`) takes the tensors of the layer without its ending. `conv1_1_bgrd`
    takes conv1_1's three filters, and their mean for depth.

    Source: the FCN release's nyud-fcn32s-color-d/net.py and surgery.py.
    """
    found, copied = dict(source), set()
    for layer in model.layers:
        if layer.name in source:
            continue
        stem = next((layer.name.removesuffix(end) for end in STREAMS.values() if layer.name.endswith(end)), layer.name)
        if stem in source:
            found[layer.name] = source[stem]
            copied.add(stem)
        elif layer.name == "conv1_1_bgrd" and "conv1_1" in source:
            kernel, *rest = source["conv1_1"]
            found[layer.name] = [_with_mean_filter(kernel), *rest]
            copied.add("conv1_1")
    return {name: tensors for name, tensors in found.items() if name not in copied}


def _with_mean_filter(kernel: Tensor) -> Tensor:
    axis = 1 if kernel.layout == "caffe" else 2
    whole = kernel.whole()
    return Tensor.of(np.concatenate([whole, whole.mean(axis, keepdims=True)], axis), kernel.layout)


def is_bilinear(kernel: Tensor, size: int) -> bool:
    """Whether a transposed convolution up-samples each channel by itself, bilinearly.

    Args:
      kernel: its kernel, dense or with a group per channel.
      size: the kernel's height and width.
    """
    if kernel.layout == "keras":
        kernel = Tensor.of(kernel.whole().transpose(3, 2, 0, 1), "caffe")
    if kernel.shape == (size, size):  # a single channel
        kernel = Tensor.of(kernel.whole()[None, None], "caffe")
    if len(kernel.shape) != 4 or kernel.shape[1] not in (1, kernel.shape[0]) or kernel.shape[2:] != (size, size):
        return False
    channels, seen = kernel.shape[:2]
    expected = np.outer(bilinear_kernel(size), bilinear_kernel(size))
    for start, stop in steps(channels, 4 * expected.size * seen):
        part = kernel.read(start, stop).reshape(stop - start, seen, *expected.shape)
        own = part[np.arange(stop - start), np.arange(start, stop) if seen > 1 else 0]
        # not <=, so that NaN fails
        if not np.abs(own - expected).max() <= _BILINEAR_ROUNDING or np.count_nonzero(part) > np.count_nonzero(own):
            return False
    return True
