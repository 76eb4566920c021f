"""Batch normalisation by TensorFlow's kernels is Keras' layer: outputs, moving averages and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.models.quick import call_quickly
from kseg.training.step.fused import call_in_training

# Keras and the kernel sum the same 2 x 9 x 11 values in another order: each sum is off by sqrt(198) units of 2^-24.
# The variance is a sum of squares, the gradient a difference of two such sums: four times that is allowed.
ROUNDING = 4 * 198**0.5 * 2.0**-24


def made(kind="float32", **options):
    keras.utils.set_random_seed(0)
    layer = keras.layers.BatchNormalization(momentum=0.9, dtype=kind, **options)
    layer.build((None, 3, 3, 3))
    for number, weight in enumerate(layer.weights):
        weight.assign(np.random.default_rng(number).uniform(0.5, 2, weight.shape))
    return layer


def results(call, layer):
    image = tf.constant(np.random.default_rng(9).normal(3, 2, (2, 9, 11, 3)), tf.float32)
    target = tf.constant(np.random.default_rng(8).normal(size=image.shape), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(image)
        found = call(layer, image)
        loss = tf.reduce_sum(tf.cast(found, tf.float32) * target)
    gradients = tape.gradient(loss, [image, *layer.trainable_variables])
    return [np.asarray(found, np.float32), *map(np.asarray, (*gradients, layer.moving_mean, layer.moving_variance))]


def keras_call(layer, image):
    return layer(image, training=True)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_it_is_keras_layer_in_float32(options):
    for found, expected in zip(
        results(call_in_training, made(**options)), results(keras_call, made(**options)), strict=True
    ):
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= ROUNDING * max(1, np.abs(expected).max())


def test_it_rounds_once_more_in_bfloat16():
    found, expected = (results(call, made("mixed_bfloat16"))[0] for call in (call_in_training, keras_call))
    # The image, the normalised image and the result are rounded, each by at most 2^-8 of its largest value.
    assert np.abs(found - expected).max() <= 3 * 2.0**-8 * np.abs(expected).max()


@pytest.mark.parametrize("options", [{"trainable": False}, {"synchronized": True}, {"axis": 1}, {"renorm": True}])
def test_what_the_kernel_can_not_do_is_left_to_keras(options, monkeypatch):
    monkeypatch.setattr(tf.compat.v1.nn, "fused_batch_norm", None)
    image = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)
    found = np.asarray(call_in_training(made(**options), image))
    np.testing.assert_array_equal(found, np.asarray(keras_call(made(**options), image)))


def test_a_network_trains_with_it(monkeypatch):
    """The kind of network that is the default for folders and the demo."""
    calls, kernel = [], tf.compat.v1.nn.fused_batch_norm

    def counted(*values, **options):
        calls.append(1)
        return kernel(*values, **options)

    monkeypatch.setattr(tf.compat.v1.nn, "fused_batch_norm", counted)
    network = kseg.build("unet", width=1, depth=1, padding="same", normalization="batch", dropout=0.0)
    call_quickly(network, np.ones((1, 8, 8, 1), np.float32), training=True, call=call_in_training)
    assert len(calls) == 6  # two convolutions in each of three blocks
