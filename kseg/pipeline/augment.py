"""Augmentations: pure functions of an example and a random generator, combined into one warp.

All geometric augmentations together interpolate each pixel once. The image is interpolated linearly or cubically
(`interpolation`). Label and instances take the nearest pixel, so that no new label appears. Outside of the image lies
its mirror image (without repeating the border pixel), for image and label alike; or black and void.

Grey levels and colours change only in the channels that hold them (`Dataset.colour_channels`): depth, and HHA's heights
and angles, stay unchanged.

OpenCV 4 rounds coordinates to 1/32 pixel, an error of at most 1/64 pixel along each axis; OpenCV 5 does not.
`kseg.layers.dense_image_warp` is the exact warp, equal to tensorflow-addons' bit for bit, and differentiable.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import cv2
import numpy as np

from kseg.datasets import VOID, Item
from kseg.errors import ConfigError
from kseg.options import Above, AtLeast, check_values
from kseg.pipeline.warp import Warp
from kseg.registry import Registry


@runtime_checkable
class Geometric(Protocol):
    """An augmentation that moves pixels."""

    def move(self, warp: Warp, rng: np.random.Generator) -> Warp:
        """The warp followed by one more change of coordinates; every random choice comes from `rng`."""


@runtime_checkable
class Tonal(Protocol):
    """An augmentation that changes grey levels and moves no pixel."""

    def tone(self, image: np.ndarray, rng: np.random.Generator, white: float) -> np.ndarray:
        """(H, W, C) float32 with changed levels; random choices come from `rng`, `white` is the level of white."""


Augmentation = Geometric | Tonal
# In the order of their application: from the output back to the image, then grey levels.
AUGMENTATIONS: Registry[Any] = Registry("augmentation")


@AUGMENTATIONS.register("elastic")
@dataclass(frozen=True)
class Elastic:
    """Random displacements at the points of a coarse grid, bicubic between them.

    Image: linear or cubic, as `interpolation` says. Label: the nearest pixel.

    Attributes:
      sigma: the displacements' Gaussian deviation along each axis, pixels.
      spacing: the greatest distance between grid points, pixels; None for 3 x 3 points over the whole crop,
        corners included, as the paper is mostly understood (the authors' later code has a spacing).

    Source: U-Net paper, section 3.1.
    """

    sigma: Annotated[float, AtLeast(0)] = 10.0
    spacing: Annotated[float | None, Above(0)] = None

    def __post_init__(self) -> None:
        check_values(type(self), vars(self), "data.augment.elastic.")

    def move(self, warp: Warp, rng: np.random.Generator) -> Warp:
        spacing = self.spacing
        counts = [3 if spacing is None else max(2, math.ceil((size - 1) / spacing) + 1) for size in warp.size]
        return warp.bent(rng.normal(0, self.sigma, size=(2, *counts)))


@AUGMENTATIONS.register("mirror")
@dataclass(frozen=True)
class Mirror:
    """Left and right exchanged in half of the examples, up and down in half, independently.

    Image and label: pixels are moved, nothing is interpolated.

    Attributes:
      horizontal: whether left and right are exchanged.
      vertical: whether up and down are exchanged.
    """

    horizontal: bool = True
    vertical: bool = True

    def move(self, warp: Warp, rng: np.random.Generator) -> Warp:
        signs = rng.choice([-1.0, 1.0], size=2)
        return warp.transformed(np.diag(np.where([self.vertical, self.horizontal], signs, 1.0)))


@AUGMENTATIONS.register("rotation")
@dataclass(frozen=True)
class Rotation:
    """A rotation about the centre by an angle drawn evenly from -degrees to degrees.

    Image: linear or cubic, as `interpolation` says. Label: the nearest pixel.

    Attributes:
      degrees: the largest angle to either side.
    """

    degrees: Annotated[float, AtLeast(0)] = 180.0

    def __post_init__(self) -> None:
        check_values(type(self), vars(self), "data.augment.rotation.")

    def move(self, warp: Warp, rng: np.random.Generator) -> Warp:
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        cosine, sine = math.cos(angle), math.sin(angle)
        return warp.transformed(np.array([[cosine, -sine], [sine, cosine]]))


@AUGMENTATIONS.register("shift")
@dataclass(frozen=True)
class Shift:
    """A shift along each axis, drawn evenly from -pixels to pixels, fractions included.

    Image: linear or cubic, as `interpolation` says. Label: the nearest pixel.

    Attributes:
      pixels: the largest shift along each axis.
    """

    pixels: Annotated[float, AtLeast(0)] = 10.0

    def __post_init__(self) -> None:
        check_values(type(self), vars(self), "data.augment.shift.")

    def move(self, warp: Warp, rng: np.random.Generator) -> Warp:
        return warp.moved(rng.uniform(-self.pixels, self.pixels, size=2))


@AUGMENTATIONS.register("scale")
@dataclass(frozen=True)
class Scale:
    """Enlarges or shrinks by a factor from 1 / most to most, drawn evenly on a logarithmic scale.

    Image: linear or cubic, as `interpolation` says; it is not smoothed before shrinking. Label: the nearest pixel.

    Attributes:
      most: the largest factor; 1 does not change the size.
    """

    most: Annotated[float, Above(0)] = 1.25

    def __post_init__(self) -> None:
        check_values(type(self), vars(self), "data.augment.scale.")

    def move(self, warp: Warp, rng: np.random.Generator) -> Warp:
        return warp.transformed(np.eye(2) / math.exp(rng.uniform(-1, 1) * math.log(self.most)))


@AUGMENTATIONS.register("saturation")
@dataclass(frozen=True)
class Saturation:
    """Moves colours away from grey, or towards it, by a factor from 1 - most to 1 + most; grey images stay unchanged.

    Grey is the mean of the three channels, which stays the same. Nothing is interpolated; the label does not change.

    Attributes:
      most: the largest difference of the factor from 1.
    """

    most: Annotated[float, AtLeast(0)] = 0.3

    def __post_init__(self) -> None:
        check_values(type(self), vars(self), "data.augment.saturation.")

    def tone(self, image: np.ndarray, rng: np.random.Generator, white: float) -> np.ndarray:
        factor = np.float32(1 + rng.uniform(-self.most, self.most))
        if image.shape[-1] != 3:
            return image
        mixed = factor * np.eye(3, dtype=np.float32) + (1 - factor) / 3
        return cv2.transform(image, mixed)


@AUGMENTATIONS.register("grey_curve")
@dataclass(frozen=True)
class GreyCurve:
    """Maps grey levels by a random rising curve from black to white, of five points joined by straight lines.

    All channels have the same curve; levels outside of black to white become black or white. Nothing is interpolated;
    the label does not change.

    In each of two rounds a point is drawn half-way between two others, evenly from the heights at which both slopes are
    within the limits.

    Attributes:
      least_slope, most_slope: the limits of the curve's slope; a slope of 1 changes nothing.

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
        quarter = white / 4
        changed = np.zeros(image.shape, np.float32)
        for number, slope in enumerate(4 * np.diff(heights)):
            risen = np.clip(image - np.float32(number * quarter), 0, np.float32(quarter))
            risen *= np.float32(slope)
            changed += risen
        return changed


@AUGMENTATIONS.register("grey")
@dataclass(frozen=True)
class Grey:
    """Grey levels g become `a g + b`, with a drawn from 1 - gain to 1 + gain, b from -offset to offset times white.

    All channels have the same a and b, so that a photograph becomes brighter or darker and keeps its hues. Levels may
    leave the range 0 to white: they are not clipped. Nothing is interpolated; the label does not change.

    Attributes:
      gain: the largest difference of the factor from 1.
      offset: the largest shift of the levels up or down, as a share of white.
    """

    gain: Annotated[float, AtLeast(0)] = 0.25
    offset: Annotated[float, AtLeast(0)] = 0.05

    def __post_init__(self) -> None:
        check_values(type(self), vars(self), "data.augment.grey.")

    def tone(self, image: np.ndarray, rng: np.random.Generator, white: float) -> np.ndarray:
        gain, offset = rng.uniform(1 - self.gain, 1 + self.gain), rng.uniform(-self.offset, self.offset)
        image = image * np.float32(gain)
        image += np.float32(offset * white)
        return image


METHODS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
BORDERS = {"mirror": cv2.BORDER_REFLECT_101, "void": cv2.BORDER_CONSTANT}


def check_augmentations(augment: Sequence[Any]) -> None:
    """Checks that `augment` holds augmentations only.

    Raises:
      ConfigError: it is no list, or an object has neither `move` nor `tone`; the message names it.
    """
    if isinstance(augment, str) or not isinstance(augment, Iterable):
        raise ConfigError(
            f"augment: found {augment!r:.80}, but it must be a list of objects.",
            "Give such as [kseg.pipeline.Mirror()], or name it in a recipe: data.augment.mirror=true.",
        )
    for each in augment:
        if isinstance(each, type) or not isinstance(each, Geometric | Tonal):
            what = f"the class {each.__name__}, not an object of it" if isinstance(each, type) else f"{each!r:.80}"
            raise ConfigError(
                f"augment: {what} is no augmentation.",
                "Give an object with a method move(warp, rng) or tone(image, rng, white), as in kseg.pipeline.",
            )


def augmented(
    item: Item,
    rng: np.random.Generator,
    augment: Sequence[Augmentation] = (),
    *,
    crop: tuple[int, int] | None = None,
    margin: int = 0,
    white: float = 255.0,
    colour_channels: Mapping[str, int] | None = None,
    interpolation: Literal["linear", "cubic"] = "linear",
    beyond: Literal["mirror", "void"] = "mirror",
) -> Item:
    """An example after all augmentations, cropped.

    The crop's centre is drawn so that the crop without its margin lies inside the image, if the image is large enough;
    the margin may reach outside. Crops begin at whole pixels, so that a crop without other changes, or with mirrors
    only, needs no interpolation.

    Args:
      item: the example.
      rng: every random choice comes from it.
      augment: the augmentations: geometric ones together in one warp, then those of grey levels.
      crop: (height, width) of the result; None for the image's own size and no shift.
      margin: pixels of the crop on each side that are context only.
      white: the grey level that is white.
      colour_channels: how many of the first channels hold grey levels or colours (`Dataset.colour_channels`).
      interpolation: of the image. OpenCV's cubic (a = -3/4) is sharper and overshoots, beside a straight edge by up to
        1/9 of its height, so that grey levels may leave the range of the image.
      beyond: what lies outside of the image: its mirror image, or void: black, without objects.

    Returns:
      The item with image float32, label and instances int32. All streams are warped in the same way.
    """
    size = next(iter(item.labels.values())).shape
    centre = [(length - 1) / 2 for length in size]
    if crop is not None:
        for axis in (0, 1):
            inner = crop[axis] - 2 * margin
            free = size[axis] - inner
            # Whole pixels, so that nothing is blurred without need; centred if the image is smaller.
            start = rng.integers(0, free + 1) if free > 0 else free // 2
            centre[axis] = start + (inner - 1) / 2
    warp = Warp.still(crop or size)
    for augmentation in augment:
        if isinstance(augmentation, Geometric):
            warp = augmentation.move(warp, rng)
    warp = warp.moved(np.array(centre))

    method, border = METHODS[interpolation], BORDERS[beyond]
    images = {stream: warp.look_up(pixels, method, border) for stream, pixels in item.images.items()}
    if colour_channels is None:
        found = {name: images[name].shape[-1] for name in ("", "rgb") if name in images}
        colour_channels = {name: 3 if count == 4 else count for name, count in found.items()}
    for augmentation in augment:
        if isinstance(augmentation, Tonal):
            images |= {
                name: _toned(images[name], count, augmentation, rng, white) for name, count in colour_channels.items()
            }
    labels = {head: warp.look_up(label, cv2.INTER_NEAREST, border, VOID) for head, label in item.labels.items()}
    instances = None if item.instances is None else warp.look_up(item.instances, cv2.INTER_NEAREST, border)
    return replace(item, image=images.get("", images), label=labels.get("", labels), instances=instances)


def _toned(image: np.ndarray, count: int, augmentation: Tonal, rng: np.random.Generator, white: float) -> np.ndarray:
    """`image` (H, W, C) with changed grey levels in its first `count` channels."""
    if image.shape[-1] <= count:
        return augmentation.tone(image, rng, white)
    colours = augmentation.tone(np.ascontiguousarray(image[..., :count]), rng, white)
    return np.concatenate([colours, image[..., count:]], axis=-1)
