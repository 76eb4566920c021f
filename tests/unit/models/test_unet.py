import keras
import numpy as np
import pytest

import kseg
from kseg.errors import ConfigError, SizeError


@pytest.mark.parametrize(
    ("variant", "options", "parameters"),
    [
        ("paper", {}, 31_030_658),
        ("paper", {"classes": 3}, 31_030_723),
        ("paper", {"input_shape": (None, None, 3)}, 31_031_810),
        ("phseg_v5", {}, 31_100_354),
        ("phseg_v5", {"classes": 3}, 31_100_419),
    ],
)
def test_parameters_are_those_of_the_papers_network(variant, options, parameters):
    assert kseg.build("unet", variant=variant, **options).count_params() == parameters


def test_572_gives_388():
    network = kseg.build("unet", input_shape=(572, 572, 1), width=1)
    assert network.output_shape == (None, 388, 388, 2)
    sizes = {layer.name: layer.output.shape[1] for layer in network.layers}
    assert [sizes[f"enc{level}_conv2"] for level in range(5)] == [568, 280, 136, 64, 28]
    assert [sizes[f"up{level}_upconv"] for level in (3, 2, 1, 0)] == [56, 104, 200, 392]


def test_same_padding_answers_at_the_inputs_size():
    network = kseg.build("unet", width=2, padding="same", depth=2, input_shape=(20, 24, 3), classes=5)
    assert network.output_shape == (None, 20, 24, 5)


def test_concatenation_has_the_skip_first_and_the_upsampled_map_first_in_the_release():
    for variant, skip_place in (("paper", 0), ("phseg_v5", 1)):
        network = kseg.build("unet", width=2, variant=variant)
        inputs = network.get_layer("dec2_concat").input
        assert inputs[skip_place] is network.get_layer("dec2_crop").output


def test_dropout_stands_at_the_end_of_the_contracting_path():
    names = [layer.name for layer in kseg.build("unet", width=2).layers if "dropout" in layer.name]
    assert names == ["enc3_dropout", "enc4_dropout"]
    assert not [layer for layer in kseg.build("unet", width=2, dropout=0).layers if "dropout" in layer.name]


@pytest.mark.parametrize(
    ("variant", "layer", "fan_in"),
    [
        ("paper", "enc2_conv2", 9 * 64),
        ("paper", "up2_upconv", 128),
        ("paper", "up0_upconv", 32),
        ("phseg_v5", "up2_upconv", 4 * 64),
        ("phseg_v5", "up0_upconv", 4 * 32),
        ("phseg_v5", "dec1_conv1", 9 * 64),
    ],
)
def test_initial_weights_have_the_deviation_of_their_fan_in(variant, layer, fan_in):
    kernel, bias = kseg.build("unet", width=16, variant=variant).get_layer(layer).get_weights()
    # The deviation of n Gaussian numbers is off by more than 5 / sqrt(2 n) once in two million times.
    assert kernel.std() == pytest.approx(np.sqrt(2 / fan_in), rel=5 / np.sqrt(2 * kernel.size))
    assert not bias.any()


@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_normalization_makes_the_scores_deaf_to_contrast(normalization):
    network = kseg.build(
        "unet", width=4, depth=1, padding="same", dropout=0, normalization=normalization, preprocessing=None
    )
    image = np.random.default_rng(0).random((1, 16, 16, 1), np.float32)
    training = normalization == "batch"
    near = network(image, training=training).numpy()
    np.testing.assert_allclose(network(image * 100, training=training).numpy(), near, atol=0.2)


def test_weights_stand_in_the_order_of_the_forward_path():
    paths = [weight.path for weight in kseg.build("unet", width=1, depth=1).weights]
    layers = ["enc0_conv1", "enc0_conv2", "enc1_conv1", "enc1_conv2", "up0_upconv", "dec0_conv1", "dec0_conv2", "head"]
    assert paths == [f"{layer}/{part}" for layer in layers for part in ("kernel", "bias")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variant": "papr"}, "variant is 'papr'"),
        ({"padding": "full"}, "padding is 'full'"),
        ({"depth": 0}, "depth is 0"),
        ({"classes": 0}, "classes is 0"),
        ({"normalisation": "batch"}, "Did you mean 'normalization'"),
        ({"preprocessing": "unti"}, "Did you mean 'unit'"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(ConfigError, match=words):
        kseg.build("unet", **options)


def test_sizes_that_do_not_fit_are_refused_with_those_that_do():
    with pytest.raises(SizeError, match="height 500 does not fit.*Take 492 or 508"):
        kseg.build("unet", input_shape=(500, 572, 1), width=1)
    with pytest.raises(SizeError, match="width 190 does not fit.*Take 188 or 204"):
        kseg.build("unet", width=1)(np.zeros((1, 188, 190, 1), np.float32))


def test_half_a_channel_is_refused():
    with pytest.raises(ConfigError, match=r"width is 2\.5, but must be a whole number"):
        kseg.build("unet", width=2.5)


def test_dropout_and_the_momentum_of_the_averages_are_as_stated():
    model = kseg.build("unet", depth=2, width=2, normalization="batch")
    assert {layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)} == {0.5}
    assert {layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)} == {0.9}
