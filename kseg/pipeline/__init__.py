"""From a data set to batches."""

from typing import TYPE_CHECKING

from kseg.lazy import lazy
from kseg.pipeline.augment import (
    AUGMENTATIONS,
    Augmentation,
    Elastic,
    Geometric,
    Grey,
    GreyCurve,
    Mirror,
    Rotation,
    Saturation,
    Scale,
    Shift,
    Tonal,
    augmented,
    check_augmentations,
)
from kseg.pipeline.batches import batch_indices, batches
from kseg.pipeline.examples import Examples
from kseg.pipeline.weight_maps import balanced_weight_map, border_weight_map, class_weight_map

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, {})

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Elastic",
    "Examples",
    "Geometric",
    "Grey",
    "GreyCurve",
    "Mirror",
    "Rotation",
    "Saturation",
    "Scale",
    "Shift",
    "Tonal",
    "augmented",
    "balanced_weight_map",
    "batch_indices",
    "batches",
    "border_weight_map",
    "check_augmentations",
    "class_weight_map",
    "names",
]


def names() -> list[str]:
    """The names of the augmentations (data.augment.NAME)."""
    return AUGMENTATIONS.names()
