"""The network's scores after each epoch, and the network that had the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.datasets import Dataset
from kseg.inference import Predictor, Report, evaluate, predictor
from kseg.storage import aside


class SharedPredictor:
    """`predictor(model)`, made and traced once for all callbacks that hold this."""

    def __init__(self) -> None:
        self._model: keras.Model | None = None

    def __call__(self, model: keras.Model) -> Predictor:
        if self._model is not model:
            self._model, self._predictor = model, predictor(model)
        return self._predictor


class Validate(keras.callbacks.Callback):
    """Adds `val_mean_iu` after each epoch, from one confusion matrix over all of `data`.

    Where objects are numbered `val_seg` comes with it, and of the ISBI 2012 challenge's measures those named.

    Attributes:
      report: of the latest epoch; None before the first.
    """

    def __init__(
        self, data: Dataset, em_measures: Sequence[str] = (), *, shared: SharedPredictor | None = None
    ) -> None:
        super().__init__()
        self.data, self.em_measures = data, em_measures
        self.report: Report | None = None
        self._shared = shared or SharedPredictor()

    @property
    def confusions(self) -> dict[str, np.ndarray]:
        """The confusion matrices of the latest epoch, (K, K), rows truth, by head; none before the first."""
        if self.report is None:
            return {}
        return {next(iter(self.data.heads)): self.report.confusion, **self.report.others}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.report = evaluate(self._shared(self.model), self.data, em_measures=self.em_measures)
        if logs is not None:
            measures = self.report.measures
            kept = {name: value for name, value in measures.items() if name in ("seg", *self.em_measures)}
            logs.update({f"val_{name}": value for name, value in {"mean_iu": self.report.mean_iu, **kept}.items()})


class KeepBest(keras.callbacks.Callback):
    """Saves the network to `path` whenever `monitor` is higher than ever before.

    While it was NaN only, the latest network is kept. An epoch without `monitor`, as one that a plain fit does not
    validate after, is passed over.
    """

    def __init__(self, path: str | Path, monitor: str = "val_mean_iu") -> None:
        super().__init__()
        self.path, self.monitor, self.best = Path(path), monitor, -math.inf

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        score = (logs or {}).get(self.monitor)
        if score is None:
            return
        if score > self.best or self.best == -math.inf or not self.path.exists():
            self.best = -math.inf if math.isnan(score) else score
            save_network(self.model, self.path)

    def state(self) -> dict[str, Any]:
        return {"best": self.best}

    def restore(self, state: dict[str, Any]) -> None:
        self.best = state["best"]


def save_network(model: keras.Model, path: str | Path) -> None:
    """Saves `model` as a `.keras` file, whole or not at all; without its optimiser, which a checkpoint holds.

    The optimiser would be half or two thirds of the file, and a third of the time.
    """
    is_functional = getattr(model, "inputs", None) and not isinstance(model, keras.Sequential)
    bare = keras.Model(model.input, model.output, name=model.name) if is_functional else model
    with aside(path) as place:
        bare.save(place)
