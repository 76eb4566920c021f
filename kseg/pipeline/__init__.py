"""From a data set to batches."""

from typing import TYPE_CHECKING

from kseg.lazy import lazy
from kseg.pipeline.augment import (
    Augmentation,
    Elastic,
    Grey,
    GreyCurve,
    Mirror,
    Rotation,
    Saturation,
    Scale,
    Shift,
    augmented,
)
from kseg.pipeline.batches import batch_indices, batches
from kseg.pipeline.weight_maps import balanced_weight_map, border_weight_map, class_weight_map

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, {})

__all__ = [
    "Augmentation",
    "Elastic",
    "Grey",
    "GreyCurve",
    "Mirror",
    "Rotation",
    "Saturation",
    "Scale",
    "Shift",
    "augmented",
    "balanced_weight_map",
    "batch_indices",
    "batches",
    "border_weight_map",
    "class_weight_map",
]
