"""Run in a process of its own: trains on one device and on two logical CPUs, and prints what came out as JSON."""

import json
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg.inference import set_precision
from kseg.objectives import CrossEntropyAndDice
from kseg.training.checkpoint import Keeper, newest_whole
from kseg.training.devices import Devices, synchronise
from kseg.training.loop import Plan, run_steps
from kseg.training.optimizers import freeze, make_optimizer
from kseg.training.specs import CheckpointSpec, OptimizerSpec

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
SGD = OptimizerSpec(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-3, rate_factors=("*/bias:2",), ema=0.5)


class Losses(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((logs["loss"], int(logs["skipped"])))


def batches(sizes, broken):
    """Squares to be found, with void and class weights; of the third batch the last image may hold no number."""
    rng = np.random.default_rng(0)
    made = []
    for number, size in enumerate(sizes):
        label = rng.integers(0, 2, (size, 16, 16)).astype(np.int32)
        image = (label[..., None] * 200 + rng.normal(0, 9, (size, 16, 16, 1))).astype(np.float32)
        weights = np.where(label == 1, 3, 1).astype(np.float32)
        label[0, : 4 * number] = 255  # the devices count unlike many pixels
        if broken and number == 2:
            image[-1] = np.nan
        made.append((image, label, weights))
    spec = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in made[0])
    return tf.data.Dataset.from_generator(lambda: iter(made), output_signature=spec)


def small(norm="batch", dropout=0.0):
    """Two convolutions: what devices share is the same as of a U-Net, whose graph takes four times as long to make."""
    image = keras.Input((None, None, 1))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=norm == "none", name="enc_conv")(x)
    if norm == "batch":
        x = keras.layers.BatchNormalization(momentum=0.9, name="enc_norm")(x)
    x = keras.layers.Dropout(dropout)(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.Conv2D(2, 3, padding="same", dtype="float32", name="head")(x))


def fcn_without_dropout():
    """Its score begins at zero in the paper, which would keep every other gradient at zero for a step."""
    model = kseg.build(
        "fcn32s", classes=2, input_shape=(None, None, 1), backbone="alexnet", padding="same", width=1 / 16, fc_width=8
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    kernel = model.get_layer("score_fr").kernel
    kernel.assign(keras.random.normal(kernel.shape, seed=0))
    return model


def made(strategy, network, spec, precision="float32"):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = network()
        set_precision(model, precision)
        if strategy.num_replicas_in_sync > 1:
            synchronise(model)
        freeze(spec, model)
        optimizer = make_optimizer(spec, 10)
        scaled = precision == "mixed_float16"
        model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer, CrossEntropyAndDice())
        model.optimizer.build(model.trainable_variables)
    return model


def trained(strategy, spec=SGD, sizes=(4, 4, 4, 4), network=small, precision="float32", broken=False):
    losses, model = Losses(), made(strategy, network, spec, precision)
    run_steps(
        model, batches(sizes, broken), Plan(len(sizes), 2, skip=3), callbacks=[losses], devices=Devices.of(strategy)
    )
    return {"losses": losses.seen, "values": values_of(model)}


def values_of(model):
    return [variable.numpy().ravel().tolist() for variable in model.variables if variable.dtype == "float32"]


def with_dropout(strategy, *stops):
    """The weights of a network with dropout after as many steps as the last stop, taken up anew after each before."""
    with tempfile.TemporaryDirectory() as folder:
        for stop in stops:
            model = made(strategy, lambda: small("none", 0.5), SGD)
            keeper = Keeper(Path(folder), CheckpointSpec(every_steps=1), model, [], SimpleNamespace(asked=False))
            if found := newest_whole(Path(folder) / "checkpoints"):
                keeper.restore(found)
            stream = batches((4,) * stop, False).skip(keeper.position.step)
            run_steps(model, stream, Plan(4, 4), keeper=keeper, devices=Devices.of(strategy))
    return values_of(model)


def kept_by_dropout(strategy):
    """Which of an image's 64 pixels dropout keeps, on each device, in two steps one after another."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        layer = keras.layers.Dropout(0.5)

    @tf.function
    def step():
        return strategy.run(lambda: layer(tf.ones((1, 64)), training=True))

    return [[part.numpy().ravel().tolist() for part in strategy.experimental_local_results(step())] for _ in range(2)]


plain = partial(small, "none")
CASES = {
    "an FCN whose dropout drops nothing": {"network": fcn_without_dropout, "spec": replace(SGD, learning_rate=1e-3)},
    "batch sizes that do not divide": {"sizes": (5, 2, 5, 2)},
    "a broken image on one device": {"broken": True},
    "frozen": {"spec": replace(SGD, rate_factors=("enc*:0",)), "broken": True},
    "clipped": {"network": plain, "spec": OptimizerSpec(name="sgd", learning_rate=0.1, clip_norm=0.1)},
    "accumulated": {"sizes": (4, 3, 4, 3, 4, 4, 3), "spec": replace(SGD, accumulate=3)},
    "accumulated and clipped": {"network": plain, "spec": replace(SGD, accumulate=2, clip_norm=0.1)},
    "loss scaling, accumulated": {"precision": "mixed_float16", "network": plain, "spec": replace(SGD, accumulate=2)},
    "loss scaling, broken": {"precision": "mixed_float16", "broken": True, "network": plain},
}

if __name__ == "__main__":
    one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found = {name: [trained(one, **options), trained(two, **options)] for name, options in CASES.items()}
    found["dropout, unbroken and taken up"] = [with_dropout(two, 4), with_dropout(two, 2, 4)]
    found["kept by dropout"] = kept_by_dropout(two)
    print(json.dumps(found))
