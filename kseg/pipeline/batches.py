"""From a data set to batches: one tf.data chain, whose order and augmentations follow from (seed, step) alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import tensorflow as tf

from kseg.datasets import VOID, Dataset
from kseg.errors import ConfigError, DataError
from kseg.images import with_channels
from kseg.instances import separate
from kseg.pipeline.augment import Augmentation, augmented, check_augmentations
from kseg.pipeline.weight_maps import border_weight_map, class_weight_map

Order = Literal["epochs", "draws"]


def batches(
    data: Dataset,
    *,
    size: int = 1,
    seed: int = 0,
    order: Order = "epochs",
    augment: Sequence[Augmentation] = (),
    crop: tuple[int, int] | None = None,
    margin: int = 0,
    channels: int | None = None,
    white: float = 255.0,
    interpolation: Literal["linear", "cubic"] = "linear",
    beyond: Literal["mirror", "void"] = "mirror",
    border_weight: float = 0.0,
    class_weights: Sequence[float] | None = None,
    worker: int = 0,
    workers: int = 1,
    start: int = 0,
    steps: int | None = None,
) -> tf.data.Dataset:
    """Batches of images, labels and, where asked for, weight maps; all follows from (seed, step).

    Batches run on over an epoch's end, so that all are full. Where objects are numbered, those that touch are
    separated by a pixel of background, after the warp (kseg.instances.separate), and the weight map is made of what
    is then there.

    Args:
      data: the data set.
      size: items per batch of all workers together.
      seed: of the order and of every augmentation.
      order: "epochs": a permutation of the items, another for every epoch; "draws": any item at any time, evenly,
        with replacement, as the FCN authors trained.
      augment: what is done to each example, in one warp.
      crop: (height, width) of what comes out; None for the images' own size, which must then agree within a batch.
      margin: pixels of the crop on each side that are context only.
      channels: 1 or 3 where grey and colour images occur together; None where all have as many as the first.
      white: the grey level that is white, where the data set does not say it (`Dataset.colour_white`).
      interpolation, beyond: of images in the warp, and what lies outside of them (kseg.pipeline.augmented).
      border_weight: height of the weights between touching objects (w0 of `border_weight_map`); 0 for no weight map.
      class_weights: what each class's pixels weigh (kseg.datasets.class_weights), times the border weight where there
        is one; void stays 0. None for 1 each.
      worker, workers: which worker this is, from 0, and of how many. Each gets every `workers`-th item of a step,
        from the `worker`-th on: as many in every step, but the first workers one more than the last where `size`
        does not divide; all together what one alone gets.
      start: the step to begin at.
      steps: how many batches; None for without end.

    Returns:
      A tf.data.Dataset of image (N, H, W, C) float32, label (N, H, W) int32 and, with a border weight, class weights
      or where the data set weighs its images, weight map (N, H, W) float32. Of several streams or heads dicts.

    Raises:
      DataError: the split is empty, or has no numbered objects to weigh the borders of; its classes are not those
        that are weighed.
      ConfigError: a step has fewer items than there are workers, or something in `augment` is no augmentation.
    """
    augment = tuple(augment)
    check_augmentations(augment)
    _check(data, border_weight, class_weights)
    data.check_settled()
    if not 0 <= worker < workers <= size:
        raise ConfigError(
            f"{size} items per batch for worker {worker} of {workers}: each needs one at least, and a number from 0. "
            f"Pass --set data.batch_size={max(workers, 1)} or more, or train on fewer workers."
        )
    share = len(range(worker, size, workers))

    example = data[0]
    weighted = bool(border_weight) or class_weights is not None or data.has_weights

    def load(number: np.int64) -> list[np.ndarray]:
        step, place = divmod(int(number), share)
        position = step * size + worker + place * workers
        item = data[_index(len(data), seed, position, order)]
        if channels is not None and "" in item.images:
            item = replace(item, image=with_channels(item.image, channels, item.id))
        rng = np.random.default_rng([seed, 1, position])
        item = augmented(
            item,
            rng,
            augment,
            crop=crop,
            margin=margin,
            white=data.colour_white or white,
            colour_channels=data.colour_channels,
            interpolation=interpolation,
            beyond=beyond,
        )
        if item.instances is not None:
            cells = separate(item.instances)
            item = replace(item, label=np.where(item.label == VOID, VOID, (cells > 0).astype(np.int32)))
        maps = [*item.images.values(), *item.labels.values()]
        if weighted:
            plain = np.ones(maps[-1].shape, np.float32)
            weights = border_weight_map(cells, w0=border_weight) if border_weight else plain
            if class_weights is not None:
                weights = weights * class_weight_map(item.label, class_weights)
            maps.append(weights * np.float32(item.weight))
        return maps

    height, width = crop or (None, None)
    shapes: list[tuple] = [
        (height, width, channels if channels and stream == "" else part.shape[-1])
        for stream, part in example.images.items()
    ]
    shapes += [(height, width)] * (len(example.labels) + weighted)
    kinds = [tf.float32] * len(example.images) + [tf.int32] * len(example.labels) + [tf.float32] * weighted

    def map_load(number: tf.Tensor) -> tuple:
        maps = [
            tf.ensure_shape(each, shape)
            for each, shape in zip(tf.numpy_function(load, [number], kinds), shapes, strict=True)
        ]
        images = dict(zip(example.images, maps, strict=False))
        labels = dict(zip(example.labels, maps[len(images) :], strict=False))
        return images.get("", images), labels.get("", labels), *maps[len(images) + len(labels) :]

    stop = np.iinfo(np.int64).max if steps is None else (start + steps) * share
    numbers = tf.data.Dataset.range(start * share, stop)
    loaded = numbers.map(map_load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return loaded.batch(share, drop_remainder=True).prefetch(2)


def _check(data: Dataset, border_weight: float, class_weights: Sequence[float] | None) -> None:
    """Raises DataError where the split is empty, or can't be weighed as asked for."""
    if len(data) == 0:
        raise DataError(f"{data.name}: the split {data.split} is empty.")
    if border_weight and not data.has_instances:
        raise DataError(f"{data.name}: border weights need a number per object. Pass --set loss.border_weight=0.")
    if class_weights is None:
        return
    if len(data.heads) > 1:
        raise DataError(
            f"{data.name}: class weights need one label per pixel, but there are {len(data.heads)} "
            f"({', '.join(data.heads)}), and one weight map for all of them. Pass --set loss.class_weights=none."
        )
    if len(class_weights) != len(data.classes) or not all(0 <= weight < math.inf for weight in class_weights):
        raise DataError(
            f"{data.name}: class weights are {', '.join(f'{weight:g}' for weight in class_weights)}, but there are "
            f"{len(data.classes)} classes. Give a number >= 0 for each."
        )


def batch_indices(count: int, *, size: int, seed: int, step: int, order: Order = "epochs") -> list[int]:
    """Which of `count` items are in the batch of `step`, the first of which is 0, as `batches` makes it."""
    return [_index(count, seed, position, order) for position in range(step * size, (step + 1) * size)]


def _index(count: int, seed: int, position: int, order: Order) -> int:
    """Which of `count` items comes at `position`."""
    if order == "draws":
        return int(np.random.default_rng([seed, 2, position]).integers(count))
    epoch, place = divmod(position, count)
    return int(_permutation(count, seed, epoch)[place])


@functools.lru_cache(maxsize=8)  # a batch reaches into two epochs, several chains may run at a time
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `count` items in `epoch`; kept, since making it takes time in proportion to `count`."""
    return np.random.default_rng([seed, 0, epoch]).permutation(count)
