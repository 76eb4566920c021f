"""The network's scores after each epoch, and the network with the best score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from kseg.datasets import Dataset
from kseg.inference.in_training import SharedPredictor, save_network
from kseg.metrics import Measure, Seen, is_higher_better
from kseg.metrics import measure as measure_of
from kseg.objectives import BatchLoss
from kseg.reports import Report, evaluate, measures_for

LOGGED = ("mean_iu", "pixel_accuracy", "mean_accuracy")
OF_OBJECTS = ("seg", "object_f1")


class ValidationLoss(Measure):
    """The loss of whole images, without the weight maps and class weights of a training."""

    name, higher = "loss", False

    def __init__(self, loss: BatchLoss) -> None:
        self._loss = loss

    def sums(self, seen: Seen) -> np.ndarray:
        """(heads, sums) of objects: the loss's sums of each head, float64."""
        heads = [seen, *seen.others.values()]
        sums = [self._loss.sums(each.label[None], each.scores[None]) for each in heads]
        total = np.empty((len(sums), len(sums[0])), object)
        for head, number in np.ndindex(*total.shape):
            total[head, number] = np.asarray(sums[head][number], np.float64)
        return total

    def of_sums(self, total: np.ndarray) -> float:
        return sum(float(self._loss.of_sums(list(sums))) for sums in total)


class Validate(keras.callbacks.Callback):
    """Adds the network's scores on `data` to `logs` after each epoch.

    They are `val_mean_iu`, `val_pixel_accuracy` and `val_mean_accuracy`, all from one confusion matrix of all images;
    `val_seg` and `val_object_f1` if objects are numbered; and `val_` plus the name of each of `measures`. `val_loss` is
    added if the network is compiled with a kseg.objectives.BatchLoss. It is the loss of whole images without weight
    maps, so it may differ from the training's. Other losses may not take labels (N, H, W), so there is no `val_loss`.

    Attributes:
      report: the report of the latest epoch; None before the first.
    """

    def __init__(
        self, data: Dataset, measures: Sequence[str | Measure] = (), *, shared: SharedPredictor | None = None
    ) -> None:
        """Chooses the data and the measures.

        Args:
          data: the split.
          measures: names or objects.
          shared: the predictor, if other callbacks use it too.

        Raises:
          ConfigError: there is no measure of a name, or the data can't be scored by it.
        """
        super().__init__()
        self.data = data
        self.measures = measures_for(data, [*LOGGED, *(OF_OBJECTS if data.has_instances else []), *measures])
        self.report: Report | None = None
        self._shared = shared or SharedPredictor()

    @property
    def confusions(self) -> dict[str, np.ndarray]:
        """The confusion matrices of the latest epoch, (K, K), rows truth, by head; empty before the first."""
        if self.report is None:
            return {}
        return {next(iter(self.data.heads)): self.report.confusion, **self.report.others}

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss = getattr(self.model, "loss", None)
        losses = [ValidationLoss(loss)] if isinstance(loss, BatchLoss) else []
        call, measures = self._shared(self.model), [*self.measures, *losses]
        self.report = evaluate(call, self.data, average="none", measures=measures)
        if logs is not None:
            logs.update({f"val_{each.measure.name}": each.value for each in self.report.scores})


class KeepBest(keras.callbacks.Callback):
    """Saves the network to `path` whenever its score is the best so far.

    As long as all scores were NaN, the latest network is kept. An epoch without the score is ignored; a plain fit may
    not validate after every epoch.
    """

    def __init__(
        self,
        path: str | Path,
        measure: str | Measure = "mean_iu",
        *,
        monitor: str | None = None,
        mode: Literal["max", "min"] | None = None,
    ) -> None:
        """Chooses the score.

        Args:
          path: the `.keras` file.
          measure: one of the measures of `Validate`, its name or the object.
          monitor: another figure in `logs` instead, as "val_loss".
          mode: whether a higher ("max") or a lower figure ("min") is better. None: as the measure says; for a figure
            that is no measure's, "min" if its name ends with loss, else "max".
        """
        super().__init__()
        if monitor is None:
            chosen = measure_of(measure)
            monitor, higher = f"val_{chosen.name}", chosen.higher
        else:
            higher = is_higher_better(monitor.removeprefix("val_"))
        self.path, self.monitor = Path(path), monitor
        self._sign = (1 if higher else -1) if mode is None else {"max": 1, "min": -1}[mode]
        self.best = self._none = -self._sign * math.inf

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        score = (logs or {}).get(self.monitor)
        if score is None:
            return
        if self._sign * score > self._sign * self.best or self.best == self._none or not self.path.exists():
            self.best = self._none if math.isnan(score) else score
            save_network(self.model, self.path)

    def state(self) -> dict[str, Any]:
        return {"best": self.best}

    def restore(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
