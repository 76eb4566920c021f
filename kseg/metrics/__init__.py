"""Scores: functions of arrays, without TensorFlow. Those of ISBI 2012, which bring numba, resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kseg.lazy import lazy
from kseg.metrics.confusion import (
    class_accuracy,
    class_iu,
    confusion_matrix,
    frequency_weighted_iu,
    mean_accuracy,
    mean_iu,
    pixel_accuracy,
)
from kseg.metrics.ctc import mean_score, object_scores, seg

if TYPE_CHECKING:
    from kseg.metrics.em import em_scores, pixel_error, rand_error, v_info, v_rand, warping_error
else:
    _EM = ("em_scores", "pixel_error", "rand_error", "v_info", "v_rand", "warping_error")
    __getattr__, __dir__ = lazy(__name__, dict.fromkeys(_EM, "kseg.metrics.em"))

__all__ = [
    "class_accuracy",
    "class_iu",
    "confusion_matrix",
    "em_scores",
    "frequency_weighted_iu",
    "mean_accuracy",
    "mean_iu",
    "mean_score",
    "object_scores",
    "pixel_accuracy",
    "pixel_error",
    "rand_error",
    "seg",
    "v_info",
    "v_rand",
    "warping_error",
]
