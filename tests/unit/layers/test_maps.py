import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.layers import (
    CaffePooling2D,
    CropTo,
    GroupedConv2D,
    LocalResponseNormalization,
    ProductConv2D,
    ScaleChannels,
)


def image_of(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, height, width, channels)).astype(np.float32)


def pooled_by_hand(image: np.ndarray, mode: str, size: int, strides: int, pad: int) -> np.ndarray:
    """Caffe's windows, one after the other."""

    def windows(length: int) -> list[tuple[int, int]]:
        count = max(0, -(-(length + 2 * pad - size) // strides)) + 1
        if pad and (count - 1) * strides >= length + pad:
            count -= 1
        return [(i * strides - pad, min(i * strides - pad + size, length + pad)) for i in range(count)]

    rows, columns = (windows(length) for length in image.shape[1:3])
    pooled = np.empty((len(image), len(rows), len(columns), image.shape[3]))
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            seen = image[:, max(0, top) : bottom, max(0, left) : right]
            area = (bottom - top) * (right - left)
            pooled[:, i, j] = seen.max(axis=(1, 2)) if mode == "max" else seen.sum(axis=(1, 2)) / area
    return pooled


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize(("size", "strides", "pad"), [(2, 2, 0), (3, 2, 0), (3, 2, 1), (2, 2, 1), (5, 3, 2), (7, 1, 0)])
def test_pooling_has_caffes_windows_at_every_size_known_or_not(mode, size, strides, pad):
    layer = CaffePooling2D(mode, size, strides, pad)
    open_sizes = tf.function(layer.call, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for length in (1, 2, 3, 4, 5, 6, 7, 8, 11, 12):
        image = image_of(length, 13 - length)
        expected = pooled_by_hand(image, mode, size, strides, pad)
        assert layer.compute_output_shape(image.shape) == expected.shape
        np.testing.assert_allclose(layer(image), expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(open_sizes(image), layer(image))


def test_response_normalisation_of_three_channels_by_hand():
    x = np.array([1.0, 2.0, 3.0], np.float32).reshape(1, 1, 1, 3)
    layer = LocalResponseNormalization(size=3, alpha=0.3, beta=0.5, k=2.0)
    # Each channel's neighbours, and itself: 1 + 4, 1 + 4 + 9, 4 + 9; times 0.3 / 3, plus 2.
    np.testing.assert_allclose(layer(x).numpy().ravel(), [1, 2, 3] / np.sqrt([2.5, 3.4, 3.3]), rtol=1e-6)


def test_response_normalisation_does_not_overflow_in_half_precision():
    layer = LocalResponseNormalization(dtype="mixed_float16")
    large = np.full((1, 1, 1, 5), 3000, np.float16)
    expected = 3000 * (1 + 1e-4 / 5 * np.array([3, 4, 5, 4, 3]) * 3000.0**2) ** -0.75
    assert layer(large).dtype == "float16"
    np.testing.assert_allclose(layer(large).numpy().ravel(), expected, rtol=2**-10)


def test_scaled_channels_start_at_the_value_and_do_not_train():
    layer = ScaleChannels(0.01)
    np.testing.assert_allclose(layer(np.ones((1, 2, 2, 3), np.float32)), np.full((1, 2, 2, 3), 0.01))
    assert not layer.trainable_weights and layer.scale.shape == (3,)


def test_a_grouped_convolution_is_keras_own():
    image = image_of(9, 8, 4)
    ours, plain = (kind(6, 3, strides=2, groups=2) for kind in (GroupedConv2D, keras.layers.Conv2D))
    ours.build(image.shape), plain.build(image.shape)
    plain.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(image), plain(image), rtol=0, atol=1e-5)


def test_grouped_convolutions_train():
    image = image_of(6, 6, 4)
    network = keras.Sequential([GroupedConv2D(4, 3, groups=2), keras.layers.GlobalAveragePooling2D()])
    network.compile(keras.optimizers.SGD(0.1), "mse")
    losses = network.fit(image, np.ones((2, 4)), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_a_crop_starts_at_its_offset_and_has_the_references_size():
    image = image_of(7, 9)
    cropped = CropTo(2)([image, np.zeros((2, 4, 3, 1), np.float32)])
    np.testing.assert_array_equal(cropped, image[:, 2:6, 2:5])


def test_layers_come_back_from_their_configuration():
    for layer in (
        CaffePooling2D("average", 5, 3, 2, name="p"),
        LocalResponseNormalization(3, 0.1, 0.5, 2.0, name="n"),
        ScaleChannels(0.01, name="s"),
        CropTo(19, name="c"),
    ):
        assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("size", [(7, 7), (4, 6)])
def test_a_convolution_as_a_product_equals_keras_own(padding, size):
    # Sums of up to 7 x 7 x 3 products of numbers below 1 in another order: within 147 roundings of 6e-8.
    rng = np.random.default_rng(0)
    image = rng.random((2, 9, 11, 3), np.float32)
    ours, plain = (kind(5, size, padding=padding, activation="relu") for kind in (ProductConv2D, keras.layers.Conv2D))
    for layer in (ours, plain):
        layer.build(image.shape)
    plain.set_weights([rng.random(weight.shape, np.float32) - 0.5 for weight in plain.weights])
    ours.set_weights(plain.get_weights())
    np.testing.assert_allclose(ours(image), plain(image), atol=147 * 6e-8)
    assert ours.compute_output_shape(image.shape) == plain(image).shape


def test_a_product_starts_as_a_convolution_does():
    """Its kernel is drawn in parts, each with other numbers. In float32."""
    kernels = []
    for _ in range(2):
        layer = ProductConv2D(40, 5, kernel_initializer=keras.initializers.RandomNormal(0.5, 0.1, seed=7))
        layer.build((None, None, None, 30))
        assert isinstance(layer.kernel_initializer, keras.initializers.RandomNormal)
        kernels.append(np.asarray(layer.kernel))
    np.testing.assert_array_equal(*kernels)
    assert len(np.unique(kernels[0])) > 0.99 * kernels[0].size
    # Of 30,000 numbers, the mean and the deviation err by 0.6 and 0.4 thousandths.
    assert abs(kernels[0].mean() - 0.5) < 3e-3
    assert abs(kernels[0].std() - 0.1) < 2e-3
    zeros = ProductConv2D(2, 3, kernel_initializer="zeros")
    zeros.build((None, None, None, 4))
    assert not np.asarray(zeros.kernel).any()
