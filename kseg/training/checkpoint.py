"""Checkpoints: everything that a training needs to go on exactly, in folders that are whole or absent.

A folder step-000123 holds state.npz and best.keras. The first has every variable of the network and of its optimiser,
and the state of the callbacks. The second is the best network so far. Both are zip archives, whose checksums show
damage.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.errors import Interrupted, WeightsError, in_a_line
from kseg.log import LOG
from kseg.storage import aside, writing
from kseg.training.devices import SharedStop
from kseg.training.specs import CheckpointSpec
from kseg.training.stopping import StopSignal

STATE, BEST = "state.npz", "best.keras"


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Attributes:
      step: batches done.
      loss_sum, losses: the sum of the losses of the current epoch, and their number; skipped steps do not count.
      skipped: how many steps of the whole training were skipped, since their gradients were not finite.
      row: how many of the latest steps were skipped one after another.
      stopped: whether a callback ended the training here.
    """

    step: int = 0
    loss_sum: float = 0.0
    losses: int = 0
    skipped: int = 0
    row: int = 0
    stopped: bool = False

    @property
    def mean_loss(self) -> float:
        """Of the current epoch; NaN where all its steps were skipped."""
        return self.loss_sum / self.losses if self.losses else math.nan

    def after(self, loss: float | None, *, begins_epoch: bool) -> Position:
        """The position after one more step with this loss; None where the step was skipped."""
        loss_sum, losses = (0.0, 0) if begins_epoch else (self.loss_sum, self.losses)
        if loss is None:
            return Position(self.step + 1, loss_sum, losses, self.skipped + 1, self.row + 1)
        return Position(self.step + 1, loss_sum + loss, losses + 1, self.skipped)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint's folder.

    Attributes:
      path: the folder.
      position: how far the training had come.
      best_step: the step of the best network so far; None where there is none yet.
      callbacks: the state of each callback, by its kind and number.
      variables: the values of the network's and the optimiser's variables, in their order.
    """

    path: Path
    position: Position
    best_step: int | None
    callbacks: dict[str, Any]
    variables: tuple[np.ndarray, ...]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The whole checkpoint, with its checksums verified.

    Raises:
      WeightsError: it is damaged, or the folder is no checkpoint.
    """
    path = Path(path)
    try:
        if (path / STATE).exists() and not zipfile.is_zipfile(path / STATE):
            raise zipfile.BadZipFile(f"{STATE} is not as it was written")
        with (path / STATE).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        state = json.loads(arrays.pop("state").tobytes())
        variables = tuple(arrays.pop(f"variable{index}") for index in range(state["variables"]))
        if state["has_best"]:
            with zipfile.ZipFile(path / BEST) as network:
                if (bad := network.testzip()) is not None:
                    raise zipfile.BadZipFile(f"{BEST}: {bad} is not as it was written")
        return Checkpoint(path, Position(**state["place"]), state["best_step"], state["callbacks"], variables)
    except Exception as error:
        raise WeightsError(
            f"{path}: this checkpoint is damaged, or none is there ({in_a_line(error)}).",
            f"Choose another in {path.parent}.",
        ) from error


