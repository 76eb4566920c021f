"""kseg on TensorFlow: `kseg.predictor`, and the step of its trainings."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from benchmarks.peers.processor import IMITATE, flags


def load(task: Any) -> Any:
    """The network of kseg.build."""
    if os.environ.get(IMITATE):
        from kseg import device

        device._flags = lambda: " ".join(flags())  # kseg chooses by the flags, which can't be hidden otherwise
    import keras

    import kseg

    return built(task.work, kseg, keras)


def built(work: Any, kseg: Any, keras: Any) -> Any:
    """The network of a work with its weights, without dropout."""
    shape = (None, None, work.channels)
    model = kseg.build(work.network, classes=work.classes, input_shape=shape, **work.options)
    for layer in model.layers:
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        for each in layer.weights:
            if "seed_generator" not in each.path:
                each.assign(work.weight(layer.name, each.name, tuple(each.shape), transposed=transposed))
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return model


def caller(model: Any, task: Any) -> Callable[[], Any]:
    import kseg

    image = task.work.image(task.batch)
    if not task.work.is_step:
        predictor = kseg.predictor(model, precision=task.precision)
        return lambda: predictor(image)

    import tensorflow as tf

    from kseg.inference import set_precision
    from kseg.objectives import PixelCrossEntropy
    from kseg.training.devices import Devices
    from kseg.training.optimizers import make_optimizer
    from kseg.training.specs import OptimizerSpec
    from kseg.training.step import step_of

    work = task.work
    set_precision(model, task.precision)
    options = {"name": "sgd", "learning_rate": work.learning_rate, "schedule": "constant", "momentum": work.momentum}
    model.compile(optimizer=make_optimizer(OptimizerSpec(**options), 1), loss=PixelCrossEntropy())
    batch = tf.constant(image), tf.constant(work.label(task.batch))
    # As a training with a fixed crop describes its batches: any number of images of one size.
    spec = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batch)
    step = step_of(model, spec, Devices.of())
    return lambda: step(*batch)[0]
