"""One step of a training: a batch forward and back on all devices, and the weights' update."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from kseg.datasets import by_name
from kseg.device import trains_faster_compiled
from kseg.errors import EnvironmentFailure, Setting
from kseg.models.quick import call_quickly
from kseg.training.devices import Devices, is_deterministic
from kseg.training.step.fused import call_in_training


def step_of(
    model: keras.Model, element_spec: Any, devices: Devices, *, compiled: bool | None = None
) -> Callable[..., tuple[float, bool]]:
    """A function of a batch that does one step: forward, back, update. It returns the loss and whether all was finite.

    The loss is that before the update. Several devices compute with their parts of a batch what one device computes
    with the whole, up to rounding. Dropout is the exception: each device draws the masks of its own part from the same
    seed and step, so that all devices drop the same from their first images, from their second images, and so on. The
    same number of devices repeats its masks exactly, also after a break.

    Where a gradient is not finite, nothing changes but the scale of an optimiser that scales the loss. Where memory
    does not suffice, the function raises EnvironmentFailure.

    Args:
      model: compiled.
      element_spec: of the batches.
      devices: those in whose scope the network was made.
      compiled: as `is_compiled` takes it.
    """
    strategy, replicas = devices.strategy, devices.count
    update = _update_of(model, strategy)
    # What a step moves beside the weights: the averages of batch normalisation, but no frozen weights.
    others = (each for each in model.non_trainable_variables if each.dtype == "float32")
    moving = [each for each in others if not each.value.trainable]

    def of_any_count(batch: Any) -> Any:
        """The batch without its number of images, which may differ between devices.

        Gradients are summed over the devices in the order in which they are computed. That order depends on the known
        shapes, so all devices must know the same.
        """
        if replicas == 1:
            return batch
        shapeless = tf.compat.v1.placeholder_with_default
        return tf.nest.map_structure(lambda part: shapeless(part, (None, *part.shape[1:])), batch)

    def forward_and_back(*batch: Any) -> tuple[Any, Any, Any]:
        image, label, weight_map = (*of_any_count(batch), None)[:3]
        before = [tf.identity(variable.value) for variable in moving]
        with tf.GradientTape() as tape:
            scores, labels = by_name(call_quickly(model, image, training=True, call=call_in_training)), by_name(label)
            sums = [model.loss.sums(labels[head], part, weight_map) for head, part in scores.items()]
            # The losses of several heads are added, as in the FCN release.
            loss = tf.add_n([model.loss.of_sums(_summed(each)) for each in sums])
            # The devices sum the gradients twice: those of the loss's sums, and those of the weights.
            scaled = model.optimizer.scale_loss(loss) / replicas
        gradients = tape.gradient(scaled, model.trainable_variables)
        broken = tf.add_n([tf.cast(tf.reduce_any(~tf.math.is_finite(each)), tf.float32) for each in gradients])
        broken = _summed([broken + tf.cast(~tf.math.is_finite(loss), tf.float32)])[0]
        for variable, value in zip(moving, before, strict=True):
            variable.assign(tf.where(broken > 0, value, variable.value))
        return loss, broken, gradients

    # One trace for all sizes. A batch shared among devices has no such signature.
    signature = element_spec if replicas == 1 else None
    one_size = all(part.shape[1:3].is_fully_defined() for part in tf.nest.flatten(element_spec))

    @tf.function(
        input_signature=signature,
        jit_compile=is_compiled(compiled, devices, one_size=one_size),
        reduce_retracing=True,
        autograph=False,  # no Python code here branches on tensors; autograph took a third of the tracing time
    )
    def step(*batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
        loss, broken, gradients = strategy.run(forward_and_back, batch)
        loss, broken = (strategy.experimental_local_results(each)[0] for each in (loss, broken))
        update(broken > 0, gradients)
        return loss, broken

    def run(*batch: Any) -> tuple[float, bool]:
        try:
            loss, broken = step(*batch)
        except tf.errors.ResourceExhaustedError as error:
            raise EnvironmentFailure(
                "A step does not fit into memory.",
                "Pass a smaller ",
                Setting("data.batch_size"),
                " or ",
                Setting("data.crop"),
                ", or ",
                Setting("precision", "mixed_float16"),
                ".",
            ) from error
        return float(loss), float(broken) == 0

    return run


def _update_of(model: keras.Model, strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor, Any], None]:
    """The weights' update: a function of whether the gradients are broken, and of each device's gradients.

    It is traced inside the step. Its conditions stand outside of the devices' parts, since a condition inside may not
    hold anything that crosses devices.
    """
    optimizer, replicas = model.optimizer, strategy.num_replicas_in_sync
    if not optimizer.built:  # an optimiser built while tracing would make its first scale a constant
        optimizer.build(model.trainable_variables)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    clips, accumulate = inner.global_clipnorm, getattr(inner, "accumulate", 1)

    def lower_scale() -> None:
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer.step_counter.assign(0)
            optimizer.dynamic_scale.assign(optimizer.dynamic_scale * 0.5)

    def gather(gradients: Sequence[tf.Tensor]) -> None:
        for total, each in zip(inner.gradient_sums, gradients, strict=True):
            total.value.assign_add(each / optimizer.scale_loss(1.0))
        inner.gathered.assign(inner.gathered + 1)

    def apply(gradients: Sequence[tf.Tensor]) -> None:
        if accumulate > 1:
            share = optimizer.scale_loss(1.0) / replicas
            sums = [total.value * share for total in inner.gradient_sums]
            gradients = [(each + total) / accumulate for each, total in zip(gradients, sums, strict=True)]
            for variable in (*inner.gradient_sums, inner.gathered):
                variable.assign(tf.zeros_like(variable))
        if clips and replicas > 1:  # the sum is clipped, not each device's part; the optimiser sums the shares again
            whole, _ = tf.clip_by_global_norm(_summed(gradients), optimizer.scale_loss(clips))
            gradients = [each / replicas for each in whole]
        optimizer.apply(gradients, model.trainable_variables)

    def move(gradients: Any) -> None:
        if accumulate == 1:
            strategy.run(apply, (gradients,))
        else:
            is_last = tf.equal(inner.gathered.value, accumulate - 1)
            tf.cond(is_last, lambda: strategy.run(apply, (gradients,)), lambda: strategy.run(gather, (gradients,)))

    return lambda is_broken, gradients: tf.cond(is_broken, lower_scale, lambda: move(gradients))


def _summed(values: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    """The values summed over all devices; to be called within a device's part."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, list(values)) if context.num_replicas_in_sync > 1 else values


def is_compiled(wanted: bool | None, devices: Devices, *, one_size: bool) -> bool:
    """Whether XLA compiles a step, which it can for one device and batches of one size.

    A deterministic TensorFlow refuses to compile the gradient of max pooling, on processors too.

    Args:
      wanted: whether it shall where it can; None for what is faster on this processor.
      devices: those that train.
      one_size: whether all batches have one height and width.
    """
    wanted = trains_faster_compiled() if wanted is None else wanted
    return wanted and one_size and devices.count == 1 and not is_deterministic()


@contextmanager
def with_average_weights(model: keras.Model) -> Iterator[None]:
    """Inside, the network has the running average of its weights, if its optimiser keeps one."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema or optimizer.iterations.numpy() == 0:  # there is none before the first update
        yield
        return
    own = [tf.identity(variable.value) for variable in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, own, strict=True):
            variable.assign(value)
