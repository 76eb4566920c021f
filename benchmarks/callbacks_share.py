"""The share of a training's time that callbacks and checkpoints take, each on its own.

    python -m benchmarks.callbacks_share [--recipe demo] [--steps 450] [--set KEY=VALUE]...

Wall time inside every method of every callback, and inside the keeper of checkpoints, over the wall time of the loop.
The first epoch, in which steps, validation and drawing are traced, is told apart; so is the computing of the scores on
val, which is work that was asked for.

MEASURED
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

METHODS = ("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end")


class Meter:
    """Seconds by what they were spent in, in the first epoch and after it."""

    def __init__(self) -> None:
        self.seconds: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self.is_first = True

    def around(self, name: str, function: Callable) -> Callable:
        """`function`, its seconds counted under `name`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[self.is_first][name] += time.perf_counter() - started

        return timed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--data-dir")
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()

    from kseg.training import trainer

    meter, original = Meter(), trainer.run_steps

    def run_steps(model: Any, batches: Any, **options: Any) -> None:
        for callback in options["callbacks"]:
            for method in METHODS:
                name = type(callback).__name__
                setattr(callback, method, meter.around(name, getattr(callback, method)))
        keeper = options["keeper"]
        after_step = meter.around("checkpoints", keeper.after_step)

        def ends(place: Any, *, epoch_ended: bool) -> None:
            after_step(place, epoch_ended=epoch_ended)
            if epoch_ended and meter.is_first:
                meter.is_first = False
                meter.seconds[True]["loop"] = time.perf_counter() - started
                marks.append(time.perf_counter())

        keeper.after_step = ends
        marks: list[float] = []
        started = time.perf_counter()
        original(model, batches, **options)
        meter.seconds[False]["loop"] = time.perf_counter() - marks[0]

    trainer.run_steps = run_steps
    settings = {"steps": asked.steps, **dict(pair.split("=", 1) for pair in asked.set)}
    with tempfile.TemporaryDirectory() as folder:
        trainer.train(asked.recipe, data_dir=asked.data_dir, run=Path(folder, "run"), settings=settings)
    for is_first, title in ((True, "first epoch, tracing included"), (False, "after the first epoch")):
        _print(title, meter.seconds[is_first])


def _print(title: str, seconds: Counter[str]) -> None:
    whole = seconds.pop("loop")
    print(f"{title}: {whole:.2f} s")
    for name, value in seconds.most_common():
        print(f"  {name:<16} {value:7.3f} s  {value / whole:6.2%}")
    rest = sum(value for name, value in seconds.items() if name != "Validate")
    print(f"  scores on val {seconds['Validate'] / whole:.2%}, all else {rest / whole:.2%}")


if __name__ == "__main__":
    main()
