"""What a network can be scored and chosen by: each measure is one object, built in or brought from outside.

A measure of one's own is registered by name, or handed over as an object wherever a name is taken:

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
    """One image's truth and what a network found in it; what follows from them is computed once, when asked for.

    Attributes:
      label: (H, W) integers, class ids or `ignore_class`.
      scores: (H, W, K) float32, before softmax.
      classes: the K names.
      ignore_class: the void number.
      instances: (H, W) integers, 0 background, one number per true object; None where objects are not numbered.
      scored_classes: the ids that means go over; None for all.
      others: of a network with several heads the same of all but the first, by head.
      margin: of two classes, a pixel is class 1 where its score is above that of class 0 by more than this; None where
        the largest score says the class.
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
        """(H, W) int32: the objects of class 1 as it was predicted, 0 outside."""
        return number(self.prediction == 1, self.rules)

    @cached_property
    def comparison(self) -> Comparison:
        """The predicted objects against the true ones, where these are numbered; those in void are left out."""
        if self.instances is None:
            raise DataError("The true objects are not numbered: there is nothing to compare with.")
        return compare_objects(self.objects, self.instances, self.label == self.ignore_class)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(K, K) int64, rows truth, void left out."""
        return confusion_matrix(self.label, self.prediction, len(self.classes), self.ignore_class)

    @cached_property
    def slice(self) -> Slice:
        """What the ISBI 2012 measures count in, of class 1 against class 0; void is no membrane."""
        from kseg.metrics.em import slices  # brings numba, which takes a second

        return next(slices(self.probabilities[..., 1], self.label))


class Measure(abc.ABC):
    """A score of a network on images: what each image adds to it, and what comes of the sum.

    An image's own score is `of_sums(sums(seen))`.

    Attributes:
      name: what it is chosen by and stands under in files; by default the class's, as bright_recall of BrightRecall.
      words: what a person calls it; "" for the name without underscores.
      higher: whether more is better.
      protocol: a sentence for reports on how it was taken, where that needs one.
    """

    name: str
    words: str = ""
    higher: bool = True
    protocol: str = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = vars(cls).get("name", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower())

    def lacks(self, data: Any) -> str:
        """What the data set `data` has not, but must have to be scored by this; "" where nothing."""
        return ""

    @abc.abstractmethod
    def sums(self, seen: Seen) -> np.ndarray:
        """What one image adds: an array of one shape for all images, which are added up."""

    @abc.abstractmethod
    def of_sums(self, total: np.ndarray) -> float:
        """The score of the images whose `sums` add up to `total`; NaN where there is none."""

    def threshold(self, total: np.ndarray) -> float | None:
        """The probability of class 1 above which the score was reached; None where it is not of a threshold."""
        return None

    def left_out(self, total: np.ndarray) -> str:
        """Words for the images that have no such score and were left out of it; "" where there were none."""
        return ""

    def score(self, total: np.ndarray) -> Score:
        """The score of `total` with all that a report says of it."""
        return Score(self, float(self.of_sums(total)), self.threshold(total), self.left_out(total))


@dataclass(frozen=True)
class Score:
    """What came out of a measure.

    Attributes:
      measure: which.
      value: NaN where there is none.
      threshold: of class 1's probability, where it was reached at one.
      left_out: words for the images without such a score; "" where there are none.
    """

    measure: Measure
    value: float
    threshold: float | None = None
    left_out: str = ""


MEASURES: Registry[Callable[..., Measure]] = Registry("measure")
"""By name what makes a measure. One that takes an argument is called NAME.ARGUMENT, as iu.cell."""


def measure(chosen: str | Measure) -> Measure:
    """The measure of a name, as `mean_iu` or `iu.cell`; a measure as it is.

    Raises:
      ConfigError: there is none of that name (the message names the nearest), or it needs a part after a dot, or
        takes none.
    """
    if isinstance(chosen, Measure):
        return chosen
    if not isinstance(chosen, str):
        raise ConfigError(f"measure is {chosen!r}, but must be a name ({', '.join(MEASURES.names())}) or a Measure.")
    name, dot, argument = chosen.partition(".")
    entry = MEASURES.get(name)
    taken = list(inspect.signature(entry).parameters.values())[:1]
    if argument and not taken:
        raise ConfigError(f"measure is {chosen!r}, but {name} takes nothing after its name. Write {name}.")
    if not argument and (dot or (taken and taken[0].default is inspect.Parameter.empty)):
        raise ConfigError(
            f"measure is {chosen!r}, but {name} needs a part after a dot: {name}.{taken[0].name.upper()}."
        )
    found = entry(argument) if argument else entry()
    if found.name != chosen:
        found.name = chosen
    return found


def known(name: str, own: Sequence[Measure] = ()) -> Measure | None:
    """The measure of that name, among `own` or registered; None where there is none."""
    try:
        return next((each for each in own if each.name == name), None) or measure(name)
    except ConfigError:
        return None


def in_words(name: str, own: Sequence[Measure] = ()) -> str:
    """What a person calls a figure: "mean IU" for mean_iu, "geometric mean IU" for that of a head.

    Args:
      name: of a measure, a head and a measure, or anything else.
      own: measures that are not registered.
    """
    found = known(name, own)
    if found is not None:
        return found.words or name.replace("_", " ")
    first, _, rest = name.partition("_")
    return f"{first} {in_words(rest, own)}" if rest else name


def is_higher_better(name: str, own: Sequence[Measure] = ()) -> bool:
    """Whether more is better of a figure: as its measure says; of one that is no measure's, unless it is a loss."""
    found = known(name, own)
    return found.higher if found is not None else not name.endswith("loss")
