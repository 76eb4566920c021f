"""Warnings of a training that goes wrong, each once, with the likely cause and what to do."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from kseg.datasets import Dataset
from kseg.storage import write_text

FIRST, LATEST, LESS = 20, 200, 0.99  # the latest steps' mean loss is to be below this share of the first's
PATIENCE, SHORTEST = 200, 50  # steps before one class alone is a warning, and before it is one of a short training
ONE_CLASS = 0.01  # the others are predicted on less than this share of the pixels they have


class Judge(Protocol):
    """What has predicted lately: `Validate` or `Samples`."""

    @property
    def data(self) -> Dataset: ...

    @property
    def confusions(self) -> Mapping[str, np.ndarray]: ...


class Watch(keras.callbacks.Callback):
    """Says once on standard error what looks wrong, and keeps it: all pixels in one class, a loss that does not fall.

    Attributes:
      warnings: what was said, in its order, by kind.
    """

    def __init__(self, judge: Any = None, path: str | Path | None = None, *, steps: int | None = None) -> None:
        """What is watched.

        Args:
          judge: Validate, or Samples where there is nothing to validate on, which stands before in the list; None for
            the loss alone.
          path: a text file that holds the warnings, one a line; there is none while there is no warning.
          steps: of the whole training; one that ends before was broken off, and is not judged by its last state.
        """
        super().__init__()
        self._judge: Judge | None = judge
        self._path = Path(path) if path else None
        self._steps = steps
        self.warnings: dict[str, str] = {}
        self._step, self._first = 0, list[float]()
        self._latest: deque[float] = deque(maxlen=LATEST)

    def state(self) -> dict[str, Any]:
        losses = {"first": list(self._first), "latest": list(self._latest)}
        return {"warnings": dict(self.warnings), "step": self._step, **losses}

    def restore(self, state: dict[str, Any]) -> None:
        self.warnings, self._step, self._first = dict(state["warnings"]), state["step"], list(state["first"])
        self._latest = deque(state["latest"], maxlen=LATEST)
        self._write()  # the file may hold warnings of steps that are to come again

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._step += 1
        loss = float((logs or {}).get("loss", math.nan))
        if not math.isfinite(loss) or "loss" in self.warnings:
            return
        (self._first if len(self._first) < FIRST else self._latest).append(loss)
        if len(self._latest) == LATEST:
            first, latest = sum(self._first) / FIRST, sum(self._latest) / LATEST
            if not latest < first - (1 - LESS) * abs(first):
                self._warn("loss", _loss_stays(self._step, first, latest))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self._step >= PATIENCE:
            self._look()

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._step >= SHORTEST and self._steps in (None, self._step):
            self._look()

    def _look(self) -> None:
        """Warns where the latest predictions are of one class."""
        if self._judge is None or "one class" in self.warnings:
            return
        for head, matrix in self._judge.confusions.items():
            text = only_class(matrix, self._judge.data.heads[head])
            if text:
                where = f"{self._judge.data.name} {self._judge.data.split}"
                self._warn("one class", _one_class(self._step, f"{head} pixels of {where}".strip(), text))
                return

    def _warn(self, kind: str, text: str) -> None:
        self.warnings[kind] = text
        # Not click.echo, which in some locales goes past a bar that is drawn, and into its line.
        print(f"warning: {text}", file=sys.stderr)
        self._write()

    def _write(self) -> None:
        if self._path and self.warnings:
            write_text(self._path, "".join(f"{text}\n" for text in self.warnings.values()))
        elif self._path:
            self._path.unlink(missing_ok=True)


def only_class(confusion: np.ndarray, classes: Sequence[str]) -> str | None:
    """Words for the one class that a network predicts, None where it predicts others too.

    The others must be predicted on less than a hundredth of the pixels they truly have: data of one class alone, or
    nearly so, are no reason to warn.

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


def without_pixels(classes: Sequence[str], pixels: Sequence[int]) -> str | None:
    """What to say of classes that the training data hold no pixel of; None where there is none such.

    Args:
      classes: the names.
      pixels: how many each has.
    """
    never = [name for name, count in zip(classes, pixels, strict=True) if count == 0]
    if not never:
        return None
    several = len(never) > 1
    return (
        f"no pixel to train on for {', '.join(never)}: the network will not learn {'them' if several else 'it'}. "
        f"Either no image shows {'them' if several else 'it'}, or the labels use other numbers than the class list. "
        "`kseg data stats` counts the pixels of each class; put such images into the part that is trained on, or take "
        f"the name{'s' if several else ''} out of the class list."
    )


def _one_class(step: int, where: str, text: str) -> str:
    return (
        f"after {step:,} steps the network finds one class only among the {where}: {text}. Usual causes: it starts "
        "from nothing (--init-weights imagenet, or a network of yours), the learning rate is far too high or too low "
        "(--set optimizer.learning_rate=...), or one class has nearly all pixels "
        "(--set loss.class_weights=median). If it has just begun, wait for the next validation."
    )


def _loss_stays(step: int, first: float, latest: float) -> str:
    return (
        f"the loss does not fall: {latest:.4g} in the mean over the {LATEST} steps up to {step:,}, {first:.4g} over "
        f"the first {FIRST}. Usual causes: a learning rate that is too low, or so high that it jumps about "
        "(--set optimizer.learning_rate=..., ten times more or less), labels that do not belong to their images "
        "(look at `kseg data show`), or a network that was trained on these data before."
    )
