"""Predictors follow the weights, before and after they hold them. In float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.inference import predictor
from kseg.inference.graphs import forms, graph, held
from kseg.inference.predictor import changing_predictor


class Traced(keras.layers.Layer):
    """Counts how often Python runs it."""

    calls = 0

    def call(self, inputs):
        Traced.calls += 1
        return inputs


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")  # as on a processor with AVX-512
    monkeypatch.setattr(graph, "PIXELS", 1)
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(Traced()(image))
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="head")(x))
    Traced.calls = 0
    return model


IMAGE = np.random.default_rng(0).random((1, 9, 12, 3)).astype(np.float32)
ROUNDING = 32 * 2.0**-24  # sums of 27 and of 4 products, in another order


def assert_scores(call, model):
    expected = np.asarray(model(IMAGE, training=False))
    assert np.abs(call(IMAGE) - expected).max() <= ROUNDING * np.abs(expected).max()


def holding(model):
    call = predictor(model)
    for _ in range(4):
        assert_scores(call, model)
    traced = Traced.calls
    assert_scores(call, model)
    assert Traced.calls == traced + 1  # that of `model` itself
    return call


def one_step(model):
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(IMAGE) ** 2)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    step()


def one_element(model):
    kernel = model.get_layer("head").kernel
    change = np.zeros(kernel.shape, np.float32)
    change[0, 0, 0, 0] = 0.5
    kernel.assign_add(change)


CHANGES = {
    "set_weights": lambda model: model.set_weights([weight + 0.1 for weight in model.get_weights()]),
    "assign": lambda model: model.get_layer("head").bias.assign([1.0, 2.0, 3.0]),
    "a step": one_step,
    "one element": one_element,
    "in place": lambda model: model.get_layer("head").bias.value[1].assign(5.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_next_answer_is_that_of_the_new_weights(network, change):
    call = holding(network)
    before = call(IMAGE)
    for _ in range(2):
        CHANGES[change](network)
        for _ in range(4):
            assert_scores(call, network)
    assert np.abs(call(IMAGE) - before).max() > 0.01


def test_a_network_in_training_holds_nothing(network):
    call = changing_predictor(network)
    for _ in range(5):
        call(IMAGE)
    assert Traced.calls == 1
    other = predictor(network)
    for _ in range(5):
        other(IMAGE)
    assert Traced.calls == 2  # and one graph that holds the weights


def test_ids_are_the_largest_scores_before_and_after_holding(network):
    call = predictor(network)
    for _ in range(4):
        scores = call(IMAGE)
        top = np.sort(scores, axis=-1)
        sure = top[..., -1] - top[..., -2] > 2 * ROUNDING * np.abs(scores).max()
        (found,) = call.ids(IMAGE).values()
        assert found.dtype == np.uint8 and found.shape == (1, 9, 12) and sure.mean() > 0.9
        np.testing.assert_array_equal(found[sure], scores.argmax(axis=-1)[sure])


def test_a_mixed_precision_holds_large_products_and_convolutions(monkeypatch):
    """In bfloat16, whose numbers have 8 bits: a relative error of 2^-8 each, in both forms, in another order."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setattr(forms, "LARGE", 2**12)  # so that slim layers count as large
    monkeypatch.setattr(held, "holds_weights", lambda: True)
    keras.utils.set_random_seed(0)
    network = kseg.build("fcn8s", classes=3, width=1 / 32, fc_width=16)
    for variable in network.variables:
        if len(variable.shape) == 4 and not np.any(variable.numpy()):  # the scores start at zero
            variable.assign(np.random.default_rng(0).normal(0, 0.1, variable.shape))
    found = [type(form) for form in held.HeldWeights(network, "mixed_bfloat16")._forms.values()]
    assert forms.Product in found and forms.Convolution in found
    image = np.linspace(0, 255, 40 * 50 * 3).reshape(1, 40, 50, 3).astype(np.float32)
    one, other = (make(network, precision="mixed_bfloat16")(image) for make in (predictor, changing_predictor))
    assert np.abs(one - other).max() <= 16 * 2.0**-8 * np.abs(other).max()  # 16 layers with weights
    assert (one.argmax(-1) == other.argmax(-1)).mean() > 0.97


def test_up_convolutions_are_products_whose_numbers_are_put_apart(monkeypatch):
    """In float32."""
    monkeypatch.setattr(held, "holds_weights", lambda: True)
    network = kseg.build("unet", width=2, depth=2)
    assert forms.Apart in [type(form) for form in held.HeldWeights(network, "float32")._forms.values()]
    image = np.random.default_rng(0).uniform(0, 255, (2, 60, 76, 1)).astype(np.float32)
    expected = np.asarray(network(image))
    assert np.abs(predictor(network)(image) - expected).max() <= ROUNDING * np.abs(expected).max()


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_activations_see_the_whole_map(monkeypatch, precision):
    """A softmax over the channels of an up-convolution, and a quotient by the width of a map that could be widened."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setattr(forms, "WIDE", 9 * 4 * 4)
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 4))
    x = keras.layers.Conv2D(4, 3, activation=lambda x: 9 * x / keras.ops.cast(keras.ops.shape(x)[2], x.dtype))(image)
    x = keras.layers.Conv2DTranspose(3, 2, strides=2, bias_initializer="normal", activation="softmax")(x)
    network = keras.Model(image, keras.layers.Conv2D(2, 1, name="head")(x))
    cells = np.random.default_rng(0).random((1, 9, 69, 4)).astype(np.float32)
    expected, found = np.asarray(network(cells)), predictor(network, precision=precision)(cells)
    bound = {"float32": 16 * 2.0**-23, "mixed_bfloat16": 4 * 2.0**-8}[precision]
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


def test_weights_of_every_kind_are_compared_where_they_lie():
    """Dropout keeps its seed as whole numbers, beside weights in float32."""
    network = kseg.build("unet", width=1, depth=1, dropout=0.5)
    assert len({variable.dtype for variable in network.variables}) == 2
    for variable in network.variables:
        one, other = (forms.array_of(forms.value_of(variable)) for _ in range(2))
        assert np.shares_memory(one, other)
