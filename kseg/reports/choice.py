"""Chooses, on images with known objects, what counts as an object and above which probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any, NamedTuple

import keras
import numpy as np

from kseg.datasets import Dataset, by_name
from kseg.inference.prediction import class_ids, predict_scores
from kseg.inference.predictor import Predictor
from kseg.instances import ObjectRules, number
from kseg.layers import Average, ScoreReading
from kseg.metrics import Comparison, Measure, compare_objects
from kseg.reports.evaluate import evaluate, predictors
from kseg.reports.report import OF_OBJECTS

THRESHOLDS = (0.5, 0.4, 0.6, 0.3, 0.7)  # the first wins a tie
SIZES = (0, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # pixels
MOST_PIXELS = 6_000_000  # of val are used, which takes about a minute on one core


class _Found(NamedTuple):
    """The objects of all images under one rule, before small ones are left out.

    Attributes:
      areas: (F,) pixels of each predicted object.
      matched: (F,) bool, whether it matches a true object.
      scores: (T,) the SEG score of each true object.
      by: (T,) the pixels of the predicted object that gives this score; 0 where there is none.
    """

    areas: np.ndarray
    matched: np.ndarray
    scores: np.ndarray
    by: np.ndarray

    def score(self, min_size: int) -> float:
        """The mean of F1 at IoU 0.5 and SEG."""
        stays, true = self.areas >= min_size, len(self.scores)
        f1 = 2 * (self.matched & stays).sum() / (true + stays.sum())
        return float(f1 + self.scores[self.by >= min_size].sum() / true) / 2


def choose_readings(
    best: keras.Model | Sequence[Predictor], val: Dataset, measure: Measure
) -> dict[str, ScoreReading] | None:
    """How the scores of the best network are read best on `val`, by head; None where nothing is to be chosen.

    In a cross-validation `best` has a predictor for each item, as in `evaluate`.

    The threshold is the best one for the measure that chose the network, if this has one. Where that measure counts
    objects, threshold and objects are chosen together; else the mask stays as it was scored.
    """
    found: dict[str, Any] = {"threshold": evaluate(best, val, measures=[measure]).thresholds.get(measure.name)}
    if val.has_instances:
        thresholds = THRESHOLDS if measure.name in OF_OBJECTS else [found["threshold"]]
        if chosen := choose_objects(best, val, thresholds=thresholds):
            found |= {"threshold": chosen[0], **asdict(chosen[1])}
    if found == {"threshold": None}:
        return None
    readings = predictors(best, val)[0].readings
    first = next(iter(val.heads))  # the head that was scored
    return {**readings, first: replace(readings[first], **found)}


def choose_objects(
    model: keras.Model | Predictor | Sequence[Predictor],
    data: Dataset,
    *,
    average: Average | None = None,
    thresholds: Sequence[float | None] = THRESHOLDS,
) -> tuple[float | None, ObjectRules] | None:
    """The threshold and the rules that find the objects of `data` best.

    They are scored by the mean of F1 at IoU 0.5, which punishes false objects, and SEG, which measures outlines. Of
    equal scores it prefers a threshold of 0.5, rules that change nothing, and a smallest size of at most half the
    smallest true object. No smallest size is above a quarter of the median true object.

    Args:
      model: a network whose class 1 is the objects, or others as in `evaluate`.
      data: a data set with numbered objects. It uses 6 million pixels at most: images from all over a large set, and
        the middle of a large image.
      average: as in `predict`.
      thresholds: probabilities of class 1 to choose from; None for the largest score, which always decides among more
        than two classes.

    Returns:
      The threshold and the rules; None where `data` has no true object.
    """
    calls = predictors(model, data)
    head = next(iter(data.heads))
    cuts = thresholds if len(data.heads[head]) == 2 else [None]
    choices = list(product(cuts, (False, True), (False, True)))
    found: dict[tuple, list[Comparison]] = {choice: [] for choice in choices}
    for index in _looked_at(data):
        item = data[index]
        assert item.instances is not None
        seen = _middle(item.instances.shape)
        images = {stream: image[seen] for stream, image in item.images.items()}
        call = calls[index]
        image = call.image_of(images.get("", images), item.id)
        scores = by_name(predict_scores(call, image, average=average))[head]
        void = item.labels[head][seen] == data.ignore_class
        for threshold, fill_holes, separate in choices:
            mask = class_ids(scores, ScoreReading(threshold=threshold))
            objects = number(mask == 1, ObjectRules(0, fill_holes, separate))
            found[threshold, fill_holes, separate].append(compare_objects(objects, item.instances[seen], void))
    true_areas = np.concatenate([each.true_areas for each in found[choices[0]]])
    if not len(true_areas):
        return None
    # Nothing below half the smallest true object can match. A larger size must score better to be chosen.
    smallest = true_areas.min()
    sizes = [size for size in SIZES if 4 * size <= np.median(true_areas)]
    sizes.sort(key=lambda size: (2 * size > smallest, abs(2 * size - smallest)))
    scored = {choice: _together(images) for choice, images in found.items()}
    best = max(product(choices, sizes), key=lambda one: round(scored[one[0]].score(one[1]), 6))
    (threshold, fill_holes, separate), min_size = best
    return threshold, ObjectRules(min_size, fill_holes, separate)


def _middle(size: tuple[int, ...]) -> tuple[slice, slice]:
    """The middle of an image, at most `MOST_PIXELS`; all of a smaller image."""
    share = min(1.0, math.sqrt(MOST_PIXELS / math.prod(size)))
    starts = [int(length * (1 - share) / 2) for length in size]
    rows, columns = (
        slice(start, start + math.ceil(length * share)) for start, length in zip(starts, size, strict=True)
    )
    return rows, columns


def _looked_at(data: Dataset) -> list[int]:
    """Indices evenly spaced over `data`, for `MOST_PIXELS` in all if every image is as large as the first."""
    height, width = next(iter(data[0].labels.values())).shape
    count = min(len(data), max(1, MOST_PIXELS // (height * width)))
    return np.unique(np.linspace(0, len(data) - 1, count).round().astype(int)).tolist()


def _together(images: Sequence[Comparison]) -> _Found:
    """The objects of all images together."""
    parts = []
    for each in images:
        scores, by = np.zeros(len(each.true_ids)), np.zeros(len(each.true_ids), np.int64)
        covers = 2 * each.common > each.true_areas[each.true_index]
        scores[each.true_index[covers]] = each.iu[covers]
        by[each.true_index[covers]] = each.found_areas[each.found_index[covers]]
        parts.append((each.found_areas, each.found_matched, scores, by))
    return _Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))
