"""The scores of a network on a split, by one confusion matrix over all of it and any of kseg.metrics.MEASURES."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import keras
import numpy as np

from kseg.datasets import Dataset, Item, by_name
from kseg.datasets.agreement import difference_of_classes, some_names
from kseg.errors import ConfigError, DataError, Setting
from kseg.inference.prediction import predict_scores
from kseg.inference.predictor import Predictor, predictor
from kseg.layers import Average, ScoreReading
from kseg.metrics import OBJECT_COUNTS, Measure, Seen, measure
from kseg.overlap import ahead, behind
from kseg.reports.report import ALWAYS, OF_OBJECTS, USUAL, Report


def evaluate(
    model: keras.Model | Predictor | Sequence[Predictor],
    data: Dataset,
    *,
    tile: int | None = None,
    average: Average | None = None,
    precision: str = "float32",
    measures: Sequence[str | Measure] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """The scores of `model` on `data`.

    While the network computes, a thread reads the next image and another one scores the last, so few images are in
    memory.

    Args:
      model: a network or a predictor; or, as in a cross-validation, a predictor for each item, all with
        the same readings.
      data: the split to score.
      tile, average, precision: as in `predict`.
      measures: the measures beside mean IU and pixel accuracy, as names or objects; None for `usual_measures`.
      progress: called after each image with the number of images done and of all images.

    Raises:
      ConfigError: a measure is unknown, or the data can't be scored by it.
      DataError: the network has other classes or channels than the data, or there are no images.
    """
    data.check_settled()
    if not len(data):
        raise DataError(f"{data!r}: there is no image to score.")
    if isinstance(measures, str | Measure):
        measures = [measures]
    chosen = usual_measures(data) if measures is None else measures_for(data, [*ALWAYS, *measures])
    calls = predictors(model, data, precision=precision)
    call = calls[0]
    _check_heads(call, data)
    matrices = {head: np.zeros((len(names), len(names)), np.int64) for head, names in data.heads.items()}
    first = next(iter(matrices))
    scored = (by_name(data.scored_classes) if data.scored_classes else {}).get(first)
    totals: dict[str, np.ndarray] = {}
    counts, images = np.zeros(len(OBJECT_COUNTS), np.int64), list[dict[str, object]]()

    def predicted() -> Iterator[tuple[Item, Mapping[str, np.ndarray]]]:
        with closing(ahead(data[index] for index in range(len(data)))) as items:
            for item, its_call in zip(items, calls, strict=True):
                image = its_call.image_of(item.image, item.id)
                yield item, by_name(predict_scores(its_call, image, tile=tile, average=average))

    def scored_by(found: tuple[Item, Mapping[str, np.ndarray]]) -> tuple[str, list[np.ndarray]]:
        item, scores = found
        parts = {
            head: _seen(item.labels[head], scores[head], names, data.ignore_class, call.readings[head])
            for head, names in data.heads.items()
        }
        others = {head: part for head, part in parts.items() if head != first}
        seen = replace(parts[first], instances=item.instances, scored_classes=scored, others=others)
        for head, part in {first: seen, **others}.items():
            matrices[head] += part.confusion
        if seen.instances is not None:
            counts[:] += seen.comparison.counts
        return item.id, [np.asarray(each.sums(seen)) for each in chosen]

    with closing(behind(scored_by, predicted())) as results:
        for name, sums in results:
            row: dict[str, object] = {"id": name}
            for each, added in zip(chosen, sums, strict=True):
                totals[each.name] = totals[each.name] + added if each.name in totals else added
                row[each.name] = float(each.of_sums(added))
            images.append(row)
            if progress:
                progress(len(images), len(data))
    return Report(
        data.name,
        data.split,
        data.heads[first],
        matrices.pop(first),
        tuple(images),
        tuple(each.score(totals[each.name]) for each in chosen),
        average or call.average,
        call.precision,
        None if scored is None else tuple(scored),
        matrices,
        {head: data.heads[head] for head in matrices},
        call.readings[first].threshold,
        call.readings[first].rules,
        dict(zip(OBJECT_COUNTS, counts.tolist(), strict=True)) if data.has_instances else {},
    )


def predictors(
    model: keras.Model | Predictor | Sequence[Predictor], data: Dataset, *, precision: str = "float32"
) -> Sequence[Predictor]:
    """The predictor of each item of `data`; `model` is as in `evaluate`."""
    return model if isinstance(model, Sequence) else [predictor(model, precision=precision)] * len(data)


def _seen(label: np.ndarray, scores: np.ndarray, classes: Sequence[str], void: int, reading: ScoreReading) -> Seen:
    return Seen(label, scores, classes, void, margin=reading.margin, rules=reading.rules)


def usual_measures(data: Dataset) -> list[Measure]:
    """The measures of `data` by default: also those of objects where they are numbered."""
    return measures_for(data, [*USUAL, *(OF_OBJECTS if data.has_instances else []), *data.em_measures])


def measures_for(data: Dataset, measures: Sequence[str | Measure]) -> list[Measure]:
    """The measures, given as names or objects, without repetition.

    Raises:
      ConfigError: a measure is unknown, or `data` can't be scored by it.
    """
    found = list({each.name: each for each in map(measure, measures)}.values())
    for each in found:
        if lacks := each.lacks(data):
            raise ConfigError(
                f"measure is {each.name}, but {data.name} has {lacks}.",
                *("Choose another: ", Setting("measure", "mean_iu"), "."),
            )
    return found


def _check_heads(call: Predictor, data: Dataset) -> None:
    """Raises DataError unless the network has the heads and classes of the data."""
    for head, names in data.heads.items():
        count = call.heads.get(head)
        if count is None:
            theirs = ", ".join(filter(None, call.heads)) or "one label per pixel"
            raise DataError(
                f"The network gives {theirs}, but {data.name} has {head or 'one label per pixel'}.",
                "Score it on the kind of data that it was trained for.",
            )
        own = call.readings[head].names(count)
        if difference := difference_of_classes(own, names):
            raise DataError(
                f"The network has the classes {some_names(own)}, but {data.name} has {some_names(names)}: "
                f"{difference}.",
                "Take the data that it was trained for. Or give the classes of these data the network's names, in the "
                "network's order (classes.txt).",
            )
