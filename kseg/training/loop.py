"""The loop: batches through the network, gradients into the weights, Keras callbacks around it, on all devices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from kseg.datasets import by_name
from kseg.device import trains_faster_compiled
from kseg.errors import DataError, TrainingDiverged
from kseg.training.checkpoint import Keeper, Place
from kseg.training.devices import shared
from kseg.training.diagnosis import first_not_finite

SUM = tf.distribute.ReduceOp.SUM


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
    step = step_of(model, batches.element_spec, strategy)
    lengths = {"epochs": -(-steps // epoch_steps), "steps": epoch_steps}
    around = keras.callbacks.CallbackList(list(callbacks), model=model, **lengths)
    model.stop_training = False
    around.on_train_begin()
    place = keeper.place if keeper else Place()
    first, bad = place.step + 1, None
    try:
        for done, (wait_s, batch) in enumerate(_readable(batches.take(steps - place.step)), start=first):
            epoch, position = divmod(done - 1, epoch_steps)
            if position == 0 or done == first:
                around.on_epoch_begin(epoch)
            around.on_train_batch_begin(position)
            loss, finite = step(*shared(batch, strategy))
            place = place.after(loss if finite else None, begins_epoch=position == 0)
            bad = None if finite else bad or (done, batch)
            if bad and done - bad[0] >= skip:
                raise _diverged(model, *bad, f"step {bad[0]} of {steps}", names)
            around.on_train_batch_end(position, {"loss": loss, "wait_s": wait_s, "skipped": place.skipped})
            ended = done % epoch_steps == 0 or done == steps
            if ended:
                with averaged(model):
                    around.on_epoch_end(epoch, {"loss": place.mean_loss, "skipped": place.skipped})
            if keeper:
                keeper.after_step(place, epoch_ended=ended)
            if model.stop_training:  # a callback said so, as EarlyStopping
                break
    finally:
        around.on_train_end()  # a broken training leaves no half-drawn bar and no open file either


def step_of(
    model: keras.Model, element_spec: Any, strategy: tf.distribute.Strategy
) -> Callable[..., tuple[float, bool]]:
    """One batch forward and back, and the weights' update; returns the loss before it and whether all was finite.

    Where a gradient is no finite number nothing changes but the scale of an optimiser that scales the loss.

    Args:
      model: compiled.
      element_spec: of the batches.
      strategy: in whose scope the network was made.
    """
    optimizer, replicas = model.optimizer, strategy.num_replicas_in_sync
    if not optimizer.built:  # else the first scale would be a constant of the traced step
        optimizer.build(model.trainable_variables)
    moving = [variable for variable in model.non_trainable_variables if variable.dtype == "float32"]
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    clips = getattr(optimizer, "inner_optimizer", optimizer).global_clipnorm

    def summed(values: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        return tf.distribute.get_replica_context().all_reduce(SUM, list(values)) if replicas > 1 else values

    def of_any_count(batch: Any) -> Any:
        """The batch without its number of images, which may differ from device to device.

        Gradients are summed over the devices in the order in which they are made, and that depends on known shapes.
        """
        if replicas == 1:
            return batch
        shapeless = tf.compat.v1.placeholder_with_default
        return tf.nest.map_structure(lambda part: shapeless(part, (None, *part.shape[1:])), batch)

    def forward_and_back(*batch: Any) -> tuple[Any, Any, Any]:
        image, label, weight_map = (*of_any_count(batch), None)[:3]
        before = [tf.identity(variable.value) for variable in moving]
        with tf.GradientTape() as tape:
            scores, labels = by_name(model(image, training=True)), by_name(label)
            sums = [model.loss.sums(labels[head], part, weight_map) for head, part in scores.items()]
            # Several heads' losses are summed, as the FCN release does.
            loss = tf.add_n([model.loss.of_sums(summed(each)) for each in sums])
            # The sums' gradients are summed over the devices, and so are the weights'.
            scaled = optimizer.scale_loss(loss) / replicas
        gradients = tape.gradient(scaled, model.trainable_variables)
        if clips and replicas > 1:  # the whole is clipped, not each device's part; the optimiser adds them up again
            whole, _ = tf.clip_by_global_norm(summed(gradients), optimizer.scale_loss(clips))
            gradients = [each / replicas for each in whole]
        broken = tf.add_n([tf.cast(tf.reduce_any(~tf.math.is_finite(each)), tf.float32) for each in gradients])
        broken = summed([broken + tf.cast(~tf.math.is_finite(loss), tf.float32)])[0]
        for variable, value in zip(moving, before, strict=True):
            variable.assign(tf.where(broken > 0, value, variable.value))
        return loss, broken, gradients

    def lower_scale() -> None:
        if scales:
            optimizer.step_counter.assign(0)
            optimizer.dynamic_scale.assign(optimizer.dynamic_scale * 0.5)

    def apply(gradients: Sequence[tf.Tensor]) -> None:
        optimizer.apply(gradients, model.trainable_variables)

    # One trace for all sizes; what is shared among devices has no such signature.
    signature = element_spec if replicas == 1 else None

    @tf.function(input_signature=signature, jit_compile=_compiled(element_spec, replicas), reduce_retracing=True)
    def step(*batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        loss, broken, gradients = strategy.run(forward_and_back, batch)
        loss, broken = (strategy.experimental_local_results(each)[0] for each in (loss, broken))
        # Not within a device's own part, where what crosses devices may not be conditional.
        tf.cond(broken > 0, lower_scale, lambda: strategy.run(apply, (gradients,)))
        return loss, broken

    def run(*batch: Any) -> tuple[float, bool]:
        loss, broken = step(*batch)
        return float(loss), float(broken) == 0

    return run


def _compiled(element_spec: Any, replicas: int) -> bool:
    """Whether a step is compiled for its batches' one size."""
    is_one_size = all(part.shape[1:3].is_fully_defined() for part in tf.nest.flatten(element_spec))
    return is_one_size and replicas == 1 and trains_faster_compiled()


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Inside, the network has the running average of its weights, where its optimiser keeps one."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        yield
        return
    own = [tf.identity(variable.value) for variable in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)


def _diverged(
    model: keras.Model, step: int, batch: Any, where: str, names: Callable[[int], Sequence[str]]
) -> TrainingDiverged:
    """What to say of the first of the steps that were skipped; the weights are still as they were before it."""
    files = ", ".join(names(step - 1))
    return TrainingDiverged(
        f"Training diverged at {where}: {first_not_finite(model, batch)}"
        + (f", of {files}." if files else ".")
        + " Look at what that batch holds, or begin another run at a lower rate (--set optimizer.learning_rate=...)."
    )


def _readable(batches: tf.data.Dataset) -> Iterator[tuple[float, Any]]:
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
            raise DataError(f"A batch could not be made: {error.message.splitlines()[0]}") from error
        yield time.monotonic() - started, batch
