"""kseg's networks on Keras' JAX backend, without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np

from benchmarks.peers.systems.kseg_system import built


def load(task: Any) -> Any:
    import kseg

    assert keras.backend.backend() == "jax"
    keras.config.set_dtype_policy(task.precision)  # layers that need float32 name it themselves
    return built(task.work, kseg, keras)


def caller(model: Any, task: Any) -> Callable[[], Any]:
    return (_step if task.work.is_step else _forward)(model, task)


def _values(variables: Any) -> list[Any]:
    return [variable.value for variable in variables]


def _forward(model: Any, task: Any) -> Callable[[], Any]:
    trained, others = _values(model.trainable_variables), _values(model.non_trainable_variables)
    image = task.work.image(task.batch)
    forward = jax.jit(lambda trained, others, image: model.stateless_call(trained, others, image, training=False)[0])
    return lambda: np.asarray(forward(trained, others, image))


def _step(model: Any, task: Any) -> Callable[[], float]:
    from kseg.objectives import PixelCrossEntropy

    work, loss_of = task.work, PixelCrossEntropy()
    optimizer = keras.optimizers.SGD(work.learning_rate, momentum=work.momentum)
    optimizer.build(model.trainable_variables)
    image, label = jax.device_put(work.image(task.batch)), jax.device_put(work.label(task.batch))

    def loss_and_others(trained: Any, others: Any, image: Any, label: Any) -> tuple[Any, Any]:
        scores, others = model.stateless_call(trained, others, image, training=True)
        return loss_of(label, scores), others

    def update(state: Any, image: Any, label: Any) -> tuple[Any, Any]:
        trained, others, moments = state
        (loss, others), gradients = jax.value_and_grad(loss_and_others, has_aux=True)(trained, others, image, label)
        trained, moments = optimizer.stateless_apply(moments, gradients, trained)
        return loss, (trained, others, moments)

    compiled = jax.jit(update, donate_argnums=0)
    variables = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    state = tuple(_values(each) for each in variables)

    def step() -> float:
        nonlocal state
        loss, state = compiled(state, image, label)
        return float(jax.block_until_ready((loss, state))[0])

    return step
