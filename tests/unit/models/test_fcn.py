import keras
import numpy as np
import pytest

import kseg
from kseg.errors import ConfigError
from kseg.images import read_image
from kseg.layers import bilinear_kernel
from kseg.models import describe, draw
from kseg.models.fields import grids

SLIM = {"width": 1 / 16, "fc_width": 8}


def test_the_full_networks_have_the_facts_parameters(monkeypatch):
    for drawn in (keras.initializers.RandomNormal, keras.initializers.VarianceScaling):  # which takes seconds
        monkeypatch.setattr(drawn, "__call__", lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype))

    def trained(name, **options) -> int:
        network = kseg.build(name, **options)
        return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)

    assert trained("fcn32s") == 134_346_581
    assert trained("fcn16s") == 134_357_354
    assert trained("fcn8s-atonce", upsampling="learned") == 134_362_751 + 127_008
    assert trained("fcn32s", backbone="alexnet") == 56_954_261
    assert trained("fcn32s", backbone="googlenet") == 5_995_077
    assert trained("fcn32s-rgbd") == 134_425_000
    assert trained("googlenet") == 6_998_552
    assert trained("alexnet") == 60_965_224


def test_two_heads_and_two_streams_count_as_the_facts_say():
    # 2048 of the trunk's 1/16 width would hide a head that is missing: the difference to one head is the facts' own.
    one, two = (kseg.build("fcn8s", classes=c, **SLIM) for c in (33, {"semantic": 33, "geometric": 3}))
    assert two.count_params() - one.count_params() == (8 + 32 + 16 + 3) * 3
    single, both = (kseg.build("fcn32s", classes=4, streams=s, **SLIM) for s in ((), ("rgb", "hha")))
    assert both.count_params() == 2 * single.count_params()


@pytest.mark.parametrize(
    ("backbone", "layer", "field", "stride"),
    [("vgg16", "fc7", 404, 32), ("vgg16", "pool4", 100, 16), ("alexnet", "fc7", 355, 32), ("alexnet", "conv5", 163, 16),
     ("googlenet", "inception_5b.output", 715, 32), ("googlenet", "inception_4e.output", 427, 16)],
)  # fmt: skip
def test_receptive_fields_are_the_papers(backbone, layer, field, stride):
    network = kseg.build("fcn32s", backbone=backbone, **SLIM)
    grid = grids(network)[layer]
    assert (grid.receptive_field, grid.stride) == (field, stride)
    assert f"a cell every 32 pixels, reading {grids(network)['score_fr'].receptive_field}" in describe(network)


@pytest.mark.parametrize(
    ("name", "backbone", "reach", "margin"),
    [
        # A cell of fc7 reads the 404 pixels from -189 to 214. Up-sampled by a kernel of 64 the first begins 63 pixels
        # before, and 19 are cut off: from -233 to 233. Margins are whole strides of 32.
        ("fcn32s", "vgg16", 233, 256),
        ("fcn8s", "vgg16", 245, 256),
        ("fcn32s", "alexnet", 208, 224),
        ("fcn32s", "googlenet", 388, 416),
    ],
)
def test_the_margin_of_a_tile_is_as_far_as_a_score_reads(name, backbone, reach, margin):
    network = kseg.build(name, backbone=backbone, **SLIM)
    assert (grids(network)["score"].reach, network.get_layer("size").geometry.margin) == (reach, margin)


def test_googlenets_published_field_counts_the_average_pool():
    assert grids(kseg.build("googlenet", width=1 / 16))["pool5.7x7_s1"].receptive_field == 907


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
@pytest.mark.parametrize("padding", ["released", "same"])
def test_scores_lie_over_the_image_pixel_for_pixel(name, padding):
    grid = grids(kseg.build(name, padding=padding, **SLIM))["score"]
    assert (grid.stride, grid.offset) == (1, 0)


@pytest.mark.parametrize("padding", ["released", "same"])
@pytest.mark.parametrize(("name", "backbone"), [("fcn8s", "vgg16"), ("fcn32s", "alexnet"), ("fcn32s", "googlenet")])
def test_every_size_gives_scores_of_that_size(name, backbone, padding):
    network = kseg.build(name, backbone=backbone, padding=padding, classes=2, width=1 / 64, fc_width=2)
    call = kseg.predictor(network)
    for size in [*range(1, 36), 63, 64, 65, 95, 96, 97, 128, 129]:
        assert call(np.zeros((1, size, 130 - size, 3), np.float32)).shape == (1, size, 130 - size, 2)


