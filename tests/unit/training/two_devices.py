"""Run in a process of its own: trains on one device and on two logical CPUs, and prints what came out as JSON."""

import json
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

import kseg
from kseg.objectives import CrossEntropyAndDice
from kseg.training.devices import dtype_policy, synchronise
from kseg.training.loop import run_steps
from kseg.training.optimizers import freeze, make_optimizer
from kseg.training.specs import OptimizerSpec

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


def trained(strategy, spec=SGD, sizes=(4, 4, 4, 4), norm="batch", precision="float32", broken=False):
    keras.utils.set_random_seed(0)
    losses = Losses()
    with strategy.scope():
        with dtype_policy(precision):
            model = kseg.build("unet", width=4, depth=1, padding="same", normalization=norm, dropout=0.0)
        if strategy.num_replicas_in_sync > 1:
            synchronise(model)
        freeze(spec, model)
        model.compile(make_optimizer(spec, 10), CrossEntropyAndDice())
        model.optimizer.build(model.trainable_variables)
    run_steps(
        model,
        batches(sizes, broken),
        steps=len(sizes),
        epoch_steps=2,
        callbacks=[losses],
        skip=3,
        strategy=strategy,
    )
    values = [variable.numpy().ravel().tolist() for variable in model.variables if variable.dtype == "float32"]
    return {"losses": losses.seen, "values": values}


CASES = {
    "batch sizes that do not divide": {"sizes": (5, 2, 5, 2)},
    "a broken image on one device": {"broken": True},
    "frozen": {"spec": replace(SGD, rate_factors=("enc*:0",)), "broken": True},
    "clipped": {"norm": "none", "spec": OptimizerSpec(name="sgd", learning_rate=0.1, clip_norm=0.1)},
    "accumulated": {"sizes": (4, 3, 4, 3, 4, 4, 3), "spec": replace(SGD, accumulate=3)},
    "accumulated and clipped": {"norm": "none", "spec": replace(SGD, accumulate=2, clip_norm=0.1)},
    "loss scaling, accumulated": {"precision": "mixed_float16", "norm": "none", "spec": replace(SGD, accumulate=2)},
    "loss scaling, broken": {"precision": "mixed_float16", "broken": True, "norm": "none"},
}

if __name__ == "__main__":
    one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found = {name: [trained(one, **options), trained(two, **options)] for name, options in CASES.items()}
    print(json.dumps(found))
