"""The loop: batches through the network, gradients into the weights, Keras callbacks around it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from kseg.device import trains_faster_compiled
from kseg.errors import DataError, TrainingDiverged
from kseg.objectives import CrossEntropyAndDice, PixelCrossEntropy
from kseg.pipeline import Augmentation, Elastic, Grey, GreyCurve, Mirror, Rotation, Shift
from kseg.training.recipe import AugmentSpec, LossSpec, OptimizerSpec


def make_loss(spec: LossSpec) -> keras.losses.Loss:
    return CrossEntropyAndDice(spec.dice) if spec.dice else PixelCrossEntropy()


def make_optimizer(spec: OptimizerSpec, steps: int) -> keras.optimizers.Optimizer:
    """The optimiser, whose learning rate reaches zero after `steps` unless it is constant."""
    schedules = keras.optimizers.schedules
    rate = {
        "constant": lambda: spec.learning_rate,
        "cosine": lambda: schedules.CosineDecay(spec.learning_rate, steps),
        "polynomial": lambda: schedules.PolynomialDecay(
            spec.learning_rate, steps, end_learning_rate=0.0, power=spec.power
        ),
    }[spec.schedule]()
    if spec.name == "sgd":
        return keras.optimizers.SGD(rate, momentum=spec.momentum)
    return keras.optimizers.Adam(rate)


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """What is built inside computes by this Keras policy: float32, mixed_float16 or mixed_bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_augmentations(spec: AugmentSpec) -> list[Augmentation]:
    """The augmentations a recipe asks for, the geometric ones from the output back to the image."""
    chosen: list[tuple[bool, Augmentation]] = [
        (spec.elastic > 0, Elastic(spec.elastic, spec.elastic_spacing)),
        (spec.mirror or spec.flip, Mirror(spec.mirror, spec.flip)),
        (spec.rotation > 0, Rotation(spec.rotation)),
        (spec.shift > 0, Shift(spec.shift)),
        (spec.grey_curve, GreyCurve()),
        (spec.gain > 0 or spec.offset > 0, Grey(spec.gain, spec.offset)),
    ]
    return [augmentation for wanted, augmentation in chosen if wanted]


def run_steps(
    model: keras.Model,
    batches: tf.data.Dataset,
    *,
    steps: int,
    epoch_steps: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Trains a compiled `model` for `steps` batches; an epoch is `epoch_steps` of them, the last as many as remain.

    An optimiser that scales the loss (Keras wraps it so under mixed_float16) skips the steps whose scaled gradients
    overflow, and halves the scale.

    Raises:
      TrainingDiverged: a loss that is no number; the message says at which step.
      DataError: an item could not be read.
    """
    if not model.optimizer.built:  # else the first scale would be a constant of the traced step
        model.optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=trains_faster_compiled())
    def step(image: tf.Tensor, label: tf.Tensor, weight_map: tf.Tensor | None = None) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = model.loss(label, model(image, training=True), weight_map)
            scaled = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return loss

    around = keras.callbacks.CallbackList(list(callbacks), model=model)
    around.on_train_begin()
    total = 0.0
    for done, batch in enumerate(_readable(batches.take(steps)), start=1):
        epoch, place = divmod(done - 1, epoch_steps)
        if place == 0:
            around.on_epoch_begin(epoch)
            total = 0.0
        loss = float(step(*batch))
        total += loss
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"Training diverged: the loss is {loss} at step {done} of {steps}. "
                "Lower the learning rate: --set optimizer.learning_rate=..."
            )
        around.on_train_batch_end(place, {"loss": loss})
        if done % epoch_steps == 0 or done == steps:
            around.on_epoch_end(epoch, {"loss": total / (place + 1)})
    around.on_train_end()


def _readable(batches: tf.data.Dataset):
    """The batches; what a data set raised inside tf.data becomes a DataError again."""
    iterator = iter(batches)
    while True:
        try:
            yield next(iterator)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            raise DataError(f"A batch could not be made: {error.message.splitlines()[0]}") from error
