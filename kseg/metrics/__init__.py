"""Scores, without TensorFlow: functions of arrays, and the measures that a network is scored and chosen by.

The functions of ISBI 2012, which bring numba, resolve on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kseg.lazy import lazy
from kseg.metrics import built_in as built_in  # fills MEASURES
from kseg.metrics.confusion import (
    class_accuracy,
    class_dice,
    class_iu,
    confusion_matrix,
    dice,
    frequency_weighted_iu,
    mean_accuracy,
    mean_iu,
    pixel_accuracy,
)
from kseg.metrics.measures import MEASURES, Measure, Score, Seen, is_higher_better, measure, title_of
from kseg.metrics.objects import OBJECT_COUNTS, Comparison, compare_objects, object_scores, seg

if TYPE_CHECKING:
    from kseg.metrics.em import em_scores, pixel_error, rand_error, v_info, v_rand, warping_error
else:
    _EM = ("em_scores", "pixel_error", "rand_error", "v_info", "v_rand", "warping_error")
    __getattr__, __dir__ = lazy(__name__, dict.fromkeys(_EM, "kseg.metrics.em"))

__all__ = [
    "MEASURES",
    "OBJECT_COUNTS",
    "Comparison",
    "Measure",
    "Score",
    "Seen",
    "class_accuracy",
    "class_dice",
    "class_iu",
    "compare_objects",
    "confusion_matrix",
    "dice",
    "em_scores",
    "frequency_weighted_iu",
    "title_of",
    "is_higher_better",
    "mean_accuracy",
    "mean_iu",
    "measure",
    "names",
    "object_scores",
    "pixel_accuracy",
    "pixel_error",
    "rand_error",
    "seg",
    "v_info",
    "v_rand",
    "warping_error",
]


def names() -> list[str]:
    """The measures that a network can be scored and chosen by, by name."""
    return MEASURES.names()
