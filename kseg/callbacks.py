"""Callbacks for any Keras `fit`: mean IU over a data set, the best network, samples, metrics, progress.

They share what they know through `logs`, in the order they stand in the list: `Validate` adds
`val_mean_iu`, the others read it. What a checkpoint must hold of one, its `state` gives and its `restore` takes.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from kseg.datasets import Dataset, by_name
from kseg.images import write_image
from kseg.inference import Predictor, evaluate, predict, predictor
from kseg.instances import components
from kseg.pictures import draw_curves, strip
from kseg.storage import aside, write_text


class Validate(keras.callbacks.Callback):
    """Adds `val_mean_iu` after each epoch, from one confusion matrix over all of `data`.

    Where objects are numbered `val_seg` comes with it, and of the ISBI 2012 challenge's measures those named.
    """

    def __init__(self, data: Dataset, em_measures: Sequence[str] = ()) -> None:
        super().__init__()
        self.data, self.em_measures = data, em_measures

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._predictor = predictor(model)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        report = evaluate(self._predictor, self.data, em_measures=self.em_measures)
        if logs is not None:
            kept = {name: value for name, value in report.measures.items() if name in ("seg", *self.em_measures)}
            logs.update({f"val_{name}": value for name, value in {"mean_iu": report.mean_iu, **kept}.items()})


class KeepBest(keras.callbacks.Callback):
    """Saves the network to `path` whenever `monitor` is higher than ever before."""

    def __init__(self, path: str | Path, monitor: str = "val_mean_iu") -> None:
        super().__init__()
        self.path, self.monitor, self.best = Path(path), monitor, -math.inf

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        score = (logs or {})[self.monitor]
        if score > self.best or not self.path.exists():
            self.best = score
            save_network(self.model, self.path)

    def state(self) -> dict[str, Any]:
        return {"best": self.best}

    def restore(self, state: dict[str, Any]) -> None:
        self.best = state["best"]


class Pace:
    """Keeps what is done now and then, like drawing, below `share` of the time."""

    def __init__(self, share: float = 0.005) -> None:
        self._share, self._next = share, -math.inf

    def __call__(self, work: Callable[[], None]) -> bool:
        """Does `work` unless it was done too lately; returns whether."""
        started = time.monotonic()
        if started < self._next:
            return False
        work()
        ended = time.monotonic()
        self._next = ended + (ended - started) / self._share
        return True


class Samples(keras.callbacks.Callback):
    """Draws input, truth, prediction and error of `count` items from all over the data, as `folder`/ID.png.

    After each epoch, or every few so that drawing takes no more than half a percent of the time.
    """

    def __init__(self, data: Dataset, folder: str | Path, count: int = 4) -> None:
        super().__init__()
        self.data, self.folder, self.count = data, Path(folder), count
        self._pace = Pace()

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._predictor = predictor(model)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._pace(lambda: write_samples(self._predictor, self.data, self.folder, self.count))


class MetricsLog(keras.callbacks.Callback):
    """One row per epoch in metrics.csv and metrics.jsonl, drawn as curves.png now and then and at the end."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.rows: list[dict[str, float]] = []
        self._step, self._seconds, self._start = 0, 0.0, time.monotonic()
        self._pace, self._drawn = Pace(), True

    @property
    def seconds(self) -> float:
        """Spent in training, before a break too."""
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
        self._drawn = self._pace(lambda: draw_curves(self.rows, self.folder / "curves.png"))

    def on_train_end(self, logs: dict | None = None) -> None:
        if not self._drawn:
            draw_curves(self.rows, self.folder / "curves.png")
            self._drawn = True

    def state(self) -> dict[str, Any]:
        return {"rows": self.rows, "step": self._step, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.rows, self._step, self._seconds = list(state["rows"]), state["step"], state["seconds"]
        if self.rows:
            self._write()  # the files may hold rows of steps that are to come again

    def _write(self) -> None:
        table = io.StringIO()
        columns = list(dict.fromkeys(key for row in self.rows for key in row))  # a plain fit may validate now and then
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.folder / "metrics.csv", table.getvalue())
        write_text(self.folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in self.rows))


class Progress(keras.callbacks.Callback):
    """A bar on a terminal, a line per epoch elsewhere; on standard error."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self._score, self._step = "", 0

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "score": self._score}

    def restore(self, state: dict[str, Any]) -> None:
        self._step, self._score = state["step"], state["score"]

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._start, self._begun = time.monotonic(), self._step
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar = click.progressbar(
                length=self.steps, label="training", file=sys.stderr, show_pos=True, item_show_func=lambda text: text
            )
            self._bar.__enter__()
            self._bar.update(self._step)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._step += 1
        if self._bar:
            self._bar.update(1, f"loss {float((logs or {})['loss']):.3f}{self._score}")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        self._score = "".join(
            f"  {key.removeprefix('val_')} {value:.3f}" for key, value in logs.items() if key.startswith("val_")
        )
        if not self._bar:
            left = (time.monotonic() - self._start) / (self._step - self._begun) * (self.steps - self._step)
            click.echo(
                f"step {self._step}/{self.steps}  loss {float(logs['loss']):.3f}{self._score}  {left:.0f} s left",
                err=True,
            )

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._bar:
            self._bar.__exit__(None, None, None)


def save_network(model: keras.Model, path: str | Path) -> None:
    """Saves `model` as a `.keras` file, whole or not at all."""
    with aside(path) as place:
        model.save(place)


def write_samples(model: keras.Model | Predictor, data: Dataset, folder: Path, count: int = 4) -> None:
    """Draws input, truth, prediction and error of `count` items from all over `data` as `folder`/ID.png.

    Of several streams the first is drawn, of several heads the first too.
    """
    call = predictor(model)
    for index in np.unique(np.linspace(0, len(data) - 1, count).round().astype(int)).tolist():
        item = data[index]
        prediction = next(iter(by_name(predict(call, call.image_of(item.image, item.id))).values()))
        label = next(iter(item.labels.values()))
        wrong = (prediction != label) & (label != data.ignore_class)
        truth: np.ndarray = np.where(label == data.ignore_class, 0, label)
        shown: np.ndarray = prediction
        if item.instances is not None:
            truth, shown = item.instances, components(prediction == 1)
        write_image(folder / f"{item.id}.png", strip(next(iter(item.images.values())), truth, shown, wrong))
