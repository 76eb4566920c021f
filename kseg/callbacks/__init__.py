"""Callbacks for any Keras `fit`: mean IU over a data set, the best network, samples, metrics, progress, warnings.

They share what they know through `logs`, in the order they stand in the list: `Validate` adds
`val_mean_iu`, the others read it. What a checkpoint must hold of one, its `state` gives and its `restore` takes.
"""

from kseg.callbacks.event_files import EventFiles
from kseg.callbacks.metrics_log import MetricsLog
from kseg.callbacks.pace import Pace
from kseg.callbacks.progress import Progress
from kseg.callbacks.samples import Samples, write_samples
from kseg.callbacks.validation import KeepBest, SharedPredictor, Validate, save_network
from kseg.callbacks.watch import Watch, without_pixels

__all__ = [
    "EventFiles",
    "KeepBest",
    "MetricsLog",
    "Pace",
    "Progress",
    "Samples",
    "SharedPredictor",
    "Validate",
    "Watch",
    "save_network",
    "without_pixels",
    "write_samples",
]
