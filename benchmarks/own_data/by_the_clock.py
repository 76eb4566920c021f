"""A peer's training that ends with its minutes, in the precision whose steps are quicker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.own_data.peer_job import peak_mb

PRECISIONS = ("float32", "bfloat16")
TRIED = 2  # steps in each precision; the first is not timed


def train(step: Callable[[str, float], None], minutes: float) -> dict[str, Any]:
    """Trains, and returns what is to be known of it.

    The first steps are in one precision after the other, and train like all others. A step is begun if at least half of
    it fits into the minutes.

    Args:
      step: trains a step, given the precision and the share of the minutes that is over, 0..1.
      minutes: how long.
    """
    start, limit = time.perf_counter(), 60 * minutes
    seconds: dict[str, list[float]] = {name: [] for name in PRECISIONS}

    def timed(precision: str) -> None:
        began = time.perf_counter()
        step(precision, min((began - start) / limit, 1.0))
        seconds[precision].append(time.perf_counter() - began)

    for precision in PRECISIONS:
        for _ in range(TRIED):
            timed(precision)
    quickest = {name: min(found[1:]) for name, found in seconds.items()}
    chosen = min(PRECISIONS, key=lambda name: quickest[name])
    while time.perf_counter() - start + quickest[chosen] / 2 < limit:
        timed(chosen)
    total = time.perf_counter() - start
    return {
        "steps": sum(map(len, seconds.values())),
        "train_s": total,
        "precision": chosen,
        "step_s": quickest,
        "peak_mb": peak_mb(),
    }
