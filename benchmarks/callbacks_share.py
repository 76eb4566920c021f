"""The share of a training's time that callbacks and checkpoints take, for each of them.

    python -m benchmarks.callbacks_share [--recipe demo] [--steps 450] [--set KEY=VALUE]...

It measures the time inside every method of every callback, and inside the keeper of checkpoints, and divides it by the
time of the whole loop. It does so with elapsed time and with processor time. Processor time is more reliable if others
use the machine too. A step uses all cores, but a callback uses one: on N quiet cores the share of elapsed time lies
between the share of processor time and N times that share. Two things are shown separately. The first epoch traces,
imports and draws for the first time, which happens once in a training. The scores on val are work that the user asked
for.

Measured on two quiet and slow cores with AVX2, TensorFlow 2.21.0, the demo's 450 steps and 9 validations in 210 s.
Shares of elapsed time, with those of processor time in brackets. After the first epoch: 1.47 % (0.73 %), of which the
best network takes 0.54 (0.29), curves 0.46 (0.24) and checkpoints 0.41 (0.17). Together with the first epoch, whose
imports and first pictures take 1.1 s once: 1.73 % (0.94 %). The scores on val take another 2.5 % (2.1 %). On two faster
cores with AVX-512 the training took 69 s, and the shares were 1.42 and 2.05 %; at that time curves were also drawn
after the first epoch, and their last drawing was not counted.

Two ideas were tried: drawing strips in two threads (a fifth faster, not worth it), and drawing them once more after the
last epoch (0.4 % more; the report's strips go to TensorBoard instead). Three quarters of the best network's time is
spent by Keras, which walks through all layers again for each file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

METHODS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_epoch_end",
    "on_train_end",
)


class Meter:
    """Elapsed and processor seconds for each part of the loop, in the first epoch and after it."""

    def __init__(self) -> None:
        self.seconds: dict[bool, dict[str, np.ndarray]] = {
            place: defaultdict(lambda: np.zeros(2)) for place in (True, False)
        }
        self.is_first = True
        self._begun = self.now()

    @staticmethod
    def now() -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])

    def around(self, name: str, function: Callable) -> Callable:
        """`function`, with its seconds counted under `name`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = self.now()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[self.is_first][name] += self.now() - began

        return timed

    def ends(self) -> None:
        """Counts the time of the loop since the last call."""
        now = self.now()
        self.seconds[self.is_first]["loop"] += now - self._begun
        self._begun, self.is_first = now, False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--data-dir")
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()

    from kseg.runs import one_stage, trainer

    original = one_stage.run_steps
    meter = Meter()

    def run_steps(model: Any, batches: Any, plan: Any, **options: Any) -> None:
        meter.__init__()
        for callback in options["callbacks"]:
            for method in METHODS:
                setattr(callback, method, meter.around(type(callback).__name__, getattr(callback, method)))
        after_step = meter.around("checkpoints", options["keeper"].after_step)

        def ends(position: Any, *, epoch_ended: bool) -> None:
            after_step(position, epoch_ended=epoch_ended)
            if epoch_ended and meter.is_first:
                meter.ends()

        options["keeper"].after_step = ends
        original(model, batches, plan, **options)
        meter.ends()

    one_stage.run_steps = run_steps
    settings = {"steps": asked.steps, **dict(pair.split("=", 1) for pair in asked.set)}
    with tempfile.TemporaryDirectory() as folder:
        trainer.train(asked.recipe, data_dir=asked.data_dir, run=Path(folder, "run"), settings=settings)
    first, later = meter.seconds[True], meter.seconds[False]
    show("the first epoch", first)
    show("all later ones", later)
    show("all", {name: first[name] + later[name] for name in {**first, **later}})


def show(title: str, seconds: dict[str, np.ndarray]) -> None:
    """Prints the seconds and shares of each callback, and the sum of all except validation."""
    whole = seconds["loop"]
    print(f"{title}: {whole[0]:.1f} s, processor {whole[1]:.1f} s")
    parts = {name: value for name, value in seconds.items() if name != "loop"}
    parts["all but Validate"] = sum((value for name, value in parts.items() if name != "Validate"), np.zeros(2))
    for name, value in sorted(parts.items(), key=lambda part: -part[1][0]):
        clock, processor = value / whole
        print(f"  {name:<16} {value[0]:7.3f} s  {clock:6.2%}   processor {value[1]:7.3f} s  {processor:6.2%}")


if __name__ == "__main__":
    main()
