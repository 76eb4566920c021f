"""Limits the time that occasional work takes."""

from __future__ import annotations

import time
from collections.abc import Callable


class Throttle:
    """Runs occasional work so rarely that it takes at most `share` of the time, and first after `wait_s` seconds."""

    def __init__(self, share: float = 0.0025, wait_s: float = 0.0) -> None:
        self._share, self._next = share, time.monotonic() + wait_s

    def __call__(self, work: Callable[[], None]) -> bool:
        """Runs `work` if it is time for it; returns whether it ran."""
        started = time.monotonic()
        if started < self._next:
            return False
        work()
        ended = time.monotonic()
        self._next = ended + (ended - started) / self._share
        return True
