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
    if work.has_objects:
        return _of_objects(work, parts.test, found)
    classes = len(work.classes)
    matrix = np.zeros((classes, classes), np.int64)
    for case in parts.test:
        matrix += confusion_matrix(case.label, found[case.name].classes, classes, work.ignore_class)
    by_class = {name: round(float(one), 4) for name, one in zip(work.classes, class_iu(matrix), strict=True)}
    return {"mean_iu": mean_iu(matrix), "by_class": by_class}


def _of_objects(work: Work, cases: Sequence[Case], found: Mapping[str, Found]) -> dict[str, Any]:
    """The scores of objects: as the system itself finds them, or grown with and without the small ones."""
    own = [one for case in cases if (one := found[case.name].objects) is not None]
    if len(own) == len(cases):
        return _compared(work, cases, own)
    classes = [found[case.name].classes for case in cases]
    plain, large = (
        _compared(work, cases, [grown_objects(one, least) for one in classes]) for least in (0, FEWEST_PIXELS)
    )
    best = max(plain, large, key=lambda each: each["f1"])
    return {**best, "f1_plain": plain["f1"], "f1_without_small": large["f1"]}


def _compared(work: Work, cases: Sequence[Case], guesses: Sequence[np.ndarray]) -> dict[str, float]:
    guesses, labels = ([_in_field(one, work.margin) for one in ones] for ones in (guesses, [c.label for c in cases]))
    counts = np.array([compare_objects(guess, label).counts for guess, label in zip(guesses, labels, strict=True)])
    true, guessed = counts[:, 0], counts[:, 1]
    field = _field(work.margin)
    matrix = np.zeros((2, 2), np.int64)
    for guess, label in zip(guesses, labels, strict=True):
        matrix += confusion_matrix(label[field] != 0, guess[field] != 0, 2)
    return {
        "f1": f1(counts.sum(axis=0)),
        "seg": seg(guesses, labels),
        "foreground_iu": float(class_iu(matrix)[1]),
        "count_error": float(np.abs(guessed - true).sum() / true.sum()),
    }


def _field(margin: int) -> tuple[slice, slice]:
    return (slice(margin, -margin or None),) * 2


def _in_field(objects: np.ndarray, margin: int) -> np.ndarray:
    """The objects of which a pixel lies in the field of interest."""
    inside = np.unique(objects[_field(margin)])
    return np.where(np.isin(objects, inside), objects, 0)


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
