from dataclasses import replace

import keras
import numpy as np
import pytest

from kseg.errors import ConfigError
from kseg.training.optimizers import (
    check_factors,
    for_mean_loss,
    for_summed_loss,
    freeze,
    make_optimizer,
)
from kseg.training.specs import OptimizerSpec

CAFFE = OptimizerSpec(
    name="sgd",
    learning_rate=0.1,
    momentum=0.9,
    schedule="constant",
    weight_decay=0.5,
    rate_factors=("*/bias:2",),
    decay_factors=("*/bias:0",),
)


def network() -> keras.Model:
    model = keras.Sequential(
        [keras.layers.Input((1,)), keras.layers.Dense(1, name="fc6"), keras.layers.Dense(1, name="score_fr")]
    )
    model.set_weights([np.full(shape, 2.0) for shape in ((1, 1), (1,), (1, 1), (1,))])
    return model


def after(spec: OptimizerSpec, *gradients: float) -> list[float]:
    """The four weights, which begin at 2, after steps whose gradients are all the same."""
    model = network()
    freeze(spec, model)
    optimizer = make_optimizer(spec, steps=10)
    optimizer.build(model.trainable_variables)
    for gradient in gradients:
        optimizer.apply([keras.ops.full(each.shape, gradient) for each in model.trainable_variables])
    return [float(np.squeeze(each)) for each in model.get_weights()]


def test_the_update_is_caffes():
    # Weight: v1 = .1 (1 + .5 2) = .2, w1 = 1.8; v2 = .9 .2 + .1 (1 + .5 1.8) = .37, w2 = 1.43.
    # Bias, doubled and not decayed: v1 = .2, b1 = 1.8; v2 = .18 + .2 = .38, b2 = 1.42.
    np.testing.assert_allclose(after(CAFFE, 1.0, 1.0), [1.43, 1.42, 1.43, 1.42], rtol=1e-6)


def test_the_last_pattern_that_fits_counts_and_0_keeps_a_layer():
    rates = ("*:3", "fc6:0", "score_fr/bias:1")
    spec = OptimizerSpec(name="sgd", learning_rate=0.1, momentum=0.0, schedule="constant", rate_factors=rates)
    np.testing.assert_allclose(after(spec, 1.0), [2, 2, 1.7, 1.9], rtol=1e-6)


def test_what_has_the_rate_0_has_no_moments_and_its_layer_stays_trainable():
    model = network()
    spec = replace(CAFFE, rate_factors=("fc6:0", "score_fr/bias:0"))
    freeze(spec, model)
    assert [each.path.partition("/")[2] for each in model.trainable_variables] == ["score_fr/kernel"]
    assert all(layer.trainable for layer in model.layers)
    optimizer = make_optimizer(spec, steps=10)
    optimizer.build(model.trainable_variables)
    assert [tuple(each.shape) for each in optimizer.variables] == [(), (), (1, 1)]  # steps, rate, one velocity
    again = keras.models.clone_model(model)
    assert len(again.trainable_variables) == 4


def test_a_network_of_which_nothing_would_train_is_refused():
    words = r"rate_factors: fc6:2, \*:0 gives every weight of the network the rate 0, so nothing would train. Give some"
    with pytest.raises(ConfigError, match=words):
        freeze(replace(CAFFE, rate_factors=("fc6:2", "*:0")), network())


def test_factors_of_0_are_held_against_all_layers():
    model = network()
    spec = replace(CAFFE, rate_factors=("fc6:0",), decay_factors=("fc6:3",))
    check_factors(spec, model)
    freeze(spec, model)
    with pytest.raises(ConfigError, match="'fc' fits no layer.*Did you mean 'fc6'"):
        check_factors(replace(spec, rate_factors=("fc:0",)), network())


