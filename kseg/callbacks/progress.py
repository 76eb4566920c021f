"""The progress of a training: a bar on a terminal, plain lines elsewhere; on standard error."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from typing import Any

import keras

from kseg.formats import clock
from kseg.log import LOG, is_shown
from kseg.metrics import Measure, title_of
from kseg.metrics import measure as measure_of

REDRAW_S, LINE_S = 0.2, 600.0  # the bar is redrawn at most so often, a line is printed at least so often
WINDOW = 50  # speed is that of so many steps


class Progress(keras.callbacks.Callback):
    """A bar on a terminal; elsewhere a line per epoch, and every ten minutes within longer epochs.

    Both show the loss, the score by which the network is chosen, mean IU and SEG, the speed, the time left, the share
    of the time that is spent waiting for data, and the number of skipped steps if there are any. The scores are the
    latest on val; the bar shows as many as it has room for. The time left includes the work between epochs (validation,
    pictures, checkpoints); before the first such work its time is unknown, and "+" follows the time left.
    """

    def __init__(
        self,
        steps: int,
        measure: str | Measure = "mean_iu",
        *,
        epoch_steps: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Sets what is counted.

        Args:
          steps: of the whole training.
          measure: the measure by which the network is chosen.
          epoch_steps: steps per epoch; None to take them from `fit`.
          batch_size: images per step; None to show the speed in steps.
        """
        super().__init__()
        self.steps, self._chosen = steps, measure_of(measure)
        self._epoch_steps, self._batch_size = epoch_steps, batch_size
        self._scores: dict[str, float] = {}
        self._step, self._skipped = 0, 0
        self._bar: Any = None
        self._loss, self._between_s = math.nan, math.nan

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "scores": self._scores}

    def restore(self, state: dict[str, Any]) -> None:
        self._step, self._scores = state["step"], dict(state["scores"])

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._times: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._epoch_steps = self._epoch_steps or (self.params or {}).get("steps")
        self._begun: float | None = None  # when the current step began; None for the first, which is traced
        self._ended: float | None = None  # when the latest step ended
        self._shown = self._said = time.monotonic()
        if sys.stderr.isatty() and is_shown():
            self._bar = _bar(self.steps, self._step)
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self._ended is not None:
            self._begun = time.monotonic()
            self._between_s = self._begun - self._ended

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        logs, now = logs or {}, time.monotonic()
        self._step += 1
        if self._begun is not None:
            self._times.append((now - self._begun, float(logs.get("wait_s", 0.0))))
        self._begun = self._ended = now
        self._loss, self._skipped = float(logs.get("loss", math.nan)), int(logs.get("skipped", 0))
        if self._bar:
            at_end = self._step == self.steps or (self._epoch_steps and self._step % self._epoch_steps == 0)
            if at_end or now - self._shown >= REDRAW_S:
                self._shown = now
                self._redraw(at_end=bool(at_end))
        elif now - self._said >= LINE_S:
            self._say(self._loss)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        shown = [name for name in dict.fromkeys(("mean_iu", "seg", self._chosen.name)) if f"val_{name}" in logs]
        self._scores = {name: float(logs[f"val_{name}"]) for name in shown} or self._scores
        if self._bar:
            self._redraw()
        else:
            if self._ended is not None:
                self._between_s = time.monotonic() - self._ended
            self._say(float(logs.get("loss", self._loss)))

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _redraw(self, *, at_end: bool = False) -> None:
        name = self._chosen.name
        for shown in dict.fromkeys(
            [("mean_iu", name), (name,), ("mean_iu",), ()]
        ):  # as many as the terminal has room for
            scores = {key: self._scores[key] for key in dict.fromkeys(shown) if key in self._scores}
            text = " ".join(self._facts(self._loss, scores, "img/s" if self._batch_size else "steps/s", at_end=at_end))
            if len(text) > self._bar.console.width - 2:
                text = text.replace("mean IU", "IU")
            if len(text) <= self._bar.console.width - 2:
                break
        self._bar.update(self._bar.task_ids[0], completed=self._step, description=text)
        self._bar.refresh()

    def _say(self, loss: float) -> None:
        self._said = time.monotonic()
        first, *others = self._facts(loss, self._scores, "images/s" if self._batch_size else "steps/s")
        LOG.info("  ".join([f"step {first}", *others]))

    def _facts(self, loss: float, scores: dict[str, float], unit: str, *, at_end: bool = False) -> list[str]:
        facts = [f"{self._step}/{self.steps}", f"loss {loss:.4g}" if loss >= 1000 else f"loss {loss:.3f}"]
        facts += [f"{title_of(key, [self._chosen])} {value:.3f}" for key, value in scores.items()]
        seconds, waited = (sum(part) for part in zip(*self._times, strict=True)) if self._times else (0.0, 0.0)
        if seconds > 0:
            speed = len(self._times) * (self._batch_size or 1) / seconds
            facts.append(f"{speed:.0f} {unit}" if speed >= 10 else f"{speed:.2g} {unit}")
        if at_end:
            facts.append("epoch done" if self._step < self.steps else "steps done")
        elif seconds > 0 and self._step < self.steps:
            facts.append(self._left(seconds / len(self._times)))
        if seconds > 0:
            facts.append(f"wait {min(waited / seconds, 1):.0%}")
        if self._skipped:
            facts.append(f"{self._skipped} skipped")
        return facts

    def _left(self, step_s: float) -> str:
        """The time left as text, if a step takes `step_s` seconds."""
        left = (self.steps - self._step) * step_s
        epochs = 0
        if self._epoch_steps:
            epochs = -(-self.steps // self._epoch_steps) - self._step // self._epoch_steps
        known = epochs == 0 or not math.isnan(self._between_s)
        return f"{clock(left + epochs * self._between_s if known else left)}{'' if known else '+'} left"


def _bar(steps: int, done: int) -> Any:
    """A bar beside its text, redrawn only on request; what others print appears above it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = [BarColumn(bar_width=None), TextColumn("{task.description}", markup=False)]
    bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False, expand=True, redirect_stdout=False)
    bar.add_task("starting", total=steps, completed=done)
    return bar
