import numpy as np

from kseg.layers import InputScaling, ScaleInput, SizeCheck


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
