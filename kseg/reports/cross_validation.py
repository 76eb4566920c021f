"""The scores of a cross-validation: each image is scored by the network that has not seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import keras

from kseg.datasets.folds import Pool
from kseg.inference.predictor import Predictor, predictor
from kseg.layers import ScoreReading, with_reading
from kseg.metrics import Measure
from kseg.reports.choice import choose_readings
from kseg.reports.evaluate import evaluate, measures_for, usual_measures
from kseg.reports.report import Report

CROSS_VALIDATED = "cross-validated"  # the split of its report


@dataclass(frozen=True)
class CrossValidation:
    """The networks of all folds, with one reading, and the images that each has not seen.

    Attributes:
      networks: one for each fold.
      data: the images of all folds.
      folds: the items of `data` in each fold.
    """

    networks: Sequence[keras.Model]
    data: Pool
    folds: Sequence[Sequence[int]]

    def calls(self) -> list[Predictor]:
        """For each item of `data` the predictor of the network that has not seen it."""
        by_item = {
            index: predictor(network) for network, fold in zip(self.networks, self.folds, strict=True) for index in fold
        }
        return [by_item[index] for index in range(len(self.data))]

    def choose(self, readings: Mapping[str, ScoreReading], measure: Measure) -> Mapping[str, ScoreReading]:
        """Gives all networks one reading, by head: what finds the objects of all images best, as in a single training.

        Args:
          readings: what is not chosen.
          measure: by which the networks were chosen.
        """
        self._read(readings)
        chosen = choose_readings(self.calls(), self.data, measure) or readings
        self._read(chosen)
        return chosen

    def report(self, measure: Measure) -> Report:
        """The scores of all images together, and those of each fold."""
        measures = measures_for(self.data, [*usual_measures(self.data), measure])
        calls = self.calls()
        parts = []
        for number, fold in enumerate(self.folds, start=1):
            report = evaluate([calls[index] for index in fold], self.data.only(fold), measures=measures)
            parts.append(replace(report, split=f"fold {number}"))
        return replace(evaluate(calls, self.data, measures=measures), split=CROSS_VALIDATED, folds=tuple(parts))

    def _read(self, readings: Mapping[str, ScoreReading]) -> None:
        for network in self.networks:
            with_reading(network, readings)
