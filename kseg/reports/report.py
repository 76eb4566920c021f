"""The report of `evaluate`: scores, with the protocol by which they were measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import numpy as np

from kseg import pages
from kseg.formats import in_figures, in_share
from kseg.instances import ObjectRules
from kseg.layers import AVERAGES, Average
from kseg.metrics import (
    OBJECT_COUNTS,
    Measure,
    Score,
    class_dice,
    class_iu,
    mean_iu,
    measure,
    pixel_accuracy,
    title_of,
)

MOST_SHOWN, WORST_SHOWN = 20, 5  # images in the printed table
ALWAYS = ("mean_iu", "pixel_accuracy")
USUAL = (*ALWAYS, "mean_accuracy", "frequency_weighted_iu", "dice")
OF_OBJECTS = ("seg", "object_f1", "object_precision", "object_recall", "count_error")


@dataclass(frozen=True)
class Report:
    """Scores with their protocol. It prints itself, and draws itself in a notebook.

    Attributes:
      dataset, split: what was scored.
      classes: the classes' names.
      confusion: (K, K) int64, rows truth.
      images: one entry per image: `id`, and its own score by the name of each measure.
      scores: the score of each measure.
      average: the versions of each image over which its scores were averaged.
      precision: what the network computed in.
      scored_classes: the ids of the classes in the means; None for all. Classes without true pixels never count.
      others: the confusion matrices of a network's other heads, by head.
      other_classes: the names of their classes.
      threshold: the probability above which a pixel is class 1; None where the largest score decides.
      rules: what counted as an object of the prediction.
      objects: the numbers of objects by kseg.metrics.OBJECT_COUNTS: true, found, matched, missed, false, split, merged;
        {} where objects are not numbered.
      folds: of a cross-validation, the report of each fold by the network that was trained on the others.
      together: the report on test of the ensemble of these networks; None where there is no test.
    """

    dataset: str
    split: str
    classes: tuple[str, ...]
    confusion: np.ndarray
    images: tuple[dict, ...]
    scores: tuple[Score, ...] = ()
    average: Average = "none"
    precision: str = "float32"
    scored_classes: tuple[int, ...] | None = None
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    other_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    threshold: float | None = None
    rules: ObjectRules = ObjectRules()
    objects: Mapping[str, int] = field(default_factory=dict)
    folds: tuple[Report, ...] = ()
    together: Report | None = None

    @property
    def mean_iu(self) -> float:
        return mean_iu(self.confusion, self.scored_classes)

    @property
    def per_class(self) -> dict[str, float]:
        """The IU of each class; NaN for a class without true pixels, which does not count in the mean."""
        return dict(zip(self.classes, class_iu(self.confusion).tolist(), strict=True))

    @property
    def per_class_dice(self) -> dict[str, float]:
        """The Dice of each class; NaN as in `per_class`."""
        return dict(zip(self.classes, class_dice(self.confusion).tolist(), strict=True))

    @property
    def measures(self) -> dict[str, float]:
        """All scores but the mean IU, by the measure's name; those of other heads with the head's name before it."""
        found = {each.measure.name: each.value for each in self.scores if each.measure.name != "mean_iu"}
        for head, other in self.others.items():
            found |= {f"{head}_pixel_accuracy": pixel_accuracy(other), f"{head}_mean_iu": mean_iu(other)}
        return found

    @property
    def scored_on(self) -> str:
        """The data set and its part, as text."""
        return f"{self.dataset}, {self.split}" if self.folds else f"{self.dataset} {self.split}"

    @property
    def figures(self) -> dict[str, float]:
        """All scores by the measure's name, the mean IU first."""
        return {"mean_iu": self.mean_iu, **self.measures}

    def ranges(self, name: str) -> list[tuple[float, float]]:
        """The lowest and the highest score of the folds by a measure; [] where there are no folds with a score."""
        found = [value for each in self.folds if not math.isnan(value := each.figures[name])]
        return [(min(found), max(found))] if found else []

    @property
    def seg(self) -> float | None:
        """SEG over all objects of all images; None where objects are not numbered."""
        return self.measures.get("seg")

    @property
    def thresholds(self) -> dict[str, float]:
        """The threshold of class 1's probability at which a measure was best, by the measure's name."""
        return {each.measure.name: each.threshold for each in self.scores if each.threshold is not None}

    @property
    def columns(self) -> list[str]:
        """The scores of an image that a table shows: the two main ones, those of objects, and those asked for."""
        hidden = {*USUAL, *self.thresholds, "object_precision", "object_recall"}.difference(ALWAYS)
        return [name for name in self.images[0] if name != "id" and name not in hidden]

    def words(self, name: str) -> str:
        """The title of a score of this report."""
        return title_of(name, [each.measure for each in self.scores])

    def worst(self, chosen: str | Measure = "mean_iu", count: int = WORST_SHOWN) -> list[int]:
        """The indices of the images with the worst scores, the worst first, without images that have no score."""
        by = measure(chosen)
        scores = [image.get(by.name, math.nan) for image in self.images]
        scored = [index for index, score in enumerate(scores) if not math.isnan(score)]
        return sorted(scored, key=scores.__getitem__, reverse=not by.higher)[:count]

    @property
    def objects_in_words(self) -> str:
        """A sentence with the numbers of objects; "" where objects are not numbered."""
        if not self.objects:
            return ""
        true, found, matched, missed, false, split, merged = (f"{self.objects[name]:,}" for name in OBJECT_COUNTS)
        return (
            f"{true} true objects, {found} found: {matched} match. {missed} were missed and {split} were split into "
            f"pieces; {false} of the found ones are false, and {merged} merge two or more."
        )

    @property
    def protocol(self) -> str:
        """How the scores were measured, in a few sentences."""
        absent = [name for name, value in self.per_class.items() if math.isnan(value)]
        how = f"split {self.split}"
        if self.folds:
            how = f"cross-validated in {len(self.folds)} folds, each scored by the network trained on the others"
        text = (
            f"{len(self.images)} image{'s' * (len(self.images) > 1)} of {self.dataset}, {how}; one "
            "confusion matrix over all pixels that are not void; means over the classes with true pixels"
        )
        text += f" (left out: {', '.join(absent)})." if absent else "."
        if self.folds:
            text += " Each network was also chosen on the images that it is scored on: a little too good."
        if self.scored_classes is not None:
            unscored = [name for number, name in enumerate(self.classes) if number not in self.scored_classes]
            text += f" The set's protocol leaves {', '.join(unscored)} out of the means."
        for sentence in dict.fromkeys(each.measure.protocol for each in self.scores):
            text += f" {sentence}" if sentence else ""
        text += f" {self.rules}" if self.objects else ""
        for each in self.scores:
            text += f" {each.left_out}." if each.left_out else ""
        if self.thresholds:
            text += f" Thresholds: {', '.join(f'{name} {value:.1f}' for name, value in self.thresholds.items())}."
        cut = "" if self.threshold is None else f", masks cut at a probability of {self.threshold:.1f}"
        return f"{text} Scores: {AVERAGES[self.average]}, {self.precision}{cut}."

    def to_json(self) -> dict:
        """The report as a dictionary for JSON; a score that does not exist is None."""
        return {
            "mean_iu": _number(self.mean_iu),
            "per_class": _numbers(self.per_class),
            "per_class_dice": _numbers(self.per_class_dice),
            "measures": _numbers(self.measures),
            "thresholds": self.thresholds,
            "objects": dict(self.objects),
            "object_rules": dataclasses.asdict(self.rules) if self.objects else {},
            "dataset": self.dataset,
            "split": self.split,
            "precision": self.precision,
            "average": self.average,
            "protocol": self.protocol,
            "confusion": self.confusion.tolist(),
            "heads": {
                head: {
                    "mean_iu": _number(mean_iu(matrix)),
                    "per_class": _numbers(dict(zip(self.other_classes[head], class_iu(matrix).tolist(), strict=True))),
                    "confusion": matrix.tolist(),
                }
                for head, matrix in self.others.items()
            },
            "per_image": [_numbers(image) for image in self.images],
            **({"folds": [each._as_fold() for each in self.folds]} if self.folds else {}),
            **({"test": self.together.to_json()} if self.together else {}),
        }

    def _as_fold(self) -> dict[str, object]:
        """The report of a fold for JSON: its images and its scores."""
        images = [image["id"] for image in self.images]
        return {"images": images, "mean_iu": _number(self.mean_iu), "measures": _numbers(self.measures)}

    def __str__(self) -> str:
        lines = [f"{self.scored_on}: mean IU {self.mean_iu:.3f}{self._of_folds('mean_iu')}", ""]
        dice = self.per_class_dice
        rows = [(name, in_share(value), in_share(dice[name])) for name, value in self.per_class.items()]
        lines += _table([("class", "IU", "Dice"), *rows])
        figures = [(name, in_figures(value), self._of_folds(name)) for name, value in self.measures.items()]
        lines += ["", *_table([("measure", "", ""), *figures])]
        shown, title, columns = self.images, "image", self.columns
        if len(shown) > MOST_SHOWN:
            shown, title = tuple(shown[index] for index in self.worst()), f"worst of {len(shown)} images"
        lines += [
            "",
            *_table(
                [(title, *columns), *((image["id"], *(in_figures(image[key]) for key in columns)) for image in shown)]
            ),
        ]
        lines += ["", self.objects_in_words] if self.objects else []
        lines += ["", self.protocol]
        if self.together:
            lines += ["", f"The ensemble of these {len(self.folds)} networks:", "", str(self.together)]
        return "\n".join(lines)

    def _of_folds(self, name: str) -> str:
        """The range of a measure over the folds, as text; "" where there are none."""
        return "".join(f"  (folds: {in_figures(low)} to {in_figures(high)})" for low, high in self.ranges(name))

    def _repr_html_(self) -> str:
        figures = [(name, value) for name, value in {"mean IU": self.mean_iu, **self.measures}.items()]
        parts = [pages.bars(("class", "IU"), self.per_class), pages.table(("measure", ""), figures)]
        texts = filter(None, (self.objects_in_words, self.protocol))
        parts += [f"<p>{escape(text)}</p>" for text in texts]
        return "\n".join(parts + ([self.together._repr_html_()] if self.together else []))


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]


def _numbers(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value
