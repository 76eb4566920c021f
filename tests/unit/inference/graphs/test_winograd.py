"""Winograd's convolution beside TensorFlow's. Each test names its precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import SizeError
from kseg.inference import predictor
from kseg.inference.graphs import forms, graph
from kseg.inference.graphs.winograd import Winograd

# Images, height, width, channels, filters: all remainders of 4 rows and 2 columns, and channels beside a multiple of 64
SHAPES = [(1, 3, 3, 5, 4), (2, 4, 8, 70, 3), (1, 5, 4, 128, 2), (3, 6, 5, 6, 7), (1, 9, 12, 64, 5), (1, 19, 16, 130, 6)]


def example(shape, kind):
    images, height, width, channels, filters = shape
    random = np.random.default_rng(height)
    cells = np.maximum(random.standard_normal((images, height, width, channels)), 0)
    return cells.astype(kind), random.standard_normal((3, 3, channels, filters)).astype(kind)


def found(cells, kernel, padding):
    """What a graph for all sizes gives."""
    signature = [tf.TensorSpec((None, None, None, kernel.shape[2]), kernel.dtype)]
    call = tf.function(Winograd(tf.constant(kernel), padding), input_signature=signature, autograph=False)
    result = call(cells)
    assert call.get_concrete_function().outputs[0].shape[-1] == kernel.shape[3]
    return result.numpy()


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_convolution(shape, padding):
    cells, kernel = example(shape, np.float64)
    expected = tf.nn.conv2d(cells, kernel, 1, padding.upper()).numpy()
    # The transforms' coefficients are at most 5, and 9 C products are summed; both leave three digits of 1e-16.
    np.testing.assert_allclose(found(cells, kernel, padding), expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_in_float32_it_errs_no_more_than_a_sum_of_products_may(shape):
    cells, kernel = example(shape, np.float32)
    wide = cells.astype(np.float64), kernel.astype(np.float64)
    expected = tf.nn.conv2d(*wide, 1, "VALID").numpy()
    summed = tf.nn.conv2d(np.abs(wide[0]), np.abs(wide[1]), 1, "VALID").numpy()
    products = 9 * kernel.shape[2]
    assert (np.abs(found(cells, kernel, "valid") - expected) <= products * 2.0**-24 * summed).all()


def test_a_call_may_name_another_padding():
    cells, kernel = example(SHAPES[0], np.float64)
    call = Winograd(tf.constant(kernel), "same")
    assert call(cells).shape == (1, 3, 3, 4)
    assert call(cells, "valid").shape == (1, 1, 1, 4)


@pytest.mark.parametrize(("precision", "expected"), [("float32", forms.FewProducts), ("mixed_bfloat16", forms.Widened)])
def test_wide_convolutions_have_a_form_of_their_own(monkeypatch, precision, expected):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")  # as on a processor with AVX-512
    monkeypatch.setattr(forms, "WIDE", 9 * 4 * 8)
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 4))
    wide = keras.layers.Conv2D(8, 3, padding="same", activation="relu", bias_initializer="normal")(image)
    narrow = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(wide)
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="head")(narrow))
    held = graph.HeldWeights(model, precision)
    kinds = [type(form) for form in held._forms.values()]
    assert kinds.count(expected) == 1
    cells = np.random.default_rng(0).random((2, 11, 75, 4)).astype(np.float32)  # a width that bfloat16 widens
    scores, plain = predictor(model, precision=precision)(cells), np.asarray(model(cells))
    bound = {"float32": 2e-6, "mixed_bfloat16": 3 * 2.0**-8}[precision]  # three layers' roundings
    assert np.abs(scores - plain).max() <= bound * np.abs(plain).max()


@pytest.mark.parametrize("call", ["joined", "ids"])
def test_an_image_of_which_no_pixel_is_left_is_refused(monkeypatch, call):
    """In float32."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setattr(forms, "WIDE", 9 * 4 * 4)
    image = keras.Input((None, None, 4))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Conv2D(4, 3)(image))
    made = predictor(keras.Model(image, keras.layers.Conv2D(2, 1)(x)))
    assert made.joined(np.ones((1, 5, 9, 4), np.float32)).shape == (1, 1, 5, 2)
    with pytest.raises(SizeError, match="does not take 4 x 9 pixels .its convolutions leave no pixel"):
        getattr(made, call)(np.ones((1, 4, 9, 4), np.float32))