def test_released_crops_are_those_of_the_release():
    offsets = {layer.name: layer.offset for layer in kseg.build("fcn8s", **SLIM).layers if hasattr(layer, "offset")}
    assert offsets == {"score_pool4c": 5, "score_pool3c": 9, "score": 31}
    assert kseg.build("fcn16s", **SLIM).get_layer("score").offset == 27
    assert kseg.build("fcn32s", **SLIM).get_layer("score").offset == 19
    assert kseg.build("fcn32s", backbone="alexnet", **SLIM).get_layer("score").offset == 18
    assert kseg.build("fcn32s", backbone="googlenet", **SLIM).get_layer("score").offset == 98


def test_tiles_equal_one_pass_over_the_whole():
    network = kseg.build("fcn8s", classes=3, width=1 / 32, fc_width=4)
    for layer in network.layers:
        if layer.name.startswith("score_") and layer.weights:
            layer.kernel.assign(keras.random.normal(layer.kernel.shape, seed=0))
    image = np.random.default_rng(0).integers(0, 256, (650, 70, 3), np.uint8)
    whole = kseg.inference.predict_scores(network, image)
    tiled = kseg.inference.predict_scores(network, image, tile=576)
    # The order of sums in a convolution follows its size: a few units of float32 per layer, of twenty.
    assert np.abs(tiled - whole).max() <= 2e-6 * np.abs(whole).max()


def test_fresh_up_sampling_is_bilinear_and_scores_start_at_zero():
    network = kseg.build("fcn8s", classes=3, upsampling="learned", **SLIM)
    kernel = np.asarray(network.get_layer("upscore8").kernel)
    np.testing.assert_array_equal(kernel[..., 1, 1], np.outer(bilinear_kernel(16), bilinear_kernel(16)))
    assert not kernel[..., 0, 1].any()
    assert all(not np.asarray(weight).any() for weight in network.get_layer("score_pool3").weights)


def test_at_once_scales_the_skips_by_constants_that_do_not_train():
    network = kseg.build("fcn8s-atonce", **SLIM)
    assert np.unique(network.get_layer("scale_pool4").scale).tolist() == [np.float32(0.01)]
    assert np.unique(network.get_layer("scale_pool3").scale).tolist() == [np.float32(0.0001)]
    assert not network.get_layer("scale_pool3").trainable_weights


def test_another_number_of_channels_takes_the_mean_of_the_means():
    network = kseg.build("fcn32s", input_shape=(None, None, 1), **SLIM)
    assert network.get_layer("scaling").scaling.mean == (pytest.approx((104.00699 + 116.66877 + 122.67892) / 3),)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fcn8s", {"backbone": "alexnet"}, "only vgg16 has skips"),
        ("fcn16s", {"backbone": "googlenet"}, "only vgg16 has skips"),
        ("fcn32s", {"backbone": "vgg19"}, "backbone is 'vgg19', but must be one of vgg16, alexnet, googlenet"),
        ("fcn32s", {"padding": "valid"}, "must be one of released, same"),
        ("fcn32s", {"upsampling": "nearest"}, "must be one of fixed, learned"),
        ("fcn32s", {"streams": ("rgb",)}, "Name two different ones"),
        ("fcn32s", {"streams": ("rgb", "depth")}, "streams is 'depth', but must be one of rgb, hha"),
        ("fcn32s", {"classes": 0}, "classes is 0, but must be from 2"),
        ("fcn32s", {"width": 0}, "width is 0"),
        ("vgg16", {"input_shape": (None, None, 3)}, "fully connected layers need a height and width"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(ConfigError, match=message):
        kseg.build(name, **options)


def test_each_group_of_a_slim_alexnet_keeps_a_channel():
    network = kseg.build("alexnet", width=1 / 1000, include_top=False)
    assert network.get_layer("conv2").kernel.shape == (5, 5, 1, 2)


def test_a_network_is_drawn_with_its_receptive_fields(tmp_path):
    network = kseg.build("fcn8s", **SLIM)
    draw(network, tmp_path / "a.png", np.zeros((120, 160, 3), np.uint8))
    draw(network, tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        height, width, _ = read_image(tmp_path / name).shape
        assert height > 500 and width > 1000


def test_initial_weights_dropout_and_rates_are_those_of_the_release():
    model = kseg.build("fcn32s", width=1 / 4, fc_width=256)
    for name, fan_in in (("conv1_2", 9 * 16), ("conv3_1", 9 * 32), ("fc6", 49 * 128), ("fc7", 256)):
        kernel = np.asarray(model.get_layer(name).kernel)
        # of n weights the deviation is off by 1 / sqrt(2 n) of itself; four of these
        assert kernel.std() == pytest.approx(np.sqrt(2 / fan_in), rel=4 / np.sqrt(2 * kernel.size))
        assert not np.asarray(model.get_layer(name).bias).any()
    assert [layer.rate for layer in model.layers if "Dropout" in type(layer).__name__] == [0.5, 0.5]
