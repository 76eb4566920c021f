"""From a data set to batches: one tf.data chain, whose order and augmentations follow from (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import tensorflow as tf

from kseg.datasets import VOID, Dataset
from kseg.errors import DataError
from kseg.images import with_channels
from kseg.instances import separate
from kseg.pipeline.augment import Augmentation, augmented
from kseg.pipeline.weight_maps import border_weight_map


def batches(
    data: Dataset,
    *,
    size: int = 1,
    seed: int = 0,
    augment: Sequence[Augmentation] = (),
    crop: tuple[int, int] | None = None,
    margin: int = 0,
    channels: int | None = None,
    white: float = 255.0,
    interpolation: Literal["linear", "cubic"] = "linear",
    border_weight: float = 0.0,
    start: int = 0,
    steps: int | None = None,
) -> tf.data.Dataset:
    """Batches of images, labels and, where asked for, weight maps; all follows from (seed, step).

    Every epoch is a permutation of the items of its own; batches run on over its end, so that all are full.
    Where objects are numbered, those that touch are separated by a pixel of background, after the warp
    (kseg.instances.separate), and the weight map is made of what is then there.

    Args:
      data: the data set.
      size: items per batch.
      seed: of the order and of every augmentation.
      augment: what is done to each example, in one warp.
      crop: (height, width) of what comes out; None for the images' own size, which must then agree within a batch.
      margin: pixels of the crop on each side that are context only.
      channels: 1 or 3 where grey and colour images occur together; None for as they are.
      white: the grey level that is 1 to the network.
      interpolation: of images in the warp (kseg.pipeline.augmented).
      border_weight: height of the weights between touching objects (w0 of `border_weight_map`); 0 for no weight map.
      start: the step to begin at.
      steps: how many batches; None for without end.

    Returns:
      A tf.data.Dataset of image (N, H, W, C) float32, label (N, H, W) int32 and, with a border weight,
      weight map (N, H, W) float32.

    Raises:
      DataError: the split is empty, or has no numbered objects to weigh the borders of.
    """
    augment = tuple(augment)
    if len(data) == 0:
        raise DataError(f"{data.name}: the split {data.split} is empty.")
    if border_weight and not data.has_instances:
        raise DataError(f"{data.name}: border weights need a number per object. Pass --set loss.border_weight=0.")

    def load(position: np.int64) -> tuple[np.ndarray, ...]:
        epoch, place = divmod(int(position), len(data))
        item = data[int(np.random.default_rng([seed, 0, epoch]).permutation(len(data))[place])]
        if channels is not None:
            item = replace(item, image=with_channels(item.image, channels, item.id))
        rng = np.random.default_rng([seed, 1, int(position)])
        item = augmented(item, rng, augment, crop=crop, margin=margin, white=white, interpolation=interpolation)
        if item.instances is None:
            return item.image, item.label
        cells = separate(item.instances)
        label = np.where(item.label == VOID, VOID, (cells > 0).astype(np.int32))
        return (item.image, label, border_weight_map(cells, w0=border_weight)) if border_weight else (item.image, label)

    kinds = [tf.float32, tf.int32, tf.float32][: 3 if border_weight else 2]
    height, width = crop or (None, None)

    def map_load(position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image, *maps = tf.numpy_function(load, [position], kinds)
        return tf.ensure_shape(image, (height, width, channels)), *(
            tf.ensure_shape(each, (height, width)) for each in maps
        )

    stop = np.iinfo(np.int64).max if steps is None else (start + steps) * size
    positions = tf.data.Dataset.range(start * size, stop)
    loaded = positions.map(map_load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return loaded.batch(size, drop_remainder=True).prefetch(2)
