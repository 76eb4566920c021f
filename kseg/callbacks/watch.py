"""Warnings about a training that goes wrong, each once, with the likely cause and a remedy."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from kseg.datasets import Dataset
from kseg.errors import Advice, Setting
from kseg.log import LOG, told
from kseg.storage import write_text

FIRST, LATEST, LESS = 20, 200, 0.99  # the mean loss of the latest steps should be below this share of the first mean
PATIENCE, SHORTEST = 200, 50  # steps before it warns of one class alone; in a training that is shorter, at its end
ONE_CLASS = 0.01  # it warns if the other classes are predicted on less than this share of their true pixels
SKIPPED_LATELY, SKIPPED = 0.5, 0.1  # it warns of more skipped steps than this share of an epoch, of the training
USUAL = 30  # fewer skipped steps are usual in the first epoch: under mixed_float16 the loss scale falls until it fits

RATE = Setting("optimizer.learning_rate")


class HasConfusions(Protocol):
    """A callback that predicts after an epoch: `Validate` or `Samples`."""

    @property
    def data(self) -> Dataset: ...

    @property
    def confusions(self) -> Mapping[str, np.ndarray]: ...


class Watch(keras.callbacks.Callback):
    """Logs a warning, once each, of all pixels in one class, of a loss that does not fall, and of many skipped steps.

    Attributes:
      warnings: the warnings so far, in order, by kind.
    """

    def __init__(
        self,
        source: Any = None,
        path: str | Path | None = None,
        *,
        steps: int | None = None,
        continues: bool = False,
        known: Sequence[str] = (),
    ) -> None:
        """Chooses what is watched.

        Args:
          source: a callback with confusion matrices, which comes earlier in the list: Validate, or Samples without data
            to validate on; None to watch the loss alone.
          path: a text file for the warnings, one a line, `known` first; it exists only if there is a warning.
          steps: of the whole training. If it ends earlier it was interrupted, and nothing is checked then.
          continues: the network was trained on these data before, so its loss need not fall; it must not rise.
          known: warnings that were given before the training began.
        """
        super().__init__()
        self._source: HasConfusions | None = source
        self._path = Path(path) if path else None
        self._steps, self._continues = steps, continues
        self._known = [" ".join(text.split()) for text in known]
        self.warnings: dict[str, str] = {}
        self._restored: dict[str, np.ndarray] = {}  # the confusions before the interruption
        self._step, self._first = 0, list[float]()
        self._latest: deque[float] = deque(maxlen=LATEST)
        self._skipped, self._usual = 0, 0
        self._epoch_start = (0, 0)  # steps and skipped steps before the current epoch

    @property
    def _confusions(self) -> Mapping[str, np.ndarray]:
        """The source's latest confusions, or those before the interruption if it has none yet."""
        return (self._source.confusions if self._source else {}) or self._restored

    def state(self) -> dict[str, Any]:
        losses = {"first": list(self._first), "latest": list(self._latest)}
        skipped = {"skipped": self._skipped, "usual": self._usual, "epoch_start": list(self._epoch_start)}
        confusions = {head: matrix.tolist() for head, matrix in self._confusions.items()}
        return {"warnings": dict(self.warnings), "step": self._step, **losses, **skipped, "confusions": confusions}

    def restore(self, state: dict[str, Any]) -> None:
        self.warnings, self._step, self._first = dict(state["warnings"]), state["step"], list(state["first"])
        self._latest = deque(state["latest"], maxlen=LATEST)
        self._skipped, self._usual, self._epoch_start = state["skipped"], state["usual"], tuple(state["epoch_start"])
        self._restored = {head: np.array(matrix) for head, matrix in state["confusions"].items()}
        self._write()  # the file may hold warnings of steps that will be repeated

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._write()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._step += 1
        self._skipped = int((logs or {}).get("skipped", 0))
        loss = float((logs or {}).get("loss", math.nan))
        if not math.isfinite(loss) or "loss" in self.warnings:
            return
        (self._first if len(self._first) < FIRST else self._latest).append(loss)
        if len(self._latest) == LATEST:
            first, latest = sum(self._first) / FIRST, sum(self._latest) / LATEST
            change = (1 - LESS) * abs(first)
            if self._continues and latest > first + change:
                self._warn("loss", *_loss_rises(self._step, first, latest))
            elif not self._continues and not latest < first - change:
                self._warn("loss", *_loss_stays(self._step, first, latest))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self._step >= PATIENCE:
            self._look()
        steps, skipped = self._step - self._epoch_start[0], self._skipped - self._epoch_start[1]
        if self._epoch_start[0] == 0 and skipped < USUAL:
            self._usual = skipped
        elif skipped > SKIPPED_LATELY * steps:
            self._warn_of_skipped(skipped, f"{steps:,} steps of the epoch up to step {self._step:,}")
        self._epoch_start = (self._step, self._skipped)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._steps not in (None, self._step):
            return
        if self._step >= SHORTEST:
            self._look()
        skipped = self._skipped - self._usual
        if skipped > SKIPPED * self._step:
            self._warn_of_skipped(self._skipped, f"{self._step:,} steps of the training")

    def _look(self) -> None:
        """Warns if the latest predictions are of one class."""
        if self._source is None or "one class" in self.warnings:
            return
        data = self._source.data
        for head, matrix in self._confusions.items():
            text = only_class(matrix, data.heads[head])
            if text:
                where = f"{head} pixels of {data.name} {data.split}".strip()
                self._warn("one class", *_one_class(self._step, where, text))
                return

    def _warn_of_skipped(self, skipped: int, of: str) -> None:
        if "skipped" not in self.warnings:
            self._warn("skipped", *_skipped(skipped, of))

    def _warn(self, kind: str, *advice: str | Setting) -> None:
        self.warnings[kind] = told(*advice)
        LOG.warning(self.warnings[kind])
        self._write()

    def _write(self) -> None:
        texts = [*self._known, *self.warnings.values()]
        if self._path and texts:
            write_text(self._path, "".join(f"{text}\n" for text in texts))
        elif self._path:
            self._path.unlink(missing_ok=True)


