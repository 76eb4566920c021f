"""How an item of a data set becomes an example that a network is trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from kseg.datasets import VOID, Dataset, Item
from kseg.errors import DataError, Setting
from kseg.images import with_channels
from kseg.instances import separate
from kseg.pipeline.augment import Augmentation, augmented, check_augmentations
from kseg.pipeline.weight_maps import border_weight_map, class_weight_map


@dataclass(frozen=True)
class Examples:
    """What an item becomes: augmented and cropped, touching objects separated, its pixels weighted.

    Touching objects are separated by a pixel of background after the warp (kseg.instances.separate), and the weight
    map is computed from the result.

    Attributes:
      augment: the augmentations of each example, done together in one warp.
      crop: (height, width) of the result; None for the images' own size, which must then be equal within a batch.
      margin: pixels of the crop on each side that are context only.
      channels: 1 or 3 where grey and colour images occur together; None where all have as many as the first.
      white: the grey level that is white, where the data set does not say it (`Dataset.colour_white`).
      interpolation: of images in the warp (kseg.pipeline.augmented).
      beyond: what lies outside of the image: its mirror image, or void.
      border_weight: height of the weights between touching objects (w0 of `border_weight_map`); 0 for no weight map.
      class_weights: the weight of each class (kseg.datasets.class_weights), multiplied by the border weight if there is
        one; void stays 0. None for 1 each.

    Raises:
      ConfigError: something in `augment` is no augmentation.
    """

    augment: Sequence[Augmentation] = ()
    crop: tuple[int, int] | None = None
    margin: int = 0
    channels: int | None = None
    white: float = 255.0
    interpolation: Literal["linear", "cubic"] = "linear"
    beyond: Literal["mirror", "void"] = "mirror"
    border_weight: float = 0.0
    class_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        check_augmentations(self.augment)
        object.__setattr__(self, "augment", tuple(self.augment))

    def check(self, data: Dataset) -> None:
        """Checks that `data` has items, and can be weighted as asked for.

        Raises:
          DataError: the split is empty, or has no numbered objects for border weights; its classes are not those of
            `class_weights`.
        """
        data.check_settled()
        if len(data) == 0:
            raise DataError(f"{data.name}: the split {data.split} is empty.")
        if self.border_weight and not data.has_instances:
            raise DataError(
                f"{data.name}: border weights need a number per object.", "Pass ", Setting("loss.border_weight", 0), "."
            )
        weights = self.class_weights
        if weights is None:
            return
        if len(data.heads) > 1:
            raise DataError(
                f"{data.name}: class weights need one label per pixel, but there are {len(data.heads)} "
                f"({', '.join(data.heads)}), and one weight map for all of them.",
                *("Pass ", Setting("loss.class_weights", "none"), "."),
            )
        if len(weights) != len(data.classes) or not all(0 <= weight < math.inf for weight in weights):
            raise DataError(
                f"{data.name}: class weights are {', '.join(f'{weight:g}' for weight in weights)}, but there are "
                f"{len(data.classes)} classes.",
                "Give a number >= 0 for each.",
            )

    def of(self, item: Item, data: Dataset, rng: np.random.Generator) -> list[np.ndarray]:
        """The arrays of one example: of each stream, of each head, and the weight map if there are any weights.

        Args:
          item: the item.
          data: its data set.
          rng: every random choice comes from it.

        Returns:
          (H, W, C) float32 for each stream, (H, W) int32 for each head, and (H, W) float32.
        """
        if self.channels is not None and "" in item.images:
            item = replace(item, image=with_channels(item.image, self.channels, item.id))
        item = augmented(
            item,
            rng,
            self.augment,
            crop=self.crop,
            margin=self.margin,
            white=data.colour_white or self.white,
            colour_channels=data.colour_channels,
            interpolation=self.interpolation,
            beyond=self.beyond,
        )
        if item.instances is not None:
            cells = separate(item.instances)
            item = replace(item, label=np.where(item.label == VOID, VOID, (cells > 0).astype(np.int32)))
        arrays = [*item.images.values(), *item.labels.values()]
        if self.border_weight or self.class_weights is not None or data.has_weights:
            plain = np.ones(arrays[-1].shape, np.float32)
            weights = border_weight_map(cells, w0=self.border_weight) if self.border_weight else plain
            if self.class_weights is not None:
                weights = weights * class_weight_map(item.label, self.class_weights)
            arrays.append(weights * np.float32(item.weight))
        return arrays
