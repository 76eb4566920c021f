"""Which devices compute, in which precision, and what each of them gets of a batch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import keras
import tensorflow as tf

from kseg.errors import ConfigError, EnvironmentFailure
from kseg.training.stopping import StopSignal

# What a worker meets when another one is gone.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
)
DETERMINISTIC = "TF_DETERMINISTIC_OPS"  # TensorFlow's own name for it
# A worker that lives but does nothing keeps the others waiting so long; the first's validation and report must fit in.
WAIT_S = 6 * 3600


def workers_named() -> int:
    """How many workers TF_CONFIG names, which all train together; 1 where it is not set.

    Raises:
      EnvironmentFailure: it can't be read.
    """
    if not os.environ.get("TF_CONFIG"):
        return 1
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        cluster, index = config["cluster"], config["task"]["index"]
        if set(cluster) != {"worker"}:
            raise ValueError(f"there are {', '.join(cluster)}, not workers alone; the first worker is the chief")
        if not 0 <= index < len(cluster["worker"]):
            raise ValueError(f"this is worker {index} of {len(cluster['worker'])}, counted from 0")
        return len(cluster["worker"])
    except (ValueError, KeyError, TypeError) as error:
        raise _not_followed(error) from error


def strategy_at_hand(images: int) -> tf.distribute.Strategy:
    """All workers that TF_CONFIG names, else as many GPUs of this machine as a batch has `images`, else one device.

    Raises:
      EnvironmentFailure: TF_CONFIG can't be followed.
    """
    if workers_named() > 1:
        task = json.loads(os.environ["TF_CONFIG"])["task"]
        click.echo(f"worker {task['index']} of {workers_named()}: begins when all others have come.", err=True)
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=WAIT_S)
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        except (ValueError, RuntimeError, tf.errors.OpError) as error:
            raise _not_followed(error) from error
    gpus = tf.config.list_logical_devices("GPU")[:images]
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
    return tf.distribute.get_strategy()


def _not_followed(error: Exception) -> EnvironmentFailure:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return EnvironmentFailure(
        f"TF_CONFIG can't be followed ({reason}). It must name the workers and this one, as "
        '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}, '
        "and training must be the first that this process does with TensorFlow."
    )


def worker_of(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Which worker this process is, from 0, and of how many."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    return resolver.task_id, resolver.cluster_spec().num_tasks("worker")


def shared(batch: Any, strategy: tf.distribute.Strategy) -> Any:
    """The batch of this worker, a part of it for each of its devices: whole images, as evenly as can be.

    Raises:
      ConfigError: there are fewer images than devices.
    """
    count = strategy.num_replicas_in_sync // worker_of(strategy)[1]
    if count == 1:
        return batch
    images = len(tf.nest.flatten(batch)[0])
    if images < count:
        raise ConfigError(f"A batch of {images} can't be shared by {count} devices. Raise --batch-size.")

    def of_device(context: tf.distribute.experimental.ValueContext, tensor: tf.Tensor) -> tf.Tensor:
        return tensor[context.replica_id_in_sync_group % count :: count]

    flat = [
        strategy.experimental_distribute_values_from_function(lambda context, tensor=tensor: of_device(context, tensor))
        for tensor in tf.nest.flatten(batch)
    ]
    return tf.nest.pack_sequence_as(batch, flat)


def mean_over_workers(strategy: tf.distribute.Strategy) -> Callable[[float], float]:
    """A function that gives the mean of all workers' numbers; every worker must call it as often."""

    @tf.function
    def total(number: tf.Tensor) -> tf.Tensor:
        def of_device(number: tf.Tensor) -> tf.Tensor:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, number + 0.0)

        return strategy.experimental_local_results(strategy.run(of_device, (number,)))[0]

    return lambda number: float(total(tf.constant(number, tf.float64))) / strategy.num_replicas_in_sync


def agreement(model: keras.Model, strategy: tf.distribute.Strategy) -> Callable[[], None]:
    """A function after which all workers stop, or go on at a rate, as the first's callbacks said; all must call it."""
    worker, workers = worker_of(strategy)
    if workers == 1:
        return lambda: None
    mean = mean_over_workers(strategy)

    def agree() -> None:
        model.stop_training = mean(float(model.stop_training)) > 0
        rate = model.optimizer.learning_rate
        if isinstance(rate, keras.Variable):
            rate.assign(mean(0.0 if worker else float(rate.numpy()) * workers))

    return agree


class SharedStop:
    """A signal to stop that holds for all workers, in the same step, when any of them got it."""

    def __init__(self, own: StopSignal, strategy: tf.distribute.Strategy) -> None:
        self._own, self._mean = own, mean_over_workers(strategy)

    @property
    def asked(self) -> bool:
        """Whether it came; every worker must ask as often as the others."""
        return self._mean(float(self._own.asked)) > 0


def synchronise(model: keras.Model) -> None:
    """Makes batch normalisation take its mean and variance over all devices."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def make_deterministic() -> None:
    """Makes all of TensorFlow deterministic, for as long as this process lives."""
    tf.config.experimental.enable_op_determinism()
    os.environ[DETERMINISTIC] = "1"  # the call alone can't be asked about


def is_deterministic() -> bool:
    """Whether all of TensorFlow is deterministic, as asked for here or by whoever started this process."""
    return os.environ.get(DETERMINISTIC, "").lower() in ("1", "true")


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """What is built inside computes by this Keras policy: float32, mixed_float16 or mixed_bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
