"""From a data set to batches."""

from kseg.pipeline.augment import AUGMENTATIONS, Augmentation, Mirror, Rotation, named, warp
from kseg.pipeline.batches import batches
from kseg.pipeline.weight_maps import border_weight_map

__all__ = ["AUGMENTATIONS", "Augmentation", "Mirror", "Rotation", "batches", "border_weight_map", "named", "warp"]
