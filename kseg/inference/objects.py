"""The objects that a network finds in an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from kseg.inference.prediction import predict
from kseg.inference.predictor import Predictor, predictor
from kseg.instances import ObjectRules, number
from kseg.layers import Average, ScoreReading


def objects(
    model: keras.Model | Predictor,
    image: Any,
    *,
    min_size: int | None = None,
    fill_holes: bool | None = None,
    separate: bool | None = None,
    tile: int | None = None,
    average: Average | None = None,
    precision: str = "float32",
) -> Any:
    """The objects in an image of any size, each with a number of its own.

    By default the rules for objects are those that were best on val in the network's training. Measure the objects with
    `kseg.object_table(objects, image)`.

    Args:
      model: a network or a predictor.
      image: as in `predict`.
      min_size: the fewest pixels of an object, 0 for any size; None for the network's own rule.
      fill_holes: whether background enclosed by an object belongs to it; None for the network's own rule.
      separate: whether objects that touch are separated where the mask is narrow; None for the network's own rule.
      tile, average, precision: as in `predict`.

    Returns:
      (H, W) int32, 0 background, 1..n; each class but 0 has its own objects. A dict of them for a network with several
      heads.

    Raises:
      ConfigError: `min_size` is below 0, or as `predict`.
      SizeError, DataError, WeightsError: as `predict`.
    """
    call = predictor(model, precision=precision)
    rules = {
        head: rules_of(reading, min_size=min_size, fill_holes=fill_holes, separate=separate)
        for head, reading in call.readings.items()
    }
    ids = predict(call, image, tile=tile, average=average)
    if "" in rules:
        return number(ids, rules[""])
    return {head: number(part, rules[head]) for head, part in ids.items()}


def rules_of(reading: ScoreReading, **asked: Any) -> ObjectRules:
    """The rules for objects: those asked for, and the network's own in place of None.

    Raises:
      ConfigError: a value is out of range.
    """
    return replace(reading.rules, **{name: value for name, value in asked.items() if value is not None})
