"""The scores of a network on a split: one confusion matrix over all of it, and SEG where objects are numbered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import keras
import numpy as np

from kseg import pages
from kseg.datasets import Dataset, by_name
from kseg.errors import DataError
from kseg.inference.predictor import Predictor, predictor
from kseg.inference.tiles import class_ids, predict_scores, probabilities
from kseg.instances import components
from kseg.layers import AVERAGES, Average
from kseg.metrics import (
    class_iu,
    confusion_matrix,
    frequency_weighted_iu,
    mean_accuracy,
    mean_iu,
    mean_score,
    object_scores,
    pixel_accuracy,
)
from kseg.pages import in_figures, in_share

if TYPE_CHECKING:
    from kseg.metrics.em import Best


MOST_SHOWN, WORST_SHOWN = 20, 5  # images in the printed table


@dataclass(frozen=True)
class Report:
    """Scores with the protocol they were taken by; prints itself, and draws itself in a notebook.

    Attributes:
      dataset, split: what was scored.
      classes: the classes' names.
      confusion: (K, K) int64, rows truth.
      images: one entry per image: `id`, `mean_iu`, `pixel_accuracy`, and `seg` where objects are numbered.
      seg: over all objects of all images; None where objects are not numbered.
      average: over which versions of each image its scores were averaged.
      em: the ISBI 2012 challenge's measures, each with the threshold it was reached at.
      scored_classes: the ids the means go over; None for all. Either way those without true pixels are left out.
      others: of a network with several heads the confusion matrices of all but the first, by head.
    """

    dataset: str
    split: str
    classes: tuple[str, ...]
    confusion: np.ndarray
    images: tuple[dict, ...]
    seg: float | None = None
    em: Mapping[str, Best] = field(default_factory=dict)
    average: Average = "none"
    precision: str = "float32"
    scored_classes: tuple[int, ...] | None = None
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def mean_iu(self) -> float:
        return mean_iu(self.confusion, self.scored_classes)

    @property
    def per_class(self) -> dict[str, float]:
        """Each class's IU; NaN for a class without true pixels, which the mean leaves out."""
        return dict(zip(self.classes, class_iu(self.confusion).tolist(), strict=True))

    @property
    def measures(self) -> dict[str, float]:
        matrix = self.confusion
        found = {
            "pixel_accuracy": pixel_accuracy(matrix),
            "mean_accuracy": mean_accuracy(matrix, self.scored_classes),
            "frequency_weighted_iu": frequency_weighted_iu(matrix),
        }
        if self.seg is not None:
            found["seg"] = self.seg
        for head, other in self.others.items():
            found |= {f"{head}_pixel_accuracy": pixel_accuracy(other), f"{head}_mean_iu": mean_iu(other)}
        return {**found, **{name: best.value for name, best in self.em.items()}}

    @property
    def protocol(self) -> str:
        """How the figures were taken, in a sentence or two."""
        absent = [name for name, value in self.per_class.items() if math.isnan(value)]
        text = (
            f"{len(self.images)} images of {self.dataset}, split {self.split}; one confusion matrix over all pixels "
            "that are not void; means over the classes with true pixels"
        )
        text += f" (left out: {', '.join(absent)})." if absent else "."
        if self.scored_classes is not None:
            unscored = [name for number, name in enumerate(self.classes) if number not in self.scored_classes]
            text += f" The set's protocol leaves {', '.join(unscored)} out of the means."
        if self.seg is not None:
            text += (
                " SEG as the Cell Tracking Challenge defines it, from the 4-connected components "
                "of the predicted foreground."
            )
        if self.em:
            reached = ", ".join(f"{name} {best.threshold:.1f}" for name, best in self.em.items())
            text += f" ISBI 2012's measures as the challenge computes them, each at its best threshold: {reached}."
        return f"{text} Scores: {AVERAGES[self.average]}, {self.precision}."

    def to_json(self) -> dict:
        """The same as a dictionary for JSON; a score that does not exist is None."""
        return {
            "mean_iu": _number(self.mean_iu),
            "per_class": {name: _number(value) for name, value in self.per_class.items()},
            "measures": {name: _number(value) for name, value in self.measures.items()},
            "thresholds": {name: best.threshold for name, best in self.em.items()},
            "dataset": self.dataset,
            "split": self.split,
            "precision": self.precision,
            "average": self.average,
            "protocol": self.protocol,
            "confusion": self.confusion.tolist(),
            "per_image": [{key: _number(value) for key, value in image.items()} for image in self.images],
        }

    def __str__(self) -> str:
        lines = [f"{self.dataset} {self.split}: mean IU {self.mean_iu:.3f}", ""]
        lines += _table([("class", "IU"), *((name, in_share(value)) for name, value in self.per_class.items())])
        lines += ["", *_table([("measure", ""), *((name, in_figures(value)) for name, value in self.measures.items())])]
        columns = [key for key in self.images[0] if key != "id"]
        shown = self.images
        if len(shown) > MOST_SHOWN:
            shown = tuple(sorted(shown, key=lambda image: image["mean_iu"])[:WORST_SHOWN])
        title = "image" if shown is self.images else f"worst of {len(self.images)} images"
        rows = [(title, *columns), *((image["id"], *(in_figures(image[key]) for key in columns)) for image in shown)]
        return "\n".join([*lines, "", *_table(rows), "", self.protocol])

    def _repr_html_(self) -> str:
        figures = [(name, value) for name, value in {"mean IU": self.mean_iu, **self.measures}.items()]
        parts = [pages.bars(("class", "IU"), self.per_class), pages.table(("measure", ""), figures)]
        return "\n".join([*parts, f"<p>{escape(self.protocol)}</p>"])


