"""The devices of a training, the workers among them, and each one's part of a batch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from kseg.errors import ConfigError, EnvironmentFailure, Setting, in_a_line
from kseg.log import LOG
from kseg.training.stopping import StopSignal

# The errors that a worker meets when another worker is gone.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
)
DETERMINISTIC = "TF_DETERMINISTIC_OPS"  # TensorFlow's own name for it
# A worker waits so long for one that lives but does nothing. The first worker's validation and report must fit in.
WAIT_S = 6 * 3600


@dataclass(frozen=True)
class Devices:
    """The devices that train together.

    Attributes:
      strategy: TensorFlow's object for all of them, over all workers.
      worker: the number of this process among the workers, from 0.
      workers: how many processes train together.
    """

    strategy: tf.distribute.Strategy
    worker: int = 0
    workers: int = 1

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy | None = None) -> Devices:
        """The devices of a strategy; None for that of the current scope, which is one device outside of any scope."""
        strategy = strategy or tf.distribute.get_strategy()
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return cls(strategy)
        resolver = strategy.cluster_resolver
        return cls(strategy, resolver.task_id, resolver.cluster_spec().num_tasks("worker"))

    @classmethod
    def at_hand(cls, images: int) -> Devices:
        """All workers that TF_CONFIG names; else as many GPUs of this machine as a batch has `images`; else one device.

        Raises:
          EnvironmentFailure: TF_CONFIG can't be followed.
        """
        if workers_named() > 1:
            task = json.loads(os.environ["TF_CONFIG"])["task"]
            LOG.info("worker %s of %s: begins when all others have come.", task["index"], workers_named())
            options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=WAIT_S)
            try:
                return cls.of(tf.distribute.MultiWorkerMirroredStrategy(communication_options=options))
            except (ValueError, RuntimeError, tf.errors.OpError) as error:
                raise _not_followed(error) from error
        gpus = tf.config.list_logical_devices("GPU")[:images]
        return cls.of(tf.distribute.MirroredStrategy([gpu.name for gpu in gpus]) if len(gpus) > 1 else None)

    @property
    def count(self) -> int:
        """How many devices compute, of all workers together."""
        return self.strategy.num_replicas_in_sync


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


def _not_followed(error: Exception) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"TF_CONFIG can't be followed ({in_a_line(error, 200)}).",
        'It must name all workers and this one: {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, '
        '"task": {"type": "worker", "index": 0}}. Training must be the first thing that this process does with '
        "TensorFlow.",
    )


def shared(batch: Any, devices: Devices) -> Any:
    """This worker's batch, with a part for each of its devices: whole images, as evenly as possible.

    Raises:
      ConfigError: there are fewer images than devices.
    """
    count = devices.count // devices.workers
    if count == 1:
        return batch
    images = len(tf.nest.flatten(batch)[0])
    if images < count:
        raise ConfigError(
            f"A batch of {images} can't be shared by {count} devices.", "Pass ", Setting("data.batch_size", count), "."
        )

    def of_device(context: tf.distribute.experimental.ValueContext, tensor: tf.Tensor) -> tf.Tensor:
        return tensor[context.replica_id_in_sync_group % count :: count]

    give = devices.strategy.experimental_distribute_values_from_function
    flat = [give(lambda context, tensor=tensor: of_device(context, tensor)) for tensor in tf.nest.flatten(batch)]
    return tf.nest.pack_sequence_as(batch, flat)


def mean_over_workers(devices: Devices) -> Callable[[float], float]:
    """A function that gives the mean of all workers' numbers. Every worker must call it equally often."""
    strategy = devices.strategy

    @tf.function
    def total(number: tf.Tensor) -> tf.Tensor:
        def of_device(number: tf.Tensor) -> tf.Tensor:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, number + 0.0)

        return strategy.experimental_local_results(strategy.run(of_device, (number,)))[0]

    return lambda number: float(total(tf.constant(number, tf.float64))) / devices.count


def agreement(model: keras.Model, devices: Devices) -> Callable[[], None]:
    """A function that makes all workers stop, or take a learning rate, as the first worker's callbacks said.

    Every worker must call it equally often.
    """
    if devices.workers == 1:
        return lambda: None
    mean = mean_over_workers(devices)

    def agree() -> None:
        model.stop_training = mean(float(model.stop_training)) > 0
        rate = model.optimizer.learning_rate
        if isinstance(rate, keras.Variable):
            rate.assign(mean(0.0 if devices.worker else float(rate.numpy()) * devices.workers))

    return agree


class SharedStop:
    """A signal to stop that holds for all workers in the same step, whichever of them received it."""

    def __init__(self, own: StopSignal, devices: Devices) -> None:
        self._own, self._mean = own, mean_over_workers(devices)

    @property
    def asked(self) -> bool:
        """Whether a signal came. Every worker must ask equally often."""
        return self._mean(float(self._own.asked)) > 0


def synchronise(model: keras.Model) -> None:
    """Makes batch normalisation compute its mean and variance over all devices."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def make_deterministic() -> None:
    """Makes all of TensorFlow deterministic until this process ends."""
    tf.config.experimental.enable_op_determinism()
    os.environ[DETERMINISTIC] = "1"  # TensorFlow does not tell whether the call was made


def is_deterministic() -> bool:
    """Whether all of TensorFlow is deterministic, by `make_deterministic` or by the environment."""
    return os.environ.get(DETERMINISTIC, "").lower() in ("1", "true")
