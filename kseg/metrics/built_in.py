"""The measures that come with kseg; they are registered in kseg.metrics.MEASURES."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from kseg.errors import DataError, did_you_mean
from kseg.metrics import confusion, objects
from kseg.metrics.measures import MEASURES, Measure, Seen


class OfConfusion(Measure):
    """A function of the confusion matrix of all images, and of the classes that the data set's protocol averages."""

    def __init__(self, words: str, function: Callable[[np.ndarray, Sequence[int]], float]) -> None:
        self.words, self._function = words, function

    def sums(self, seen: Seen) -> np.ndarray:
        """The matrix, and below it a row that is above 0 for the classes that are averaged."""
        classes = range(len(seen.classes))
        scored = np.isin(classes, classes if seen.scored_classes is None else seen.scored_classes)
        return np.vstack([seen.confusion, scored])

    def of_sums(self, total: np.ndarray) -> float:
        return self._function(total[:-1], np.flatnonzero(total[-1]).tolist())


class OfClass(Measure):
    """A function of one class against all others; NaN if the class has no true pixels."""

    def __init__(self, class_name: str, kind: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.words, self._class, self._function = f"{kind} of {class_name}", class_name, function

    def lacks(self, data: Any) -> str:
        classes = next(iter(data.heads.values()))
        return "" if self._class in classes else f"no class {self._class!r}, only {', '.join(classes)}"

    def sums(self, seen: Seen) -> np.ndarray:
        """(2, 2) int64, rows truth: the others, the class."""
        if self._class not in seen.classes:
            raise DataError(f"{self.name}: no class {self._class!r}.", did_you_mean(self._class, seen.classes))
        number, matrix = list(seen.classes).index(self._class), seen.confusion
        found, true, predicted = matrix[number, number], matrix[number].sum(), matrix[:, number].sum()
        others = matrix.sum() - true - predicted + found
        return np.array([[others, predicted - found], [true - found, found]])

    def of_sums(self, total: np.ndarray) -> float:
        return self._function(total)[1]


class OfNumbered(Measure):
    """A measure of data whose objects are numbered."""

    def lacks(self, data: Any) -> str:
        return "" if data.has_instances else "no numbered objects"


class Seg(OfNumbered):
    """SEG of the predicted objects of class 1."""

    name, words = "seg", "SEG"
    protocol = "SEG as the Cell Tracking Challenge defines it: false objects do not lower it."

    def sums(self, seen: Seen) -> np.ndarray:
        """The sum of the true objects' scores, their number, and 1 if there are none."""
        scores = np.empty(0) if seen.instances is None else objects.object_scores(seen.objects, seen.instances)
        return np.array([scores.sum(), scores.size, scores.size == 0])

    def of_sums(self, total: np.ndarray) -> float:
        return total[0] / total[1] if total[1] else float("nan")

    def left_out(self, total: np.ndarray) -> str:
        images = int(total[2])
        return f"SEG leaves out {images:,} image{'s' if images > 1 else ''} without true objects" if images else ""


class OfObjects(OfNumbered):
    """A function of the counts of objects (kseg.metrics.Comparison) over all images."""

    protocol = (
        "Precision, recall and F1 of objects at IoU 0.5, as in Caicedo et al. 2019: a predicted object is right if its "
        "IoU with a true one is above 0.5."
    )

    def __init__(self, name: str, words: str, function: Callable[[np.ndarray], float]) -> None:
        self.name, self.words, self._function = name, words, function

    def sums(self, seen: Seen) -> np.ndarray:
        """The counts; 0 if the image's objects are not numbered."""
        return np.zeros(len(objects.OBJECT_COUNTS)) if seen.instances is None else seen.comparison.counts

    def of_sums(self, total: np.ndarray) -> float:
        return self._function(total)


class CountError(OfNumbered):
    """The error of the number of predicted objects, summed over the images, as a share of all true objects."""

    name, words, higher = "count_error", "count error", False
    protocol = (
        "The count error is the sum over the images of |predicted - true objects|, divided by the number of all true "
        "objects."
    )

    def sums(self, seen: Seen) -> np.ndarray:
        """The error of the count, and the number of true objects."""
        true, found = (0, 0) if seen.instances is None else seen.comparison.counts[:2]
        return np.array([abs(int(found) - int(true)), true])

    def of_sums(self, total: np.ndarray) -> float:
        return total[0] / total[1] if total[1] else float("nan")


class OfChallenge(Measure):
    """A measure of the ISBI 2012 challenge, at its best threshold."""

    protocol = "ISBI 2012's measures as the challenge computes them, each at its best threshold."

    def __init__(self, name: str, words: str, higher: bool) -> None:
        self.name, self.words, self.higher = name, words, higher

    def lacks(self, data: Any) -> str:
        return "" if len(next(iter(data.heads.values()))) == 2 else "not two classes"

    def sums(self, seen: Seen) -> np.ndarray:
        return seen.slice.sums(self.name)

    def of_sums(self, total: np.ndarray) -> float:
        return self._best(total).value

    def threshold(self, total: np.ndarray) -> float:
        return self._best(total).threshold

    def _best(self, total: np.ndarray) -> Any:
        from kseg.metrics.em import best

        return best(self.name, total)


for _name, _words, _function in (
    ("mean_iu", "mean IU", confusion.mean_iu),
    ("pixel_accuracy", "pixel accuracy", lambda matrix, _: confusion.pixel_accuracy(matrix)),
    ("mean_accuracy", "mean accuracy", confusion.mean_accuracy),
    ("frequency_weighted_iu", "frequency-weighted IU", lambda matrix, _: confusion.frequency_weighted_iu(matrix)),
):
    MEASURES.register(_name)(partial(OfConfusion, _words, _function))


@MEASURES.register("dice")
def dice(name: str | None = None) -> Measure:
    """Dice of the class `name`, or its mean over the classes without a name."""
    return OfClass(name, "Dice", confusion.class_dice) if name else OfConfusion("Dice", confusion.dice)


@MEASURES.register("iu")
def iu(name: str) -> Measure:
    """The intersection over union of the class `name`."""
    return OfClass(name, "IU", confusion.class_iu)


MEASURES.register("seg")(Seg)
MEASURES.register("count_error")(CountError)

for _name, _words, _of_counts in (
    ("object_precision", "precision of objects", objects.precision),
    ("object_recall", "recall of objects", objects.recall),
    ("object_f1", "F1 of objects", objects.f1),
):
    MEASURES.register(_name)(partial(OfObjects, _name, _words, _of_counts))

for _name, _words, _higher in (
    ("v_rand", "V_rand", True),
    ("v_info", "V_info", True),
    ("rand_error", "Rand error", False),
    ("warping_error", "warping error", False),
    ("pixel_error", "pixel error", False),
):
    MEASURES.register(_name)(partial(OfChallenge, _name, _words, _higher))
