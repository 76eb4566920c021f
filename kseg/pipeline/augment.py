"""Augmentations as pure functions of an example and a seed, composed into one warp.

However many are asked for, each output pixel is looked up once: the image is interpolated linearly, the
label takes the nearest pixel, so that no label is ever invented. Beyond the image lies its mirror
image (the border pixel not repeated), for image and label alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from kseg.datasets import Item
from kseg.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Mirror:
    """Left and right exchanged for half of the examples, up and down for half, independently."""

    def matrix(self, rng: np.random.Generator) -> np.ndarray:
        """(2, 2), from output to input offsets about the centre, as (row, column)."""
        return np.diag(rng.choice([-1.0, 1.0], size=2))


@dataclass(frozen=True)
class Rotation:
    """A turn about the centre by an angle drawn evenly from -degrees to degrees."""

    degrees: float = 180.0

    def matrix(self, rng: np.random.Generator) -> np.ndarray:
        """(2, 2), from output to input offsets about the centre, as (row, column)."""
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees))
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


Augmentation = Mirror | Rotation
AUGMENTATIONS: dict[str, type[Augmentation]] = {"mirror": Mirror, "rotation": Rotation}


def named(names: tuple[str, ...]) -> tuple[Augmentation, ...]:
    """The augmentations of these names, each with its defaults.

    Raises:
      ConfigError: there is none of that name.
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise ConfigError(f"There is no augmentation {name!r}. {did_you_mean(name, AUGMENTATIONS)}")
    return tuple(AUGMENTATIONS[name]() for name in names)


def warp(
    item: Item,
    rng: np.random.Generator,
    augment: tuple[Augmentation, ...] = (),
    *,
    crop: tuple[int, int] | None = None,
    margin: int = 0,
) -> Item:
    """An example after all augmentations, cropped.

    The crop's centre is drawn so that what is left of it once `margin` is cut off on every side lies
    inside the image, where that is large enough; the margin reads on into the mirrored surroundings.

    Args:
      item: the example.
      rng: where every choice comes from.
      augment: what is done, first to last.
      crop: (height, width) of the result; None for the image's own and no shift.
      margin: pixels of the crop on each side that are context only.

    Returns:
      The item with image float32, and label and instances as they are numbered.
    """
    matrix = np.eye(2)
    for augmentation in augment:
        matrix = matrix @ augmentation.matrix(rng)
    size = item.label.shape
    centre = [(length - 1) / 2 for length in size]
    if crop is not None:
        for axis in (0, 1):
            inner = crop[axis] - 2 * margin
            free = size[axis] - inner
            # Whole pixels, in the middle where the image is smaller: what is not turned is not blurred either.
            start = rng.integers(0, free + 1) if free > 0 else free // 2
            centre[axis] = start + (inner - 1) / 2
    height, width = crop or size
    offset = np.array(centre) - matrix @ [(height - 1) / 2, (width - 1) / 2]
    # OpenCV wants (column, row): both axes of the map exchanged.
    affine = np.array([[matrix[1, 1], matrix[1, 0], offset[1]], [matrix[0, 1], matrix[0, 0], offset[0]]])

    def look_up(pixels: np.ndarray, interpolation: int) -> np.ndarray:
        flags = interpolation | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(pixels, affine, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)

    image = look_up(item.image.astype(np.float32), cv2.INTER_LINEAR)
    return Item(
        item.id,
        image if image.ndim == 3 else image[..., None],
        look_up(item.label, cv2.INTER_NEAREST),
        None if item.instances is None else look_up(item.instances, cv2.INTER_NEAREST),
    )