def newest_whole(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint in `folder`, after a warning of each damaged one; None where there is none."""
    for _, path in sorted(_steps(folder).items(), reverse=True):
        try:
            return read_checkpoint(path)
        except WeightsError as error:
            LOG.warning("passed over: %s", error)
    return None


def newest_of(folder: Path) -> Path | None:
    """The newest checkpoint in `folder`, whole or not."""
    return max(_steps(folder).items(), default=(0, None))[1]


class Keeper:
    """Keeps the checkpoints of a run: at each epoch's end, by steps and minutes, and when the run is to stop.

    Attributes:
      position: how far the training has come.
    """

    def __init__(
        self,
        run: Path,
        spec: CheckpointSpec,
        model: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
        stop: StopSignal | SharedStop,
        *,
        writes: bool = True,
    ) -> None:
        """Callbacks with `state` and `restore` say themselves what to keep.

        Keras' own have neither, and no other way to ask for what they know (EarlyStopping: for how many epochs it has
        waited). So their attributes that are plain numbers and text are kept, as far as the training changed them.

        Args:
          run: the run folder, in which model.keras is the best network so far.
          spec: when to save.
          model: compiled.
          callbacks: those whose state is kept. One that restores itself and has `best` chooses the best network.
          stop: tells when the training is to stop.
          writes: false on every worker but the first, which go on from what the first worker saved.
        """
        self.position, self._writes = Position(), writes
        self._run, self._folder, self._spec, self._stop = run, run / "checkpoints", spec, stop
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        self._variables = [*model.variables, *model.optimizer.variables]
        self._callbacks = _named([each for each in callbacks if hasattr(each, "restore")])
        self._others = _named([each for each in callbacks if not hasattr(each, "restore")])
        self._as_made = {name: _plain(each) for name, each in self._others.items()}
        self._of_others: dict[str, dict[str, Any]] = {}
        self._bests = [each for each in self._callbacks.values() if hasattr(each, "best")]
        self._best_scores: list[float] = [each.best for each in self._bests]
        self._best_step: int | None = None
        self._saved_at = time.monotonic()

    def restore(self, saved: Checkpoint) -> None:
        """Sets network, optimiser, callbacks and the run's best network back to a checkpoint.

        Raises:
          WeightsError: it belongs to another network or other callbacks.
        """
        shapes = [tuple(variable.shape) for variable in self._variables]
        if shapes != [value.shape for value in saved.variables]:
            raise WeightsError(
                f"{saved.path}: {len(saved.variables)} variables that do not fit the {len(shapes)} of this run's "
                "network and optimiser.",
                "Go on with the version of kseg that began the run, or begin another.",
            )
        for variable, value in zip(self._variables, saved.variables, strict=True):
            variable.assign(value)
        for name, callback in self._callbacks.items():
            try:
                callback.restore(saved.callbacks[name])
            except KeyError as error:
                raise WeightsError(
                    f"{saved.path}: the state of {name} is missing ({error}).",
                    "Go on with the version of kseg and the callbacks that began the run, or begin another.",
                ) from error
        self._of_others = {name: state for name, state in saved.callbacks.items() if name in self._others}
        if self._writes and (saved.path / BEST).exists():
            with aside(self._run / "model.keras") as room:
                _link(saved.path / BEST, room)
        self.position, self._best_step = saved.position, saved.best_step
        self._best_scores = [each.best for each in self._bests]

    def begin(self) -> None:
        """Gives the other callbacks their attributes back, after their `on_train_begin` has reset them."""
        for name, state in self._of_others.items():
            vars(self._others[name]).update(state)

    def after_step(self, position: Position, *, epoch_ended: bool) -> None:
        """Saves the state if it is time to.

        Raises:
          Interrupted: the run was told to stop; its state is saved.
        """
        self.position = position
        scores = [each.best for each in self._bests]
        if scores != self._best_scores:
            self._best_scores, self._best_step = scores, position.step
        stop = self._stop.asked
        if self._writes and (epoch_ended or stop or self._is_due()):
            self.save()
        if stop:
            raise Interrupted(f"Interrupted after step {position.step}; the state is saved.")

    def save(self) -> Path:
        """Writes a checkpoint; it is on the disk when this returns."""
        step = self.position.step
        self._remove([each for each in _steps(self._folder) if each >= step])  # of a training that this one replaces
        best = self._run / "model.keras"
        state = {
            "place": asdict(self.position),
            "best_step": self._best_step,
            "has_best": best.exists(),
            "callbacks": {**{name: each.state() for name, each in self._callbacks.items()}, **self._states()},
            "variables": len(self._variables),
        }
        path = self._folder / f"step-{step:06d}"
        with aside(path) as room:
            room.mkdir()
            arrays = {f"variable{number}": variable.numpy() for number, variable in enumerate(self._variables)}
            np.savez(room / STATE, state=np.frombuffer(json.dumps(state, default=float).encode(), np.uint8), **arrays)
            if state["has_best"]:
                _link(best, room / BEST)
            for each in (*room.iterdir(), room):
                _to_disk(each)
        _to_disk(self._folder)
        newest = sorted(_steps(self._folder))[-self._spec.keep :]
        self._remove([each for each in _steps(self._folder) if each not in (*newest, self._best_step)])
        self._saved_at = time.monotonic()
        return path

    def _states(self) -> dict[str, dict[str, Any]]:
        """The plain attributes of the other callbacks that the training changed."""
        return {
            name: {key: value for key, value in _plain(each).items() if value != self._as_made[name].get(key, each)}
            for name, each in self._others.items()
        }

    def _is_due(self) -> bool:
        steps, minutes = self._spec.every_steps, self._spec.every_minutes
        by_steps = steps is not None and self.position.step % steps == 0
        return by_steps or (minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes)

    def _remove(self, steps: Sequence[int]) -> None:
        """Removes checkpoints. Each is renamed first, so that a half-removed one does not look damaged."""
        for step, path in _steps(self._folder).items():
            if step in steps:
                gone = path.with_name(f".kseg-{path.name}")
                with writing(path):
                    shutil.rmtree(gone, ignore_errors=True)
                    path.rename(gone)
                    shutil.rmtree(gone)


def _named(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, Any]:
    """The callbacks by kind and number."""
    kinds = [type(each).__name__ for each in callbacks]
    return {f"{kind}-{kinds[:place].count(kind)}": callbacks[place] for place, kind in enumerate(kinds)}


def _plain(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """The attributes of a callback that are plain numbers and text."""
    return {name: value for name, value in vars(callback).items() if isinstance(value, int | float | str | None)}


def sweep(run: Path) -> None:
    """Removes from the folder `run` what a killed process left half-written."""
    for path in list(run.rglob(".kseg-*")):
        shutil.rmtree(path, ignore_errors=True)


def _steps(folder: Path) -> dict[int, Path]:
    """The checkpoints in `folder` by their step."""
    return {int(path.name[5:]): path for path in folder.glob("step-*") if path.name[5:].isdigit()}


def _link(source: Path, target: Path) -> None:
    """Links a file that is only ever replaced, never changed; copies it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _to_disk(path: Path) -> None:
    """Waits until a file or folder is safe from a power cut; Windows can't do so for a folder."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
