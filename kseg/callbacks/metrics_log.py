"""The figures of each epoch, as a table and as curves."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras

from kseg.callbacks.throttle import Throttle
from kseg.charts import draw_curves
from kseg.metrics import Measure, is_higher_better, title_of
from kseg.storage import write_text


class MetricsLog(keras.callbacks.Callback):
    """One row per epoch in metrics.csv and metrics.jsonl; curves.png, drawn at the end and occasionally before.

    A number that is not finite is nan or inf in metrics.csv, and null in metrics.jsonl, since JSON has no such numbers.
    """

    def __init__(self, folder: str | Path, measures: Sequence[Measure] = ()) -> None:
        """`measures` are the measures of the scores that are not registered."""
        super().__init__()
        self.folder, self._measures = Path(folder), measures
        self.rows: list[dict[str, float]] = []
        self._step, self._seconds, self._start = 0, 0.0, time.monotonic()
        self._throttle, self._drawn = (
            Throttle(wait_s=60),
            True,
        )  # early curves have few points and take most of the time

    @property
    def seconds(self) -> float:
        """The time spent in training, before an interruption too."""
        return time.monotonic() - self._start

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._start = time.monotonic() - self._seconds

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._step += 1

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._seconds = self.seconds
        scores = {key: float(value) for key, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, "step": self._step, "seconds": round(self._seconds, 1), **scores})
        self._write()
        self._drawn = self._throttle(self._draw)

    def on_train_end(self, logs: dict | None = None) -> None:
        if not self._drawn:
            self._draw()
            self._drawn = True

    def state(self) -> dict[str, Any]:
        return {"rows": self.rows, "step": self._step, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.rows, self._step, self._seconds = list(state["rows"]), state["step"], state["seconds"]
        if self.rows:
            self._write()  # the files may hold rows of steps that will be repeated
        self._drawn = not self.rows  # the curves may have too many points or too few

    def _draw(self) -> None:
        words, is_higher = partial(title_of, own=self._measures), partial(is_higher_better, own=self._measures)
        draw_curves(self.rows, self.folder / "curves.png", words, is_higher)

    def _write(self) -> None:
        table = io.StringIO()
        # Rows differ in their columns if a plain fit validates only some epochs.
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder / "metrics.csv", table.getvalue())
        lines = [{key: value if math.isfinite(value) else None for key, value in row.items()} for row in self.rows]
        write_text(self.folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
