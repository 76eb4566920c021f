"""The loop: step by step, Keras callbacks around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from kseg.errors import DataError, TrainingDiverged, in_a_line
from kseg.training.checkpoint import Keeper, Place
from kseg.training.devices import agreement, shared, worker_of
from kseg.training.first_nan import first_not_finite
from kseg.training.step import averaged, step_of


def run_steps(
    model: keras.Model,
    batches: tf.data.Dataset,
    *,
    steps: int,
    epoch_steps: int,
    callbacks: Sequence[keras.callbacks.Callback],
    keeper: Keeper | None = None,
    skip: int = 0,
    names: Callable[[int], Sequence[str]] = lambda step: (),
    strategy: tf.distribute.Strategy | None = None,
) -> None:
    """Trains a compiled `model` for `steps` batches; an epoch is `epoch_steps` of them, the last as many as remain.

    The loss is a kseg.objectives.BatchLoss. Every device takes a part of this worker's batch, and the step is that of
    the whole. Where the optimiser averages the weights, the callbacks find the average in the network at an epoch's
    end. `logs` of a batch: loss, wait_s (spent on waiting for the batch), skipped (how many steps were, so far).

    Args:
      batches: of this worker, from the step on that the keeper's place says.
      keeper: says after which step it begins, and is asked after each whether to save.
      skip: how many steps in a row may have gradients that are no numbers. They change no weight; an optimiser that
        scales the loss (under mixed_float16) halves the scale.
      names: the items in the batch of a step, the first of which is 0.
      strategy: in whose scope the network was made; None for one device.

    Raises:
      TrainingDiverged: more steps than that; the message says where it began.
      Interrupted: the keeper was told to stop, and saved.
      DataError: an item could not be read.
    """
    strategy = strategy or tf.distribute.get_strategy()
    _, workers = worker_of(strategy)
    step = step_of(model, batches.element_spec, strategy)
    lengths = {"epochs": -(-steps // epoch_steps), "steps": epoch_steps}
    around = keras.callbacks.CallbackList(list(callbacks), model=model, verbose=0, **lengths)
    place, agree = keeper.place if keeper else Place(), agreement(model, strategy)
    model.stop_training = False
    around.on_train_begin()
    if keeper:
        keeper.begin()
    first, bad = place.step + 1, None
    if place.stopped:
        steps = place.step
    try:
        for done, (wait_s, batch) in enumerate(readable(batches.take(steps - place.step)), start=first):
            epoch, position = divmod(done - 1, epoch_steps)
            if position == 0 or done == first:
                around.on_epoch_begin(epoch)
            around.on_train_batch_begin(position)
            scale = float(model.optimizer.scale_loss(1.0))
            loss, finite = step(*shared(batch, strategy))
            place = place.after(loss if finite else None, begins_epoch=position == 0)
            bad = None if finite else bad or (done, batch, scale)
            if bad and (place.row > skip or (place.skipped == steps and scale == 1)):
                raise _diverged(model, *bad, f"step {bad[0]} of {steps}", names)
            around.on_train_batch_end(position, {"loss": loss, "wait_s": wait_s, "skipped": place.skipped})
            # A callback may stop it, as EarlyStopping; several workers stop together, at an epoch's end.
            ended = done % epoch_steps == 0 or done == steps or (model.stop_training and workers == 1)
            if ended:
                with averaged(model):
                    around.on_epoch_end(epoch, {"loss": place.mean_loss, "skipped": place.skipped})
                agree()
                place = replace(place, stopped=model.stop_training)
            if keeper:
                keeper.after_step(place, epoch_ended=ended)
            if place.stopped:
                break
    finally:
        around.on_train_end()  # a broken training leaves no half-drawn bar and no open file either


def _diverged(
    model: keras.Model, step: int, batch: Any, scale: float, where: str, names: Callable[[int], Sequence[str]]
) -> TrainingDiverged:
    """What to say of the first of the steps that were skipped; the weights are still as they were before it."""
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        model.optimizer.dynamic_scale.assign(scale)
    files = ", ".join(names(step - 1))
    return TrainingDiverged(
        f"Training diverged at {where}: {first_not_finite(model, batch)}"
        + (f", of {files}." if files else ".")
        + " Look at what that batch holds, or begin another run at a lower rate (--set optimizer.learning_rate=...)."
    )


def readable(batches: tf.data.Dataset) -> Iterator[tuple[float, Any]]:
    """The batches and the seconds each was waited for; what a data set raised inside tf.data is a DataError again."""
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread kept a training that was stopped waiting, for up to ten seconds
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
