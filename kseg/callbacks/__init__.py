"""Callbacks for any Keras `fit`: scores on a data set, the best network, samples, metrics, progress, warnings.

They share their results through `logs`, in the order of the list: `Validate` adds `val_mean_iu`, and those after it
read it. For a checkpoint, `state` returns what a callback must keep, and `restore` takes it.
"""

from kseg.callbacks.event_files import EventFiles
from kseg.callbacks.metrics_log import MetricsLog
from kseg.callbacks.progress import Progress
from kseg.callbacks.samples import Samples
from kseg.callbacks.validation import KeepBest, Validate
from kseg.callbacks.watch import Watch

__all__ = [
    "EventFiles",
    "KeepBest",
    "MetricsLog",
    "Progress",
    "Samples",
    "Validate",
    "Watch",
]