def test_adams_steps_have_factors_too():
    # Adam's first step is the rate, whatever the gradient.
    spec = OptimizerSpec(learning_rate=0.1, schedule="constant", rate_factors=("fc6:0.5",))
    np.testing.assert_allclose(after(spec, 7.0), [1.95, 1.95, 1.9, 1.9], rtol=1e-5)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (("fc7:2",), "'fc7' fits no layer.*Did you mean 'fc6'"),
        (("fc6",), "'fc6' is no factor. Write PATTERN:FACTOR"),
        (("fc6:much",), "'fc6:much' is no factor"),
        (("fc6:-1",), "'fc6:-1' is no factor"),
        (("fc6:nan",), "'fc6:nan' is no factor"),
    ],
)
def test_a_wrong_factor_is_named(factors, words):
    with pytest.raises(ConfigError, match=words):
        check_factors(OptimizerSpec(decay_factors=factors), network())


def test_rates_of_a_summed_loss_and_of_a_mean_do_the_same():
    # Facts of the release: 1e-10 for the sum over 500 x 375 pixels is 1.875e-5 for their mean.
    summed = OptimizerSpec(name="sgd", learning_rate=1e-10, schedule="constant", weight_decay=5e-4)
    mean = for_mean_loss(summed, 500 * 375)
    assert mean.learning_rate == pytest.approx(1.875e-5)
    assert for_summed_loss(mean, 500 * 375).weight_decay == pytest.approx(5e-4)
    scaled = for_mean_loss(CAFFE, 4)
    np.testing.assert_allclose(after(scaled, 1.0, 0.5), after(CAFFE, 4.0, 2.0), rtol=1e-6)


def test_gradients_of_a_summed_loss_and_of_a_mean_are_clipped_alike():
    # Four gradients of 4 are a vector of length 8, four of 0.5 one of length 1, which stays.
    clipped = replace(CAFFE, clip_norm=2.0)
    assert after(clipped, 4.0) != pytest.approx(after(CAFFE, 4.0))
    np.testing.assert_allclose(after(for_mean_loss(clipped, 4), 1.0, 0.125), after(clipped, 4.0, 0.5), rtol=1e-6)
    mean = replace(CAFFE, clip_norm=0.5)
    np.testing.assert_allclose(after(for_summed_loss(mean, 4), 4.0, 0.5), after(mean, 1.0, 0.125), rtol=1e-6)


@pytest.mark.parametrize(
    "spec",
    [
        replace(CAFFE, schedule="polynomial", clip_norm=1.0),
        OptimizerSpec(learning_rate=0.1, accumulate=2, ema=0.9, rate_factors=("fc6:0.5", "*/bias:2")),
    ],
)
def test_an_optimiser_comes_back_from_a_keras_file_and_goes_on_exactly(spec, tmp_path):
    model = network()
    model.compile(optimizer=make_optimizer(spec, steps=10), loss="mse")
    images, labels = np.arange(8.0).reshape(8, 1), np.ones((8, 1))
    model.fit(images, labels, batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for _ in range(2):
        for theirs, ours in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(theirs, ours)
        for each in (model, loaded):
            each.fit(images, labels, batch_size=2, shuffle=False, verbose=0)
    for theirs, ours in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_optimiser_that_decays_by_itself_does_so_only_where_it_is_asked_to(name):
    """With gradients of 0 nothing but the decay moves a weight: 1 - rate x decay."""
    for decay, wanted in ((0.0, 1.0), (0.5, 0.95)):
        optimizer = make_optimizer(OptimizerSpec(name, 0.1, "constant", weight_decay=decay), 1)
        weights = [keras.Variable(np.ones(shape, np.float32), name="kernel") for shape in ((3,), (2, 2))]
        optimizer.apply([keras.ops.zeros(each.shape) for each in weights], weights)
        for each in weights:
            np.testing.assert_allclose(each.numpy(), wanted, rtol=1e-6)


def test_decay_factors_are_refused_where_the_optimiser_decays_by_itself():
    with pytest.raises(ConfigError, match="optimizer.decay_factors can't apply to adamw"):
        check_factors(OptimizerSpec("adamw", decay_factors=("*:0",)), keras.Sequential())


def test_an_optimiser_made_of_others_is_none_to_choose():
    with pytest.raises(ConfigError, match="There is no optimiser 'multioptimizer'"):
        make_optimizer(OptimizerSpec("multioptimizer"), 1)