def evaluate(
    model: keras.Model | Predictor,
    data: Dataset,
    *,
    tile: int | None = None,
    average: Average | None = None,
    precision: str = "float32",
    em_measures: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """The scores of `model` on `data`.

    Args:
      model: a network or a predictor.
      data: the split to score.
      tile, average, precision: as in `predict`.
      em_measures: which of the ISBI 2012 challenge's measures; None for those the data set is scored by.
      progress: called with the images done and all of them, after each.

    Raises:
      DataError: the network has other classes or channels than the data.
    """
    call = predictor(model, precision=precision)
    _check_heads(call, data)
    counts = {head: len(names) for head, names in data.heads.items()}
    matrices = {head: np.zeros((count, count), np.int64) for head, count in counts.items()}
    first = next(iter(matrices))
    scored = (by_name(data.scored_classes) if data.scored_classes else {}).get(first)
    images, objects = [], []
    cells: list[tuple[np.ndarray, np.ndarray]] = []
    em_measures = data.em_measures if em_measures is None else em_measures
    for index in range(len(data)):
        item = data[index]
        scores = by_name(predict_scores(call, call.image_of(item.image, item.id), tile=tile, average=average))
        found = {head: class_ids(part, call.readings[head]) for head, part in scores.items()}
        each = {
            head: confusion_matrix(item.labels[head], found[head], count, data.ignore_class)
            for head, count in counts.items()
        }
        for head, matrix in each.items():
            matrices[head] += matrix
        matrix = each[first]
        row = {"id": item.id, "mean_iu": mean_iu(matrix, scored), "pixel_accuracy": pixel_accuracy(matrix)}
        if item.instances is not None:
            objects.append(object_scores(components(found[first] == 1), item.instances))
            row["seg"] = mean_score(objects[-1:])
        if em_measures:
            cells.append((probabilities(scores[first])[..., 1], item.labels[first]))
        images.append(row)
        if progress:
            progress(index + 1, len(data))
    em: Mapping[str, Best] = {}
    if em_measures:
        from kseg.metrics import em_scores  # brings numba, which takes a second

        em = em_scores(*map(np.stack, zip(*cells, strict=True)), em_measures)
    return Report(
        data.name,
        data.split,
        data.heads[first],
        matrices.pop(first),
        tuple(images),
        mean_score(objects) if data.has_instances else None,
        em,
        average or call.average,
        call.precision,
        None if scored is None else tuple(scored),
        matrices,
    )


def _check_heads(call: Predictor, data: Dataset) -> None:
    """Raises DataError unless the network has the heads and classes of the data."""
    for head, names in data.heads.items():
        count = call.heads.get(head)
        if count is None:
            theirs = ", ".join(filter(None, call.heads)) or "one label per pixel"
            raise DataError(f"The network answers with {theirs}, {data.name} has {head or 'one label per pixel'}.")
        if count != len(names):
            raise DataError(
                f"The network has {count} classes, {data.name} has {len(names)} ({', '.join(names)}). "
                "Take the data it was trained for, or train one for these."
            )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def _number(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value
