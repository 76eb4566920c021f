"""The measures that come with kseg, as kseg.metrics.MEASURES has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from kseg.errors import DataError, did_you_mean
from kseg.metrics import confusion, objects
from kseg.metrics.ctc import object_scores
from kseg.metrics.measures import MEASURES, Measure, Seen


class OfConfusion(Measure):
    """A function of the confusion matrix over all images and the classes that the protocol averages."""

    def __init__(self, words: str, function: Callable[[np.ndarray, Sequence[int]], float]) -> None:
        self.words, self._function = words, function

    def sums(self, seen: Seen) -> np.ndarray:
        """The matrix, and below it a row that is above 0 for the classes that are averaged."""
        classes = len(seen.classes)
        averaged = np.isin(np.arange(classes), range(classes) if seen.scored_classes is None else seen.scored_classes)
        return np.vstack([seen.confusion, averaged])

    def of_sums(self, total: np.ndarray) -> float:
        return self._function(total[:-1], np.flatnonzero(total[-1]).tolist())


class OfClass(Measure):
    """A function of one class against all others; it is NaN where the class has no true pixels."""

    def __init__(self, class_name: str, kind: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.words, self._class, self._function = f"{kind} of {class_name}", class_name, function

    def lacks(self, data: Any) -> str:
        classes = next(iter(data.heads.values()))
        return "" if self._class in classes else self._missing(classes).removesuffix(".")

    def sums(self, seen: Seen) -> np.ndarray:
        """(2, 2) int64, rows truth: the others, the class."""
        if self._class not in seen.classes:
            raise DataError(f"{self.name}: {self._missing(seen.classes)}")
        number = list(seen.classes).index(self._class)
        found, true, predicted = (
            part[number] for part in (np.diag(seen.confusion), seen.confusion.sum(axis=1), seen.confusion.sum(axis=0))
        )
        others = seen.confusion.sum() - true - predicted + found
        return np.array([[others, predicted - found], [true - found, found]])

    def of_sums(self, total: np.ndarray) -> float:
        return self._function(total)[1]

    def _missing(self, classes: Sequence[str]) -> str:
        return f"no class {self._class!r}. {did_you_mean(self._class, classes)}"


class Numbered(Measure):
    """What data are scored by whose objects are numbered."""

    def lacks(self, data: Any) -> str:
        return "" if data.has_instances else "no numbered objects"


class Seg(Numbered):
    """SEG of the predicted objects of class 1."""

    name, words = "seg", "SEG"
    protocol = "SEG as the Cell Tracking Challenge defines it: false objects cost nothing."

    def sums(self, seen: Seen) -> np.ndarray:
        """The sum of the true objects' scores, how many they are, and whether there is none."""
        scores = np.empty(0) if seen.instances is None else object_scores(seen.objects, seen.instances)
        return np.array([scores.sum(), scores.size, scores.size == 0])

    def of_sums(self, total: np.ndarray) -> float:
        return total[0] / total[1] if total[1] else float("nan")

    def left_out(self, total: np.ndarray) -> str:
        images = int(total[2])
        return f"SEG leaves out {images:,} image{'s' if images > 1 else ''} without true objects" if images else ""


class OfObjects(Numbered):
    """A function of the counts of objects (kseg.metrics.Comparison) over all images."""

    protocol = (
        "Precision, recall and F1 of objects at IoU 0.5, as Caicedo et al. 2019 count them: a predicted object is "
        "right where its IoU with a true one is above 0.5."
    )

    def __init__(self, name: str, words: str, function: Callable[[np.ndarray], float]) -> None:
        self.name, self.words, self._function = name, words, function

    def sums(self, seen: Seen) -> np.ndarray:
        """The counts; 0 where objects are not numbered."""
        return np.zeros(len(objects.OBJECT_COUNTS)) if seen.instances is None else seen.comparison.counts

    def of_sums(self, total: np.ndarray) -> float:
        return self._function(total)


class CountError(Numbered):
    """By how much the number of predicted objects is wrong, image by image, as a share of all true ones."""

    name, words, higher = "count_error", "count error", False
    protocol = (
        "The count error is the sum over the images of |predicted - true objects|, over the number of all true objects."
    )

    def sums(self, seen: Seen) -> np.ndarray:
        """By how many the count is wrong, and the true objects."""
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
    """Dice of the class `name`; without one the mean over the classes."""
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
