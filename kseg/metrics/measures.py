"""Measures: objects that score a network on images, and by which the best network is chosen.

Your own measure is registered by name, or passed as an object wherever a name is accepted:

    @kseg.metrics.MEASURES.register("void_found")
    class VoidFound(kseg.metrics.Measure):
        words = "share of void taken for class 1"
        higher = False

        def sums(self, seen):
            void = seen.label == seen.ignore_class
            return np.array([(seen.prediction[void] == 1).sum(), void.sum()])

        def of_sums(self, total):
            return total[0] / total[1] if total[1] else float("nan")
"""

from __future__ import annotations

import abc
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kseg.errors import ConfigError, DataError
from kseg.instances import ObjectRules, number
from kseg.metrics.confusion import confusion_matrix
from kseg.metrics.objects import Comparison, compare_objects
from kseg.registry import Registry

if TYPE_CHECKING:
    from kseg.metrics.em import Slice


@dataclass(frozen=True, eq=False)
class Seen:
    """One image's truth and a network's scores; what follows from them is computed once, when it is needed.

    Attributes:
      label: (H, W) integers, class ids or `ignore_class`.
      scores: (H, W, K) float32, before softmax.
      classes: the K names.
      ignore_class: the void number.
      instances: (H, W) integers, 0 background, one number per true object; None if objects are not numbered.
      scored_classes: the class ids over which means are taken; None for all.
      others: for a network with several heads, the same for all but the first, by head.
      margin: for two classes: a pixel is class 1 if its score is above that of class 0 by more than this. None if the
        class is that of the largest score.
      rules: what counts as an object of the prediction.
    """

    label: np.ndarray
    scores: np.ndarray
    classes: Sequence[str]
    ignore_class: int = 255
    instances: np.ndarray | None = None
    scored_classes: Sequence[int] | None = None
    others: Mapping[str, Seen] = field(default_factory=dict)
    margin: float | None = None
    rules: ObjectRules = ObjectRules()

    @cached_property
    def prediction(self) -> np.ndarray:
        """(H, W) integers: the class of each pixel, as the network reads its scores."""
        if self.margin is not None:
            return (self.scores[..., 1] - self.scores[..., 0] > np.float32(self.margin)).astype(np.int64)
        return self.scores.argmax(axis=-1)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(H, W, K) float32: the softmax of the scores."""
        powers = np.exp(self.scores - self.scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    @cached_property
    def objects(self) -> np.ndarray:
        """(H, W) int32: the predicted objects of class 1, 0 outside."""
        return number(self.prediction == 1, self.rules)

    @cached_property
    def comparison(self) -> Comparison:
        """The predicted objects against the true ones; those in void are left out.

        Raises:
          DataError: the true objects are not numbered.
        """
        if self.instances is None:
            raise DataError("The true objects are not numbered, so predicted ones can't be compared with them.")
        return compare_objects(self.objects, self.instances, self.label == self.ignore_class)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(K, K) int64, rows truth, void left out."""
        return confusion_matrix(self.label, self.prediction, len(self.classes), self.ignore_class)

    @cached_property
    def slice(self) -> Slice:
        """The image as a slice for the ISBI 2012 measures: class 1 is cell, class 0 membrane, void counts as cell."""
        from kseg.metrics.em import slices  # imports numba, which takes a second

        return next(slices(self.probabilities[..., 1], self.label))


class Measure(abc.ABC):
    """A score of a network on images, computed from sums over the images.

    The score of a single image is `of_sums(sums(seen))`.

    Attributes:
      name: its name in settings and files; by default made of the class's name: bright_recall for BrightRecall.
      words: its name for a reader; "" for `name` without underscores.
      higher: whether a higher score is better.
      protocol: a sentence for reports that says how it is computed; "" for none.
    """

    name: str
    words: str = ""
    higher: bool = True
    protocol: str = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = vars(cls).get("name", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower())

    def lacks(self, data: Any) -> str:
        """What the data set lacks that this measure needs, such as "no class 'cell'"; "" if nothing."""
        return ""

    @abc.abstractmethod
    def sums(self, seen: Seen) -> np.ndarray:
        """The numbers that one image adds to the sums: an array of the same shape for all images."""

    @abc.abstractmethod
    def of_sums(self, total: np.ndarray) -> float:
        """The score of the images whose `sums` add up to `total`; NaN if it has none."""

    def threshold(self, total: np.ndarray) -> float | None:
        """The probability of class 1 above which the score was reached; None for a score without a threshold."""
        return None

    def left_out(self, total: np.ndarray) -> str:
        """A phrase about the images that have no such score and were left out; "" if there are none."""
        return ""

    def score(self, total: np.ndarray) -> Score:
        """The score of `total`, and what a report says about it."""
        return Score(self, float(self.of_sums(total)), self.threshold(total), self.left_out(total))


@dataclass(frozen=True)
class Score:
    """A measure's result.

    Attributes:
      measure: the measure.
      value: the score; NaN if there is none.
      threshold: the probability of class 1 above which it was reached; None for a score without a threshold.
      left_out: a phrase about the images that were left out; "" if there are none.
    """

    measure: Measure
    value: float
    threshold: float | None = None
    left_out: str = ""


MEASURES: Registry[Callable[..., Measure]] = Registry("measure")
"""Functions and classes that make a measure, by name. With an argument a measure is named NAME.ARGUMENT, as iu.cell."""


def measure(chosen: str | Measure) -> Measure:
    """The measure of a name such as `mean_iu` or `iu.cell`; a Measure is returned unchanged.

    Raises:
      ConfigError: there is no measure of that name (the message names the nearest), it needs an argument after a dot,
        or it has none.
    """
    if isinstance(chosen, Measure):
        return chosen
    if not isinstance(chosen, str):
        raise ConfigError(f"measure is {chosen!r}, but must be a name ({', '.join(MEASURES.names())}) or a Measure.")
    name, dot, argument = chosen.partition(".")
    entry = MEASURES.get(name)
    taken = list(inspect.signature(entry).parameters.values())[:1]
    if argument and not taken:
        raise ConfigError(f"measure is {chosen!r}, but {name} takes nothing after its name.", f"Write {name}.")
    if not argument and (dot or (taken and taken[0].default is inspect.Parameter.empty)):
        raise ConfigError(
            f"measure is {chosen!r}, but {name} needs a part after a dot.", f"Write {name}.{taken[0].name.upper()}."
        )
    found = entry(argument) if argument else entry()
    found.name = chosen
    return found


def _known(name: str, own: Sequence[Measure]) -> Measure | None:
    """The measure of that name among `own` or the registered ones; None if there is none."""
    try:
        return next((each for each in own if each.name == name), None) or measure(name)
    except ConfigError:
        return None


def title_of(name: str, own: Sequence[Measure] = ()) -> str:
    """The name of a figure for a reader: "mean IU" for mean_iu, "geometric mean IU" for geometric_mean_iu.

    Args:
      name: a measure's name, a head's name and a measure's, or any other.
      own: measures that are not registered.
    """
    found = _known(name, own)
    if found is not None:
        return found.words or name.replace("_", " ")
    first, _, rest = name.partition("_")
    return f"{first} {title_of(rest, own)}" if rest else name


def is_higher_better(name: str, own: Sequence[Measure] = ()) -> bool:
    """Whether a higher figure is better: as its measure says; if it is no measure's, unless its name ends with loss."""
    found = _known(name, own)
    return found.higher if found is not None else not name.endswith("loss")
