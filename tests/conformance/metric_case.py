"""One entry or more per registered measure: what it gives on several images, by the package's functions of arrays."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kseg import metrics
from kseg.metrics import Seen


class MetricCase(NamedTuple):
    """What to expect.

    Attributes:
      name: of the measure.
      of_all: its figure for several images, worked out without the measure.
      is_nan_without: whether there is no score where nothing is labelled; the ISBI 2012 challenge has one even there.
    """

    name: str
    of_all: Callable[[Sequence[Seen]], float]
    is_nan_without: bool = True


def of_matrix(function: Callable, *, averaged: bool = False) -> Callable[[Sequence[Seen]], float]:
    def of_all(seen: Sequence[Seen]) -> float:
        matrix = sum(each.confusion for each in seen)
        return function(matrix, seen[0].scored_classes) if averaged else function(matrix)

    return of_all


def of_slices(name: str) -> MetricCase:
    def of_all(seen: Sequence[Seen]) -> float:
        cells = np.stack([each.probabilities[..., 1] for each in seen])
        return getattr(metrics, name)(cells, np.stack([each.label for each in seen]))

    return MetricCase(name, of_all, is_nan_without=False)


def of_objects(name: str) -> MetricCase:
    def of_all(seen: Sequence[Seen]) -> float:
        counts = sum(metrics.compare_objects(each.objects, each.instances).counts for each in seen)
        true, found, matched = counts[:3]
        return {
            "object_precision": matched / found,
            "object_recall": matched / true,
            "object_f1": 2 * matched / (true + found),
        }[name]

    return MetricCase(name, of_all)


def count_error(seen: Sequence[Seen]) -> float:
    counts = [(len(np.unique(each.objects)), len(np.unique(each.instances))) for each in seen]
    return sum(abs(found - true) for found, true in counts) / sum(true - 1 for _, true in counts)


METRIC_CASES = [
    MetricCase("mean_iu", of_matrix(metrics.mean_iu, averaged=True)),
    MetricCase("pixel_accuracy", of_matrix(metrics.pixel_accuracy)),
    MetricCase("mean_accuracy", of_matrix(metrics.mean_accuracy, averaged=True)),
    MetricCase("frequency_weighted_iu", of_matrix(metrics.frequency_weighted_iu)),
    MetricCase("dice", of_matrix(metrics.dice, averaged=True)),
    MetricCase("dice.cell", of_matrix(lambda matrix: metrics.class_dice(matrix)[1])),
    MetricCase("iu.cell", of_matrix(lambda matrix: metrics.class_iu(matrix)[1])),
    MetricCase("iu.a.b", of_matrix(lambda matrix: metrics.class_iu(matrix)[0])),
    MetricCase("seg", lambda seen: metrics.seg([each.objects for each in seen], [each.instances for each in seen])),
    *map(of_objects, ("object_precision", "object_recall", "object_f1")),
    MetricCase("count_error", count_error),
    *map(of_slices, ("v_rand", "v_info", "rand_error", "warping_error", "pixel_error")),
]
