from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Keeps what is done now and then, like drawing, below `share` of the time, from `wait_s` seconds on."""

    def __init__(self, share: float = 0.0025, wait_s: float = 0.0) -> None:
        self._share, self._next = share, time.monotonic() + wait_s

    def __call__(self, work: Callable[[], None]) -> bool:
        """Does `work` unless it was done too lately; returns whether."""
        started = time.monotonic()
        if started < self._next:
            return False
        work()
        ended = time.monotonic()
        self._next = ended + (ended - started) / self._share
        return True
