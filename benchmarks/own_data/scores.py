"""The scores of predictions, by kseg's measures, from arrays; the same for every system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.own_data.borders import grown_objects
from benchmarks.own_data.works import Case, Parts, Work
from kseg.metrics import class_iu, compare_objects, confusion_matrix, em_scores, mean_iu, seg
from kseg.metrics.em import THRESHOLDS
from kseg.metrics.objects import f1

FEWEST_PIXELS = 20  # a peer's smaller objects are left out where that makes its F1 better
EM = ("v_rand", "pixel_error")
HIGHER = {
    "f1": True,
    "seg": True,
    "foreground_iu": True,
    "count_error": False,
    "mean_iu": True,
    "v_rand": True,
    "pixel_error": False,
}
"""All scores, and whether higher is better."""


@dataclass(frozen=True)
class Found:
    """What a system found in one image.

    Attributes:
      classes: (H, W) integers; of a peer with objects 0 ground, 1 inside, 2 border.
      objects: (H, W) integers, 0 ground, one number per object; None where they are grown from the classes.
      probability: (H, W) of class 1, 0..1; None where no threshold is chosen.
    """

    classes: np.ndarray
    objects: np.ndarray | None = None
    probability: np.ndarray | None = None


def scores(work: Work, parts: Parts, found: Mapping[str, Found]) -> dict[str, Any]:
    """The scores of a system, by name, and what was chosen for it.

    Args:
      work: the work.
      parts: its images.
      found: by the images' names, for all of `test` and `choose`.
    """
    if parts.choose:
        return _of_threshold(parts, found)
    classes = len(work.classes)
    matrix = np.zeros((classes, classes), np.int64)
    for case in parts.test:
        guess = found[case.name].classes
        label = case.label
        if work.has_objects:
            label, guess = label != 0, guess != 0
        matrix += confusion_matrix(label, guess, classes, work.ignore_class)
    if not work.has_objects:
        each = class_iu(matrix)
        by_class = {name: round(float(one), 4) for name, one in zip(work.classes, each, strict=True)}
        return {"mean_iu": mean_iu(matrix), "by_class": by_class}
    return {**_of_objects(parts.test, found), "foreground_iu": float(class_iu(matrix)[1])}


def _of_objects(cases: Sequence[Case], found: Mapping[str, Found]) -> dict[str, Any]:
    """The scores of objects: as the system itself finds them, or grown with and without the small ones."""
    own = [one for case in cases if (one := found[case.name].objects) is not None]
    if len(own) == len(cases):
        return _compared(cases, own)
    classes = [found[case.name].classes for case in cases]
    plain, large = (_compared(cases, [grown_objects(one, least) for one in classes]) for least in (0, FEWEST_PIXELS))
    best = max(plain, large, key=lambda each: each["f1"])
    return {**best, "f1_plain": plain["f1"], "f1_without_small": large["f1"]}


def _compared(cases: Sequence[Case], guesses: Sequence[np.ndarray]) -> dict[str, float]:
    counts = np.array([compare_objects(guess, case.label).counts for guess, case in zip(guesses, cases, strict=True)])
    true, guessed = counts[:, 0], counts[:, 1]
    return {
        "f1": f1(counts.sum(axis=0)),
        "seg": seg(guesses, [case.label for case in cases]),
        "count_error": float(np.abs(guessed - true).sum() / true.sum()),
    }


def _of_threshold(parts: Parts, found: Mapping[str, Found]) -> dict[str, Any]:
    """The scores of a probability at the threshold that is best on `choose`, for each measure its own."""

    def curves(cases: Sequence[Case]) -> dict[str, Any]:
        guess = np.stack([np.asarray(found[case.name].probability) for case in cases])
        return em_scores(guess, np.stack([case.label for case in cases]), EM)

    chosen, tested = curves(parts.choose), curves(parts.test)
    result: dict[str, Any] = {}
    for name in EM:
        index = THRESHOLDS.index(chosen[name].threshold)
        result[name] = tested[name].curve[index]
        result[f"{name}_threshold"] = round(chosen[name].threshold, 1)
    return result