def only_class(confusion: np.ndarray, classes: Sequence[str]) -> str | None:
    """A phrase about the one class that a network predicts; None if it predicts others, too.

    It predicts one class if the others are predicted on less than a hundredth of their true pixels. So data with hardly
    any pixel of another class give None.

    Args:
      confusion: (K, K), rows truth.
      classes: the K names.
    """
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    total, only = int(true.sum()), int(predicted.argmax())
    if total - predicted[only] >= ONE_CLASS * (total - true[only]):
        return None
    share = f"{predicted[only] / total:.1%}"
    return f"{classes[only]} on {'all' if predicted[only] == total else share}; true are {true[only] / total:.1%}"


def _one_class(step: int, where: str, text: str) -> Advice:
    return (
        f"after {step:,} steps the network finds one class only among the {where}: {text}. Usual causes: it starts "
        "from random weights (",
        Setting("init_weights", "imagenet"),
        ", or a network of yours), the learning rate is far too high or too low (",
        RATE,
        "), or one class has nearly all pixels (",
        Setting("loss.class_weights", "median"),
        "). If the training has just begun, wait for the next validation.",
    )


def _loss_stays(step: int, first: float, latest: float) -> Advice:
    return (
        f"the loss does not fall: its mean is {latest:.4g} over the {LATEST} steps up to {step:,}, and {first:.4g} "
        f"over the first {FIRST}. Usual causes: a learning rate that is too low, or so high that the loss jumps (",
        RATE,
        ", ten times more or less), labels that do not belong to their images (look at `kseg data show`), or a network "
        "that was trained on these data before.",
    )


def _loss_rises(step: int, first: float, latest: float) -> Advice:
    return (
        f"the loss rises: its mean is {latest:.4g} over the {LATEST} steps up to {step:,}, and {first:.4g} over the "
        f"first {FIRST}, although the network was trained on these data before. The usual cause is a learning rate "
        "that is too high (",
        RATE,
        ", a tenth).",
    )


def _skipped(skipped: int, of: str) -> Advice:
    return (
        f"{skipped:,} of the {of} were skipped and changed nothing, because their loss or gradients were not finite. "
        "The usual cause is a learning rate that is too high (",
        RATE,
        ", a tenth). Under mixed_float16 a few at the beginning are usual, while the loss scale falls. If they do not "
        "stop, the range of float16 is too small for this network (",
        Setting("precision", "float32"),
        ").",
    )
