"""FCN and U-Net in PyTorch, as its users write them, with the layers named as in kseg."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.works import Work

BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # VGG16
MEANS = (104.00699, 116.66877, 122.67892)  # BGR
CROPS = {"pool4": 5, "pool3": 9, 32: 19, 8: 31}  # cells cut off before each sum, and pixels before the scores


class UNet(nn.Module):
    """The paper's U-Net: images (N, 1, H, W) to scores (N, K, H', W')."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        width, depth = work.options.get("width", 64), work.options.get("depth", 4)
        self.depth, self.valid = depth, work.options.get("padding", "valid") == "valid"
        self.normalized = work.options.get("normalization", "none") == "batch"
        self.layers = nn.ModuleDict()
        channels = work.channels
        for level in range(depth + 1):
            channels = self._add_block(f"enc{level}", channels, width * 2**level)
        for level in reversed(range(depth)):
            self.layers[f"up{level}_upconv"] = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
            channels = self._add_block(f"dec{level}", channels, channels // 2)
        self.layers["head"] = nn.Conv2d(channels, work.classes, 1)

    def _add_block(self, name: str, inputs: int, outputs: int) -> int:
        for number in (1, 2):
            padding, bias = (0 if self.valid else 1), not self.normalized
            self.layers[f"{name}_conv{number}"] = nn.Conv2d(inputs, outputs, 3, padding=padding, bias=bias)
            if self.normalized:
                self.layers[f"{name}_norm{number}"] = nn.BatchNorm2d(outputs, eps=1e-3)
            inputs = outputs
        return outputs

    def _block(self, name: str, x: torch.Tensor) -> torch.Tensor:
        for number in (1, 2):
            x = self.layers[f"{name}_conv{number}"](x)
            if self.normalized:
                x = self.layers[f"{name}_norm{number}"](x)
            x = functional.relu(x, inplace=True)
        return x

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x, skips = image / 255, []
        for level in range(self.depth):
            skips.append(self._block(f"enc{level}", x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self._block(f"enc{self.depth}", x)
        for level in reversed(range(self.depth)):
            x, skip = self.layers[f"up{level}_upconv"](x), skips[level]
            if self.valid:
                cut = (skip.shape[-1] - x.shape[-1]) // 2
                skip = skip[:, :, cut : cut + x.shape[-2], cut : cut + x.shape[-1]]
            x = self._block(f"dec{level}", torch.cat([skip, x], dim=1))
        return self.layers["head"](x)


class FCN(nn.Module):
    """FCN-32s or FCN-8s as released: images (N, 3, H, W), RGB, to scores (N, K, H, W)."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        width, fc_width = work.options.get("width", 1.0), work.options.get("fc_width", 4096)
        self.skips = ("pool4", "pool3") if work.network == "fcn8s" else ()
        self.register_buffer("means", torch.tensor(MEANS).reshape(1, 3, 1, 1))
        self.layers = nn.ModuleDict()
        channels, outputs = 3, {}
        for block, (count, full) in enumerate(BLOCKS, start=1):
            for number in range(1, count + 1):
                name, wide = f"conv{block}_{number}", max(1, round(full * width))
                self.layers[name] = nn.Conv2d(channels, wide, 3, padding=100 if name == "conv1_1" else 1)
                channels = wide
            outputs[f"pool{block}"] = channels
        self.layers["fc6"] = nn.Conv2d(channels, fc_width, 7)
        self.layers["fc7"] = nn.Conv2d(fc_width, fc_width, 1)
        self.layers["score_fr"] = nn.Conv2d(fc_width, work.classes, 1)
        for level in self.skips:
            self.layers[f"score_{level}"] = nn.Conv2d(outputs[level], work.classes, 1)
        self.last = 8 if self.skips else 32
        self.twice = nn.ModuleList(bilinear(work.classes, 2) for _ in self.skips)
        self.whole = bilinear(work.classes, self.last)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x, maps = image.flip(1) - self.means, {}
        for block, (count, _) in enumerate(BLOCKS, start=1):
            for number in range(1, count + 1):
                x = functional.relu(self.layers[f"conv{block}_{number}"](x), inplace=True)
            x = maps[f"pool{block}"] = functional.max_pool2d(x, 2, ceil_mode=True)
        x = functional.relu(self.layers["fc6"](x), inplace=True)
        x = functional.relu(self.layers["fc7"](x), inplace=True)
        x = self.layers["score_fr"](x)
        for level, twice in zip(self.skips, self.twice, strict=True):
            x = twice(x)
            skip, cut = self.layers[f"score_{level}"](maps[level]), CROPS[level]
            x = x + skip[:, :, cut : cut + x.shape[-2], cut : cut + x.shape[-1]]
        x, cut = self.whole(x), CROPS[self.last]
        return x[:, :, cut : cut + image.shape[-2], cut : cut + image.shape[-1]]


def bilinear(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Fixed bilinear up-sampling, each channel by itself."""
    size = 2 * factor
    line = 1 - (torch.arange(size) - (factor - 0.5)).abs() / factor
    layer = nn.ConvTranspose2d(channels, channels, size, stride=factor, groups=channels, bias=False)
    layer.weight = nn.Parameter(torch.outer(line, line).expand(channels, 1, size, size).clone(), requires_grad=False)
    return layer


def network(work: Work) -> nn.Module:
    """The network of a work with its weights."""
    model = (UNet if work.network == "unet" else FCN)(work)
    for name, layer in model.layers.items():
        _fill(work, name, layer)
    return model


def _fill(work: Work, name: str, layer: nn.Module) -> None:
    def put(tensor: torch.Tensor, array: np.ndarray) -> None:
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))

    if isinstance(layer, nn.BatchNorm2d):
        own = {"gamma": layer.weight, "beta": layer.bias}
        own |= {"moving_mean": layer.running_mean, "moving_variance": layer.running_var}
        for kind, tensor in own.items():
            put(tensor, work.weight(name, kind, tuple(tensor.shape)))
        return
    transposed = isinstance(layer, nn.ConvTranspose2d)
    first, second, height, width = layer.weight.shape
    # Keras' order: (height, width, inputs, outputs), of a transposed convolution (height, width, outputs, inputs)
    kernel = work.weight(name, "kernel", (height, width, second, first), transposed=transposed)
    put(layer.weight, kernel.transpose(3, 2, 0, 1))
    if layer.bias is not None:
        put(layer.bias, work.weight(name, "bias", tuple(layer.bias.shape)))
