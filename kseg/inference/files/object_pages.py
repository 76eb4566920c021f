"""The objects of an image or a stack on the way to files: numbered through all slices, and measured."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from kseg.instances import ObjectRules, number, object_table
from kseg.instances.table import column_names


class ObjectPages:
    """The objects of an image or a stack, numbered through all slices.

    Attributes:
      count: the number of objects so far.
    """

    def __init__(self, rules: ObjectRules, classes: int, slices: int, *, with_table: bool = True) -> None:
        """Prepares for the slices.

        Args:
          rules: what counts as an object.
          classes: of the network; the table has a column for them if there are three or more.
          slices: the number of slices; the table has a column for them if there are several.
          with_table: whether objects are measured; a row takes much more memory than an object.
        """
        self.count = 0
        self._rules, self._has_classes, self._has_slices = rules, classes > 2, slices > 1
        self._with_table = with_table
        self._shape, self._pages = (0, 0), list[bytes]()  # compressed: very small beside an image
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
        """16, or 32 if there are more objects than 16 bits can number."""
        return 16 if self.count < 2**16 else 32

    def pages(self) -> Iterator[np.ndarray]:
        """The slices, (H, W) uint16, or uint32 by `bits`."""
        for page in self._pages:
            yield np.frombuffer(zlib.decompress(page), np.int32).reshape(self._shape).astype(f"uint{self.bits}")

    def table(self) -> str:
        """`object_table` of all slices as CSV, with columns `slice` (from 0) and `class` if there are several."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for row in self._table:
            writer.writerow(
                {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
            )
        return text.getvalue()
