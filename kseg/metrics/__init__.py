"""Scores: functions of arrays, without TensorFlow."""

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

__all__ = [
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
