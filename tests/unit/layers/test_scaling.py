import numpy as np
import pytest

from kseg.errors import ConfigError
from kseg.layers import SCALINGS, InputScaling, ScaleInput, SizeCheck


def test_scaling_takes_the_mean_away_in_the_order_of_the_weights():
    layer = ScaleInput(order="bgr", mean=(1, 2, 3), scale=0.5)
    np.testing.assert_array_equal(layer(np.array([[[[30, 20, 10]]]], np.uint8)), [[[[4.5, 9, 13.5]]]])


def test_scaling_stays_float32_under_half_precision():
    layer = ScaleInput(**vars(InputScaling(scale=1 / 65535)))
    assert not layer.trainable and not layer.weights
    assert layer(np.full((1, 1, 1, 1), 65535, np.uint16)).dtype == "float32"


def test_layers_come_back_from_their_configuration():
    for layer in (ScaleInput("bgr", (1.0, 2.0), 0.5, name="s"), SizeCheck(16, 92, 188, 0, name="c")):
        again = type(layer).from_config(layer.get_config())
        assert again.get_config() == layer.get_config()


def test_depth_enters_as_its_logarithm_and_missing_depth_as_the_mean():
    image = np.array([[[[30, 20, 10, 0], [30, 20, 10, 2718]]]], np.uint16)
    scaled = ScaleInput(**vars(InputScaling("bgrd", (1, 2, 3, 7.0))))(image)
    np.testing.assert_allclose(scaled, [[[[9, 18, 27, 0], [9, 18, 27, np.log(2718) - 7]]]], atol=1e-6)
    np.testing.assert_array_equal(ScaleInput("d", (7.844,))(np.zeros((1, 1, 1, 1))), [[[[0]]]])


def test_an_unknown_order_of_channels_is_refused():
    with pytest.raises(ConfigError, match="order is 'grb', but must be one of rgb, bgr, d, bgrd"):
        InputScaling("grb")


def test_a_scaling_follows_the_images_white_but_depth_has_none():
    sixteen = InputScaling("bgr", (51.0, 102.0, 153.0), 0.5).for_white(65535)
    assert sixteen.order == "bgr" and sixteen.mean == (51 * 257, 102 * 257, 153 * 257)
    assert sixteen.scale == pytest.approx(0.5 / 257)
    assert InputScaling("d", (7.8,)).for_white(65535) == InputScaling("d", (7.8,))


def test_a_scaling_knows_its_white_but_of_depth_there_is_none():
    for name, scaling in SCALINGS.items():
        if "d" in scaling.order:
            assert scaling.white is None
            continue
        for white in (1, 255, 4095, 65535):
            assert scaling.for_white(white).white == pytest.approx(white), name
    assert InputScaling(mean=(127.5,), scale=1 / 127.5).white == 255


def test_the_means_are_the_releases_channel_by_channel():
    """Sources: docs of the FCN release, and each model's own; blue, green, red where the order is bgr."""
    means = {name: (scaling.order, scaling.mean) for name, scaling in SCALINGS.items()}
    assert means == {
        "unit": ("rgb", (0.0,)),
        "vgg": ("bgr", (103.939, 116.779, 123.68)),
        "voc": ("bgr", (104.00699, 116.66877, 122.67892)),
        "googlenet": ("bgr", (104.0, 117.0, 123.0)),
        "context": ("bgr", (104.007, 116.669, 122.679)),
        "siftflow": ("bgr", (114.578, 115.294, 108.353)),
        "nyud-rgb": ("bgr", (116.190, 97.203, 92.318)),
        "nyud-hha": ("rgb", (132.431, 94.076, 118.477)),
        "nyud-depth": ("d", (7.844,)),
        "nyud-rgbd": ("bgrd", (116.190, 97.203, 92.318, 7.844)),
    }
    assert {name: scaling.scale for name, scaling in SCALINGS.items() if scaling.scale != 1} == {"unit": 1 / 255}
