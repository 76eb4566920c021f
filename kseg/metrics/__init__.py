"""Scores: functions of arrays, without TensorFlow. Those of ISBI 2012, which bring numba, resolve on first use."""

from __future__ import annotations

import importlib
from typing import Any

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

_EM = ("em_scores", "pixel_error", "rand_error", "v_info", "v_rand", "warping_error")

__all__ = [
    *_EM,
    "class_accuracy",
    "class_iu",
    "confusion_matrix",
    "frequency_weighted_iu",
    "mean_accuracy",
    "mean_iu",
    "mean_score",
    "object_scores",
    "pixel_accuracy",
    "seg",
]


def __getattr__(name: str) -> Any:
    if name in _EM:
        return getattr(importlib.import_module("kseg.metrics.em"), name)
    raise AttributeError(f"kseg.metrics has no {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
