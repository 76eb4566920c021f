"""The training loop: step after step, with Keras callbacks around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from kseg.errors import DataError, Setting, TrainingDiverged, in_a_line
from kseg.training.checkpoint import Keeper, Position
from kseg.training.devices import Devices, agreement, shared
from kseg.training.step import first_not_finite, step_of, with_average_weights


@dataclass(frozen=True)
class Plan:
    """How long a training lasts, and what it puts up with.

    Attributes:
      steps: how many batches in all.
      epoch_steps: how many of them are an epoch; the last epoch has as many as remain.
      skip: how many steps in a row may have gradients that are not finite. They change no weight. An optimiser that
        scales the loss (in mixed_float16) halves the scale.
      names: gives the items in the batch of a step, counted from 0.
      compiled: whether XLA compiles a step where it can; None for what is faster on this processor.
    """

    steps: int
    epoch_steps: int
    skip: int = 0
    names: Callable[[int], Sequence[str]] = lambda step: ()
    compiled: bool | None = None


def run_steps(
    model: keras.Model,
    batches: tf.data.Dataset,
    plan: Plan,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    keeper: Keeper | None = None,
    devices: Devices | None = None,
) -> None:
    """Trains a compiled `model` to the end of the plan.

    The loss is a kseg.objectives.BatchLoss. Every device takes a part of this worker's batch, and the step is that of
    the whole batch. Where the optimiser averages the weights, the network has the average while callbacks run at an
    epoch's end. The `logs` of a batch are loss, wait_s (seconds that the step waited for the batch) and skipped (how
    many steps were skipped so far).

    Args:
      batches: this worker's, from the keeper's position on.
      keeper: knows the step to begin at, and decides after each step whether to save; None for neither.
      devices: those in whose scope the network was made; None for one device.

    Raises:
      TrainingDiverged: more steps than `skip` were not finite; the message says where it began.
      Interrupted: the training was told to stop, and the keeper saved its state.
      DataError: an item can't be read.
    """
    devices, steps = devices or Devices.of(), plan.steps
    step = step_of(model, batches.element_spec, devices, compiled=plan.compiled)
    lengths = {"epochs": -(-steps // plan.epoch_steps), "steps": plan.epoch_steps}
    around = keras.callbacks.CallbackList(list(callbacks), model=model, verbose=0, **lengths)
    position, agree = keeper.position if keeper else Position(), agreement(model, devices)
    model.stop_training = False
    around.on_train_begin()
    if keeper:
        keeper.begin()
    first, bad = position.step + 1, None
    if position.stopped:
        steps = position.step
    try:
        for done, (wait_s, batch) in enumerate(readable(batches.take(steps - position.step)), start=first):
            epoch, in_epoch = divmod(done - 1, plan.epoch_steps)
            if in_epoch == 0 or done == first:
                around.on_epoch_begin(epoch)
            around.on_train_batch_begin(in_epoch)
            scale = float(model.optimizer.scale_loss(1.0))
            loss, finite = step(*shared(batch, devices))
            position = position.after(loss if finite else None, begins_epoch=in_epoch == 0)
            bad = None if finite else bad or (done, batch, scale)
            if bad and (position.row > plan.skip or (position.skipped == steps and scale == 1)):
                raise _diverged(model, *bad, plan)
            around.on_train_batch_end(in_epoch, {"loss": loss, "wait_s": wait_s, "skipped": position.skipped})
            # A callback such as EarlyStopping may end the training. Several workers stop together, at an epoch's end.
            ended = done % plan.epoch_steps == 0 or done == steps or (model.stop_training and devices.workers == 1)
            if ended:
                with with_average_weights(model):
                    around.on_epoch_end(epoch, {"loss": position.mean_loss, "skipped": position.skipped})
                agree()
                position = replace(position, stopped=model.stop_training)
            if keeper:
                keeper.after_step(position, epoch_ended=ended)
            if position.stopped:
                break
    finally:
        around.on_train_end()  # so that a broken training leaves no half-drawn bar and no open file


def _diverged(model: keras.Model, step: int, batch: Any, scale: float, plan: Plan) -> TrainingDiverged:
    """The error for the first of the skipped steps. The weights are still those before it."""
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        model.optimizer.dynamic_scale.assign(scale)
    files = ", ".join(plan.names(step - 1))
    return TrainingDiverged(
        f"Training diverged at step {step} of {plan.steps}: {first_not_finite(model, batch)}"
        + (f", of {files}." if files else "."),
        "Look at what that batch holds, or begin another run at a lower rate: ",
        Setting("optimizer.learning_rate"),
        ".",
    )


def readable(batches: tf.data.Dataset) -> Iterator[tuple[float, Any]]:
    """Each batch with the seconds that the step waited for it. An error inside tf.data becomes a DataError."""
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread made a stopped training wait for up to ten seconds
    iterator = iter(batches.with_options(options))
    while True:
        started = time.monotonic()
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            raise DataError(f"A batch could not be made: {in_a_line(error.message.splitlines()[0])}") from error
        yield time.monotonic() - started, batch
