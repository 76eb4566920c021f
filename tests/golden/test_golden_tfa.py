"""The dense warp against golden/tfa: what tensorflow-addons 0.23.0 computes."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.layers import dense_image_warp

CASES = [
    "small_flow", "large_flow", "odd_3ch", "min_2x2", "two_batch_1ch", "zero_flow", "int_flow", "half_flow",
    "beyond_flow", "float64", "float16",
]  # fmt: skip


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "golden" / "tfa" / "dense_image_warp.npz")


@pytest.mark.parametrize("case", CASES)
def test_the_warp_is_equal_bit_for_bit(golden, case):
    image, flow = tf.constant(golden[f"{case}.image"]), tf.constant(golden[f"{case}.flow"])
    warped = dense_image_warp(image, flow)
    assert warped.dtype == image.dtype
    np.testing.assert_array_equal(warped, golden[f"{case}.out"])


def test_gradients_are_equal(golden):
    image, flow = tf.Variable(golden["grad.image"]), tf.Variable(golden["grad.flow"])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(dense_image_warp(image, flow) * golden["grad.upstream"])
    for found, key in zip(tape.gradient(loss, [image, flow]), ("grad.d_image", "grad.d_flow"), strict=True):
        found = tf.convert_to_tensor(found)
        # A pixel's gradient is a sum of a few float32 terms, in another order than the original's.
        np.testing.assert_allclose(found, golden[key], rtol=0, atol=8 * 2**-24 * np.abs(golden[key]).max())
