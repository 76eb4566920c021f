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
SKIPPED_LATELY, SKIPPED = 0.5, 0.1  # more skipped steps than this share of an epoch, of the training, are a warning
USUAL = 30  # fewer skipped in the first epoch are no reason: under mixed_float16 the loss scale falls until it fits


class Judge(Protocol):
    """What has predicted lately: `Validate` or `Samples`."""

    @property
    def data(self) -> Dataset: ...

    @property
    def confusions(self) -> Mapping[str, np.ndarray]: ...


class Watch(keras.callbacks.Callback):
    """Says once on standard error what looks wrong, and keeps it.

    That is all pixels in one class, a loss that does not fall, and steps that were skipped in great numbers.

    Attributes:
      warnings: what was said, in its order, by kind.
    """

    def __init__(
        self,
        judge: Any = None,
        path: str | Path | None = None,
        *,
        steps: int | None = None,
        continues: bool = False,
        known: Sequence[str] = (),
    ) -> None:
        """What is watched.

        Args:
          judge: Validate, or Samples where there is nothing to validate on, which stands before in the list; None for
            the loss alone.
          path: a text file that holds the warnings, one a line, `known` first; there is none while there is no warning.
          steps: of the whole training; one that ends before was broken off, and is not judged by its last state.
          continues: it starts from a network that was trained on these data, whose loss need not fall, only not rise.
          known: warnings that were said before the training began.
        """
        super().__init__()
        self._judge: Judge | None = judge
        self._path = Path(path) if path else None
        self._steps, self._continues = steps, continues
        self._known = [" ".join(text.split()) for text in known]
        self.warnings: dict[str, str] = {}
        self._restored: dict[str, np.ndarray] = {}  # the judge's confusions before the break
        self._step, self._first = 0, list[float]()
        self._latest: deque[float] = deque(maxlen=LATEST)
        self._skipped, self._usual = 0, 0
        self._epoch_start = (0, 0)  # steps and skipped ones before the epoch under way

    @property
    def _confusions(self) -> Mapping[str, np.ndarray]:
        """The judge's latest, or those before the break where it has not judged since."""
        return (self._judge.confusions if self._judge else {}) or self._restored

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
        self._write()  # the file may hold warnings of steps that are to come again

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
                self._warn("loss", _loss_rises(self._step, first, latest))
            elif not self._continues and not latest < first - change:
                self._warn("loss", _loss_stays(self._step, first, latest))

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
        """Warns where the latest predictions are of one class."""
        if self._judge is None or "one class" in self.warnings:
            return
        for head, matrix in self._confusions.items():
            text = only_class(matrix, self._judge.data.heads[head])
            if text:
                where = f"{self._judge.data.name} {self._judge.data.split}"
                self._warn("one class", _one_class(self._step, f"{head} pixels of {where}".strip(), text))
                return

    def _warn_of_skipped(self, skipped: int, of: str) -> None:
        if "skipped" not in self.warnings:
            self._warn("skipped", _skipped(skipped, of))

    def _warn(self, kind: str, text: str) -> None:
        self.warnings[kind] = text
        # Not click.echo, which in some locales goes past a bar that is drawn, and into its line.
        print(f"warning: {text}", file=sys.stderr)
        self._write()

    def _write(self) -> None:
        texts = [*self._known, *self.warnings.values()]
        if self._path and texts:
            write_text(self._path, "".join(f"{text}\n" for text in texts))
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


def _loss_rises(step: int, first: float, latest: float) -> str:
    return (
        f"the loss rises: {latest:.4g} in the mean over the {LATEST} steps up to {step:,}, {first:.4g} over the first "
        f"{FIRST}, though the network was trained on these data before. The usual cause is a learning rate that is too "
        "high (--set optimizer.learning_rate=..., a tenth)."
    )


def _skipped(skipped: int, of: str) -> str:
    return (
        f"{skipped:,} of the {of} were skipped and changed nothing, since their loss or gradients were no finite "
        "numbers. The usual cause is a learning rate that is too high (--set optimizer.learning_rate=..., a tenth). "
        "Under mixed_float16 a few at the beginning are usual, while the loss scale falls; if they do not stop, the "
        "range of float16 is too small for this network (--precision float32)."
    )
