from __future__ import annotations

import math
import time
from collections.abc import Callable


class Pace:
    """Keeps what is done now and then, like drawing, below `share` of the time."""

    def __init__(self, share: float = 0.0025) -> None:
        self._share, self._next = share, -math.inf

    def __call__(self, work: Callable[[], None]) -> bool:
        """Does `work` unless it was done too lately; returns whether."""
        started = time.monotonic()
        if started < self._next:
            return False
        work()
        ended = time.monotonic()
        self._next = ended + (ended - started) / self._share
        return True
