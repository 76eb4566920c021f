"""The works: networks of kseg with their images, labels and weights, which every system makes for itself."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

BORDER = 184  # pixels that the paper's U-Net loses: 572 to 388
# At ten times this rate the loss rises from 3.1 to 10.7 in three steps, and PyTorch in two layouts differs by 6e-4.
FCN_RATE = 1e-4
# So small that the first loss is near log(K): other scores would make the losses of a few steps grow, not fall.
SCORE_SCALE = {"unet": 1.0, "fcn32s": 0.01, "fcn8s": 0.01}


@dataclass(frozen=True)
class Work:
    """A network and what is done with it.

    Attributes:
      name: as on the command line.
      network: its name in kseg.
      options: for kseg.build.
      size: height and width of the images, pixels.
      channels: of the images.
      classes: K.
      is_step: whether it is a training step; else it is a forward pass.
      batch: the batch where none is asked for; None for the usual ones.
      learning_rate, momentum: of the training step's SGD. At ten times this rate, the losses of the network with batch
        normalisation differed by 7e-4 after 33 steps between two layouts of PyTorch itself, at this one by 5e-5.
    """

    name: str
    network: str
    size: int
    channels: int = 1
    classes: int = 2
    options: dict[str, Any] = field(default_factory=dict)
    is_step: bool = False
    batch: int | None = None
    learning_rate: float = 1e-3
    momentum: float = 0.9

    @property
    def label_size(self) -> int:
        """Height and width of the scores and labels, pixels."""
        return self.size - BORDER if self.network == "unet" and self.options.get("padding") != "same" else self.size

    def image(self, batch: int) -> np.ndarray:
        """Smooth waves: (batch, size, size, channels) float32, 0 to 255, other ones in every image and channel."""
        waves = _waves(self.size, batch * self.channels, 0).reshape(self.size, self.size, batch, self.channels)
        return np.ascontiguousarray(waves.transpose(2, 0, 1, 3))

    def label(self, batch: int) -> np.ndarray:
        """Smooth regions of all classes: (batch, label_size, label_size) int32."""
        waves = _waves(self.label_size, batch, 1).transpose(2, 0, 1)
        return np.minimum(waves * self.classes / 255, self.classes - 1).astype(np.int32)

    def weight(self, layer: str, kind: str, shape: tuple[int, ...], *, transposed: bool = False) -> np.ndarray:
        """A weight of a layer in Keras' order: float32, always the same numbers for the same names.

        A kernel is Gaussian with deviation sqrt(2 / fan-in), and its sum over the inputs is 0. Otherwise the mean of
        the activations, which are not negative, would hide the image behind a constant after a few layers.

        Args:
          layer: its name in kseg.
          kind: kernel, bias, gamma, beta, moving_mean or moving_variance.
          shape: (height, width, inputs, outputs) of a kernel; of a transposed one (height, width, outputs, inputs).
          transposed: whether it is the kernel of an up-convolution with as many strides as cells.
        """
        numbers = np.random.default_rng(zlib.crc32(f"{layer}/{kind}".encode())).standard_normal(shape, np.float32)
        if kind == "kernel":
            inputs = (3,) if transposed else (0, 1, 2)
            numbers -= numbers.mean(axis=inputs, keepdims=True)
            numbers *= math.sqrt(2 / math.prod(shape[axis] for axis in inputs))
            return numbers * np.float32(SCORE_SCALE[self.network]) if layer.startswith(("score", "head")) else numbers
        if kind in ("gamma", "moving_variance"):
            return 1 + np.abs(numbers) * np.float32(0.1)
        assert kind in ("bias", "beta", "moving_mean"), kind
        return numbers * np.float32(0.1 * SCORE_SCALE[self.network])


def _waves(size: int, count: int, seed: int) -> np.ndarray:
    """Sums of five waves: (size, size, count) float32, each from 0 to 255."""
    random = np.random.default_rng([seed, size])
    lines = np.arange(size, dtype=np.float32) / 100
    total = np.zeros((size, size, count), np.float32)
    for _ in range(5):
        down, right, phase = random.uniform(-4, 4, count), random.uniform(-4, 4, count), random.uniform(0, 6, count)
        total += np.sin(lines[:, None, None] * down + lines[None, :, None] * right + phase).astype(np.float32)
    least, most = total.min(axis=(0, 1)), total.max(axis=(0, 1))
    return (total - least) / (most - least) * 255


def _own_unet() -> Work:
    """The network, crop and batch of the recipe `own-unet`."""
    from kseg.recipes.own_unet import own_unet as recipe

    made = recipe()
    assert made.data.crop and made.data.crop[0] == made.data.crop[1]
    options = {**made.model.options, "dropout": 0.0}
    return Work("own-unet-step", "unet", made.data.crop[0], options=options, is_step=True, batch=made.data.batch_size)


def works() -> dict[str, Work]:
    """All works for a processor, by name."""
    unet, fcn = {"dropout": 0.0}, {"channels": 3, "classes": 21}
    step: dict[str, Any] = {"is_step": True}
    fcn_step = {**fcn, **step, "momentum": 0.99}
    found = [
        Work("unet-forward", "unet", 572, options=unet),
        Work("fcn32s-forward", "fcn32s", 500, **fcn),
        Work("fcn8s-forward", "fcn8s", 500, **fcn),
        Work("unet-step", "unet", 572, options=unet, **step),
        Work("fcn8s-step", "fcn8s", 256, **fcn_step, learning_rate=FCN_RATE),
        _own_unet(),
    ]
    return {work.name: work for work in found}


def gpu_works() -> dict[str, Work]:
    """All works for a GPU, by name. 512 pixels do not fit the valid U-Net; there it is padded."""
    found = []
    for size in (512, 572):
        options = {"dropout": 0.0, **({"padding": "same"} if size == 512 else {})}
        found += [Work(f"unet{size}-forward", "unet", size, options=options)]
        found += [Work(f"unet{size}-step", "unet", size, options=options, is_step=True)]
    fcn: dict[str, Any] = {"channels": 3, "classes": 21, "batch": 1}
    found += [Work("fcn8s-forward", "fcn8s", 500, **fcn)]
    found += [Work("fcn8s-step", "fcn8s", 500, **fcn, is_step=True, momentum=0.99, learning_rate=FCN_RATE)]
    return {work.name: work for work in found}


def small(work: Work) -> Work:
    """The same work with a small network and small images, which takes well under a second."""
    if work.network == "unet":
        size = 64 if work.options.get("padding") == "same" else 204
        return replace(work, size=size, options={**work.options, "width": 4})
    return replace(work, size=64, options={**work.options, "width": 1 / 16, "fc_width": 32})


@dataclass(frozen=True)
class Task:
    """What one process does.

    Attributes:
      work, batch: the network and how many images it gets at once.
      precision: float32, mixed_bfloat16 or mixed_float16.
      system: its name in the table.
      choice: how the system does it, by name of what there is to choose.
      device: cpu or cuda.
      threads: how many it may use.
      file: the network as a file, for a system that reads one.
    """

    work: Work
    batch: int
    precision: str
    system: str
    choice: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 2
    file: str = ""
