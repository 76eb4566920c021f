"""The loop: batches through the network, gradients into the weights, Keras callbacks around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from kseg.datasets import by_name
from kseg.device import multiplies_bfloat16, trains_faster_compiled
from kseg.errors import DataError, TrainingDiverged
from kseg.objectives import CrossEntropyAndDice, PixelCrossEntropy
from kseg.pipeline import Augmentation, Elastic, Grey, GreyCurve, Mirror, Rotation, Saturation, Scale, Shift
from kseg.training.checkpoint import Keeper, Place
from kseg.training.recipe import AugmentSpec, LossSpec, OptimizerSpec, Recipe


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
    options = {
        "global_clipnorm": spec.clip_norm,
        "gradient_accumulation_steps": None if spec.accumulate == 1 else spec.accumulate,
    }
    if spec.name == "sgd":
        return keras.optimizers.SGD(rate, momentum=spec.momentum, **options)
    return keras.optimizers.Adam(rate, **options)


def settled_precision(recipe: Recipe) -> str:
    """The recipe's precision, "auto" replaced by what this device computes fastest.

    A GPU with tensor cores (compute capability 7.0) takes mixed_float16, a processor with AMX mixed_bfloat16; float32
    elsewhere, and where the recipe is deterministic.
    """
    if recipe.precision != "auto":
        return recipe.precision
    if recipe.deterministic:
        return "float32"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return "mixed_float16" if details.get("compute_capability", (0, 0)) >= (7, 0) else "float32"
    return "mixed_bfloat16" if multiplies_bfloat16() else "float32"


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
        (spec.scale != 1, Scale(spec.scale)),
        (spec.saturation > 0, Saturation(spec.saturation)),
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
    keeper: Keeper | None = None,
) -> None:
    """Trains a compiled `model` for `steps` batches; an epoch is `epoch_steps` of them, the last as many as remain.

    A `keeper` says after which step it begins, and is asked after each whether to save; `batches` begin there.

    An optimiser that scales the loss (Keras wraps it so under mixed_float16) skips the steps whose scaled gradients
    overflow, and halves the scale.

    Raises:
      TrainingDiverged: a loss that is no number; the message says at which step.
      Interrupted: the keeper was told to stop, and saved.
      DataError: an item could not be read.
    """
    step = step_of(model)
    around = keras.callbacks.CallbackList(list(callbacks), model=model)
    around.on_train_begin()
    begun = keeper.place if keeper else Place()
    loss_sum = begun.loss_sum
    try:
        for done, batch in enumerate(_readable(batches.take(steps - begun.step)), start=begun.step + 1):
            epoch, position = divmod(done - 1, epoch_steps)
            loss_sum = loss_sum if position else 0.0
            if position == 0 or done == begun.step + 1:
                around.on_epoch_begin(epoch)
            loss = float(step(*batch))
            if not math.isfinite(loss):
                raise TrainingDiverged(
                    f"Training diverged: the loss is {loss} at step {done} of {steps}. "
                    "Lower the learning rate: --set optimizer.learning_rate=..."
                )
            loss_sum += loss
            around.on_train_batch_end(position, {"loss": loss})
            ended = done % epoch_steps == 0 or done == steps
            if ended:
                around.on_epoch_end(epoch, {"loss": loss_sum / (position + 1)})
            if keeper:
                keeper.after_step(Place(done, loss_sum), epoch_ended=ended)
    finally:
        around.on_train_end()  # a broken training leaves no half-drawn bar and no open file either


def step_of(model: keras.Model) -> Callable[..., tf.Tensor]:
    """One batch forward and back, and the weights' update; returns the loss before it."""
    if not model.optimizer.built:  # else the first scale would be a constant of the traced step
        model.optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=trains_faster_compiled())
    def step(image: Any, label: Any, weight_map: tf.Tensor | None = None) -> tf.Tensor:
        with tf.GradientTape() as tape:
            scores, labels = by_name(model(image, training=True)), by_name(label)
            # Several heads' losses are summed, as the FCN release does.
            loss = tf.add_n([model.loss(labels[head], part, weight_map) for head, part in scores.items()])
            scaled = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def _readable(batches: tf.data.Dataset):
    """The batches; what a data set raised inside tf.data becomes a DataError again."""
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread kept a training that was stopped waiting, for up to ten seconds
    iterator = iter(batches.with_options(options))
    while True:
        try:
            yield next(iterator)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            raise DataError(f"A batch could not be made: {error.message.splitlines()[0]}") from error
