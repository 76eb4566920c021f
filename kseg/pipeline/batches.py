"""From a data set to batches: one tf.data chain, whose order and augmentations follow from (seed, step) alone."""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from kseg.datasets import Dataset
from kseg.errors import ConfigError, Setting
from kseg.pipeline.examples import Examples

Order = Literal["epochs", "draws"]


def batches(
    data: Dataset,
    *,
    size: int = 1,
    seed: int = 0,
    order: Order = "epochs",
    worker: int = 0,
    workers: int = 1,
    start: int = 0,
    steps: int | None = None,
    **options: Any,
) -> tf.data.Dataset:
    """Batches of images, labels and, if asked for, weight maps; all follows from (seed, step).

    A batch may hold items of two epochs, so that all batches are full.

    Args:
      data: the data set.
      size: items per batch of all workers together.
      seed: of the order and of every augmentation.
      order: "epochs": a permutation of the items, another for every epoch; "draws": any item at any time, evenly,
        with replacement, as the FCN authors trained.
      worker, workers: which worker this is, from 0, and of how many. Worker i gets items i, i + workers, ... of every
        step: as many in every step, but the first workers one more than the last where `size` is no multiple. Together
        they get what a single one would get.
      start: the first step.
      steps: how many batches; None for an endless dataset.
      options: how an item becomes an example: `augment`, `crop` and the other fields of `kseg.pipeline.Examples`.

    Returns:
      A tf.data.Dataset of image (N, H, W, C) float32, label (N, H, W) int32 and, with a border weight, class weights
      or a data set that weights its images, weight map (N, H, W) float32. Of several streams or heads dicts.

    Raises:
      DataError: the split is empty, or has no numbered objects for border weights; its classes are not those of
        `class_weights`.
      ConfigError: a step has fewer items than there are workers, or something in `augment` is no augmentation.
    """
    examples = Examples(**options)
    examples.check(data)
    if not 0 <= worker < workers <= size:
        raise ConfigError(
            f"{size} items per batch for worker {worker} of {workers}: each needs at least one, and a number from 0.",
            *("Pass ", Setting("data.batch_size", max(workers, 1)), " or more, or train on fewer workers."),
        )
    share = len(range(worker, size, workers))
    first = data[0]

    def load(number: np.int64) -> list[np.ndarray]:
        step, place = divmod(int(number), share)
        position = step * size + worker + place * workers
        item = data[_index(len(data), seed, position, order)]
        return examples.of(item, data, np.random.default_rng([seed, 1, position]))

    made = examples.of(first, data, np.random.default_rng(seed))
    shapes = [(*(examples.crop or (None, None)), *array.shape[2:]) for array in made]

    def load_graph(number: tf.Tensor) -> tuple:
        arrays = map(tf.ensure_shape, tf.numpy_function(load, [number], [array.dtype for array in made]), shapes)
        images = {stream: next(arrays) for stream in first.images}
        labels = {head: next(arrays) for head in first.labels}
        return images.get("", images), labels.get("", labels), *arrays

    stop = np.iinfo(np.int64).max if steps is None else (start + steps) * share
    numbers = tf.data.Dataset.range(start * share, stop)
    loaded = numbers.map(load_graph, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return loaded.batch(share, drop_remainder=True).prefetch(2)


def batch_indices(count: int, *, size: int, seed: int, step: int, order: Order = "epochs") -> list[int]:
    """Which of `count` items are in the batch of `step`, counted from 0, as `batches` makes it."""
    return [_index(count, seed, position, order) for position in range(step * size, (step + 1) * size)]


def _index(count: int, seed: int, position: int, order: Order) -> int:
    """Which of `count` items comes at `position`."""
    if order == "draws":
        return int(np.random.default_rng([seed, 2, position]).integers(count))
    epoch, rest = divmod(position, count)
    return int(_permutation(count, seed, epoch)[rest])


@functools.lru_cache(maxsize=8)  # a batch reaches into two epochs, and several chains may run at a time
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `count` items in `epoch`; cached, since its computing time grows with `count`."""
    return np.random.default_rng([seed, 0, epoch]).permutation(count)
