"""The objects that a network finds in an image, and on the way to files those of a stack."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kseg.inference.prediction import predict
from kseg.inference.predictor import Predictor, predictor
from kseg.instances import ObjectRules, number, object_table
from kseg.instances.table import column_names
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

    What counts as an object is by default what was best on val when the network was trained. Measure them with
    `kseg.object_table(objects, image)`.

    Args:
      model: a network or a predictor.
      image: as in `predict`.
      min_size: the pixels an object has at least, 0 for all; None for the network's own.
      fill_holes: whether background that an object encloses belongs to it; None for the network's own.
      separate: whether objects that touch are parted where the mask is narrow; None for the network's own.
      tile, average, precision: as in `predict`.

    Returns:
      (H, W) int32, 0 background, 1..n; of several classes each has its own objects. Of a network with several heads a
      dict of such.

    Raises:
      ConfigError: a size below 0, or as `predict`.
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
    """What counts as an object: as asked for, and the network's own where that is None.

    Raises:
      ConfigError: a value is out of range.
    """
    return replace(reading.rules, **{name: value for name, value in asked.items() if value is not None})


class ObjectPages:
    """The objects of an image or a stack, numbered through all slices.

    Attributes:
      count: how many there are so far.
    """

    def __init__(self, rules: ObjectRules, classes: int, slices: int, *, with_table: bool = True) -> None:
        """What will come.

        Args:
          rules: what counts as an object.
          classes: of the network; a table names them where there are three or more.
          slices: how many; a table names them where there are several.
          with_table: whether they are measured; a row takes much more memory than an object.
        """
        self.count = 0
        self._rules, self._has_classes, self._has_slices = rules, classes > 2, slices > 1
        self._with_table = with_table
        self._shape, self._pages = (0, 0), list[bytes]()  # compressed: as good as nothing beside an image
        self._table, self._columns = list[dict[str, Any]](), list[str]()

    def add(self, ids: np.ndarray, image: np.ndarray) -> np.ndarray:
        """The objects of the next slice, (H, W) int32, from its class ids (H, W) and image (H, W, C)."""
        found = number(ids, self._rules)
        found[found > 0] += self.count
        if self._with_table:
            self._measure(found, ids, image)
        self.count = max(self.count, int(found.max()))
        self._shape = found.shape
        self._pages.append(zlib.compress(found.tobytes(), 1))
        return found

    def _measure(self, found: np.ndarray, ids: np.ndarray, image: np.ndarray) -> None:
        """Adds the rows of a slice to the table."""
        class_of = np.zeros(int(found.max()) + 1, np.int64)
        class_of[found] = ids
        for row in object_table(found, image):
            which = {"id": row["id"], "slice": len(self._pages), "class": int(class_of[int(row["id"])])}
            self._table.append(which | row)
        first, *others = column_names(image.shape[2])
        self._columns = [first, *["slice"] * self._has_slices, *["class"] * self._has_classes, *others]

    @property
    def bits(self) -> int:
        """16, or 32 where there are more objects than 16 bits can number."""
        return 16 if self.count < 2**16 else 32

    def pages(self) -> Iterator[np.ndarray]:
        """The slices, (H, W) uint16, or uint32 by `bits`."""
        for page in self._pages:
            yield np.frombuffer(zlib.decompress(page), np.int32).reshape(self._shape).astype(f"uint{self.bits}")

    def table(self) -> str:
        """`object_table` of all slices as CSV, with `slice` (from 0) and `class` where there are several."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for row in self._table:
            writer.writerow(
                {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
            )
        return text.getvalue()
