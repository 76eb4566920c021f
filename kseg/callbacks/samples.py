"""Pictures of a few items after an epoch: input, truth, prediction and errors."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from kseg.callbacks.throttle import Throttle
from kseg.datasets import Dataset
from kseg.inference.in_training import SharedPredictor
from kseg.strips import evenly_spaced, write_strips


class Samples(keras.callbacks.Callback):
    """Draws `count` items, evenly spaced in the data, as strips `folder`/ID.png.

    It draws after each epoch, or less often, so that drawing takes at most a quarter percent of the time.

    Attributes:
      drawn: the latest strips, (H, W, 3) uint8, by the items' ids.
      drawings: the number of times they were drawn.
      confusions: the confusion matrices of the latest drawing's items, (K, K), rows truth, by head.
    """

    def __init__(
        self, data: Dataset, folder: str | Path, count: int = 4, *, shared: SharedPredictor | None = None
    ) -> None:
        super().__init__()
        self.data, self.folder, self.count = data, Path(folder), count
        self.drawn: dict[str, np.ndarray] = {}
        self.drawings, self.confusions = 0, dict[str, np.ndarray]()
        self._shared = shared or SharedPredictor()
        self._throttle = Throttle()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._throttle(self._draw)

    def _draw(self) -> None:
        indices = evenly_spaced(len(self.data), self.count)
        self.drawn, self.confusions = write_strips(self._shared(self.model), self.data, self.folder, indices)
        self.drawings += 1
