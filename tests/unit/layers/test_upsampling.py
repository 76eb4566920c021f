import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.layers import Bilinear, BilinearUpsampling, bilinear_kernel


def test_kernels_by_hand():
    np.testing.assert_array_equal(bilinear_kernel(4), [0.25, 0.75, 0.75, 0.25])
    np.testing.assert_array_equal(bilinear_kernel(3), [0.5, 1, 0.5])
    np.testing.assert_array_equal(bilinear_kernel(64)[[0, 1, 31, 32, 63]], [1 / 64, 3 / 64, 63 / 64, 63 / 64, 1 / 64])
    assert bilinear_kernel(63)[0] == 1 / 32 and bilinear_kernel(63)[31] == 1


@pytest.mark.parametrize(("size", "factor"), [(4, 2), (16, 8), (32, 16), (63, 32), (64, 32)])
def test_up_sampling_is_the_transposed_convolution_of_the_dense_kernel(size, factor):
    scores = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype(np.float32)
    dense = keras.layers.Conv2DTranspose(4, size, strides=factor, use_bias=False, kernel_initializer=Bilinear())
    ours = BilinearUpsampling(size, factor)
    # Four products of weights that are exact in float32, each rounded: 4 units of 2^-24 of values below 4.
    np.testing.assert_allclose(ours(scores), dense(scores), rtol=0, atol=16 * 2.0**-24)
    assert ours.compute_output_shape(scores.shape) == dense(scores).shape


def test_sizes_may_be_unknown_until_the_call():
    layer = BilinearUpsampling(4, 2)
    open_sizes = tf.function(layer.call, input_signature=[tf.TensorSpec((None, None, None, 2))])
    scores = np.random.default_rng(0).normal(size=(1, 1, 6, 2)).astype(np.float32)
    np.testing.assert_array_equal(open_sizes(scores), layer(scores))


def test_up_sampling_stays_float32_in_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = BilinearUpsampling(4, 2)
    finally:
        keras.config.set_dtype_policy("float32")
    assert layer(np.ones((1, 2, 2, 1), np.float16)).dtype == "float32" and not layer.weights


def test_the_layer_comes_back_from_its_configuration():
    layer = BilinearUpsampling(64, 32, name="upscore")
    assert BilinearUpsampling.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(("size", "factor"), [(4, 2), (16, 8), (63, 32)])
def test_a_window_is_that_part_of_the_whole(size, factor):
    """In float32: the same products, summed in another order."""
    layer = BilinearUpsampling(size, factor)
    cells = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    whole = np.asarray(layer(cells))
    window = np.asarray(layer.window(cells, 3, (factor * 2 + 1, factor * 3)))
    np.testing.assert_allclose(window, whole[:, 3 : factor * 2 + 4, 3 : factor * 3 + 3], rtol=0, atol=8 * 2.0**-24 * 4)
