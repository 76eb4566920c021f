"""Augmentations as pure functions of an example and a random generator, composed into one warp.

However many are asked for, each output pixel is looked up once: the image is interpolated linearly or cubically,
label and instances take the nearest pixel, so that no label is ever invented. Beyond the image lies its mirror image
(the border pixel not repeated), for image and label alike; or nothing, black and void.

OpenCV 4 rounds places to 1/32 pixel, which moves a look-up by at most 1/64 pixel along each axis; OpenCV 5 does not.
`kseg.layers.dense_image_warp` is the exact warp, equal to tensorflow-addons' bit for bit, and differentiable.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from kseg.datasets import VOID, Item


@dataclass(frozen=True)
class Mirror:
    """Left and right exchanged for half of the examples, up and down for half, independently.

    Attributes:
      horizontal: left and right.
      vertical: up and down.
    """

    horizontal: bool = True
    vertical: bool = True

    def move(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        signs = rng.choice([-1.0, 1.0], size=(2, 1, 1))
        return points * np.where([[[self.vertical]], [[self.horizontal]]], signs, 1.0)


@dataclass(frozen=True)
class Rotation:
    """A turn about the centre by an angle drawn evenly from -degrees to degrees."""

    degrees: float = 180.0

    def move(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        rows, columns = points
        return np.stack(
            [math.cos(angle) * rows - math.sin(angle) * columns, math.sin(angle) * rows + math.cos(angle) * columns]
        )


@dataclass(frozen=True)
class Shift:
    """A shift along each axis, drawn evenly from -pixels to pixels."""

    pixels: float = 10.0

    def move(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return points + rng.uniform(-self.pixels, self.pixels, size=(2, 1, 1))


@dataclass(frozen=True)
class Scale:
    """Enlarged or made smaller, by a factor from 1 / most to most, drawn evenly on a logarithmic scale."""

    most: float = 1.25

    def move(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return points / math.exp(rng.uniform(-1, 1) * math.log(self.most))


@dataclass(frozen=True)
class Elastic:
    """Random displacements on a coarse grid, in between bicubic.

    Attributes:
      sigma: the displacements' Gaussian deviation along each axis, pixels.
      spacing: pixels from one grid point to the next, at most; None for 3 x 3 points over the whole crop,
        corners included, as the paper's words are mostly read (the authors' later code takes a spacing).

    Source: U-Net paper, section 3.1.
    """

    sigma: float = 10.0
    spacing: float | None = None

    def move(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sizes = points.shape[1:]
        counts = [3 if self.spacing is None else max(2, math.ceil((size - 1) / self.spacing) + 1) for size in sizes]
        grid = rng.normal(0, self.sigma, size=(2, *counts))
        rows, columns = (cubic_weights(size, count) for size, count in zip(sizes, counts, strict=True))
        # Not a matrix product: that would start a thread per core, which training is using.
        return points + np.einsum("rg,agc->arc", rows, grid @ columns.T)


@dataclass(frozen=True)
class Grey:
    """Grey levels g become `a g + b`, with a drawn from 1 - gain to 1 + gain, b from -offset to offset times white."""

    gain: float = 0.25
    offset: float = 0.05

    def tone(self, image: np.ndarray, rng: np.random.Generator, white: float) -> np.ndarray:
        gain, offset = rng.uniform(1 - self.gain, 1 + self.gain), rng.uniform(-self.offset, self.offset)
        return image * np.float32(gain) + np.float32(offset * white)


@dataclass(frozen=True)
class GreyCurve:
    """Grey levels through a random rising curve from black to white, of five points joined by straight lines.

    Half-way between two points a third is drawn evenly from what leaves both slopes within the limits, two times over.

    Source: the U-Net authors' Fiji plugin, commit 870e503: slopes from 0.666 to 1.5, two rounds.
    """

    least_slope: float = 0.666
    most_slope: float = 1.5

    def tone(self, image: np.ndarray, rng: np.random.Generator, white: float) -> np.ndarray:
        heights = [0.0, 1.0]
        for step in (0.5, 0.25):
            refined = [0.0]
            for low, high in itertools.pairwise(heights):
                least = max(low + self.least_slope * step, high - self.most_slope * step)
                most = min(low + self.most_slope * step, high - self.least_slope * step)
                refined += [rng.uniform(least, most), high]
            heights = refined
        curve = np.interp(image / white, np.linspace(0, 1, 5), heights)
        return (curve * white).astype(np.float32)


@dataclass(frozen=True)
class Saturation:
    """Colours away from grey, or towards it, by a factor from 1 - most to 1 + most; grey images stay as they are."""

    most: float = 0.3

    def tone(self, image: np.ndarray, rng: np.random.Generator, white: float) -> np.ndarray:
        factor = np.float32(1 + rng.uniform(-self.most, self.most))
        grey = image[..., :3].mean(axis=-1, keepdims=True)
        return np.concatenate([grey + factor * (image[..., :3] - grey), image[..., 3:]], axis=-1)


Geometric = Mirror | Rotation | Shift | Scale | Elastic
Tonal = Grey | GreyCurve | Saturation
Augmentation = Geometric | Tonal

METHODS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def augmented(
    item: Item,
    rng: np.random.Generator,
    augment: tuple[Augmentation, ...] = (),
    *,
    crop: tuple[int, int] | None = None,
    margin: int = 0,
    white: float = 255.0,
    interpolation: Literal["linear", "cubic"] = "linear",
    beyond: Literal["mirror", "void"] = "mirror",
) -> Item:
    """An example after all augmentations, cropped.

    The crop's centre is drawn so that what is left of it once `margin` is cut off on every side lies
    inside the image, where that is large enough; the margin reads on into the mirrored surroundings.

    Args:
      item: the example.
      rng: where every choice comes from.
      augment: what is done: the geometric ones together in one warp, then those of grey levels.
      crop: (height, width) of the result; None for the image's own and no shift.
      margin: pixels of the crop on each side that are context only.
      white: the grey level that is 1 to the network.
      interpolation: of the image. OpenCV's cubic (a = -3/4) is sharper and overshoots, beside a straight edge by up to
        1/9 of its height, so that grey levels may leave those of the image.
      beyond: what lies beyond the image: its mirror image, or void, where the image is black and no object is.

    Returns:
      The item with image float32, and label and instances as they are numbered. Of several streams all move together;
      grey levels change in "rgb" alone.
    """
    size = next(iter(item.labels.values())).shape
    centre = [(length - 1) / 2 for length in size]
    if crop is not None:
        for axis in (0, 1):
            inner = crop[axis] - 2 * margin
            free = size[axis] - inner
            # Whole pixels, in the middle where the image is smaller: what is not turned is not blurred either.
            start = rng.integers(0, free + 1) if free > 0 else free // 2
            centre[axis] = start + (inner - 1) / 2
    axes = [np.arange(length) - (length - 1) / 2 for length in crop or size]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    for augmentation in augment:
        if isinstance(augmentation, Geometric):
            points = augmentation.move(points, rng)
    rows, columns = (points + np.array(centre)[:, None, None]).astype(np.float32)

    border = {"mirror": cv2.BORDER_REFLECT_101, "void": cv2.BORDER_CONSTANT}[beyond]

    def look_up(pixels: np.ndarray, method: int, outside: int = 0) -> np.ndarray:
        return cv2.remap(pixels, columns, rows, method, borderMode=border, borderValue=(outside,) * 4)

    images = {}
    for stream, pixels in item.images.items():
        image = look_up(pixels.astype(np.float32), METHODS[interpolation])
        images[stream] = image if image.ndim == 3 else image[..., None]
    for augmentation in augment:
        if isinstance(augmentation, Tonal):
            images |= {name: augmentation.tone(images[name], rng, white) for name in ("", "rgb") if name in images}
    labels = {head: look_up(label, cv2.INTER_NEAREST, VOID) for head, label in item.labels.items()}
    instances = None if item.instances is None else look_up(item.instances, cv2.INTER_NEAREST)
    return replace(item, image=images.get("", images), label=labels.get("", labels), instances=instances)


def cubic_weights(size: int, count: int) -> np.ndarray:
    """The matrix (size, count) that interpolates `count` values, the first and last at the ends, to `size` pixels.

    Cubic convolution with a = -1/2; beyond the ends the last value goes on.

    Source: Keys, "Cubic convolution interpolation for digital image processing" (1981).
    """
    place = np.linspace(0, count - 1, size)
    first = np.floor(place).astype(int)
    weights = np.zeros((size, count))
    for neighbour in (-1, 0, 1, 2):
        distance = np.abs(place - (first + neighbour))
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        value = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        np.add.at(weights, (np.arange(size), (first + neighbour).clip(0, count - 1)), value)
    return weights
