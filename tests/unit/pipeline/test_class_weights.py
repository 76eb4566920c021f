"""Class weights from the batch to the loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_batches import Numbered, TwoTasks

from kseg.datasets import Dataset, Item
from kseg.errors import DataError
from kseg.objectives import PixelCrossEntropy
from kseg.pipeline import batches, class_weight_map


class Weighed(Dataset):
    """One image of two pixels of each class and two of void, which counts half."""

    name, split, splits, ids, classes = "weighed", "train", ("train",), ("0",), ("a", "b")
    has_weights = True

    def read(self, index: int) -> Item:
        label = np.array([[0, 0, 255], [1, 1, 255]], np.int32)
        return Item("0", np.zeros((2, 3, 1), np.uint8), label, weight=0.5)


def test_each_pixel_weighs_what_its_class_does_and_void_nothing():
    label = np.array([[0, 2], [255, 1]], np.int32)
    np.testing.assert_array_equal(class_weight_map(label, (0.5, 1, 3)), np.float32([[0.5, 3], [0, 1]]))
    assert class_weight_map(label, (0.5, 1, 3)).dtype == np.float32


def test_the_weight_of_the_class_is_taken_times_that_of_the_image():
    ((_, _, weights),) = batches(Weighed(), class_weights=(1, 4), steps=1)
    np.testing.assert_array_equal(weights[0], [[0.5, 0.5, 0], [2, 2, 0]])


def test_the_weight_of_the_class_is_taken_times_that_of_the_border():
    data = Numbered(1, has_instances=True)
    ((_, label, border),) = batches(data, border_weight=10.0, steps=1)
    ((_, _, both),) = batches(data, border_weight=10.0, class_weights=(2, 3), steps=1)
    np.testing.assert_array_equal(both, border.numpy() * np.where(label.numpy() == 1, np.float32(3), np.float32(2)))


def test_several_heads_have_one_weight_map_and_so_no_class_weights():
    with pytest.raises(DataError, match=r"tasks: class weights need one label per pixel, but there are 2 \(semantic,"):
        batches(TwoTasks(), class_weights=(1, 1))


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), (1, -1), (1, float("nan"))])
def test_class_weights_are_one_number_per_class(weights):
    with pytest.raises(DataError, match="numbered: class weights are 1.*, but there are 2 classes. Give a number >= 0"):
        batches(Numbered(1), class_weights=weights)


def scored(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (2, 4, 4) with as many void pixels in each image, scores (2, 4, 4, 3), and a class weight per pixel."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (2, 4, 4)).astype(np.int32)
    label[:, 0] = 255
    weights = np.stack([class_weight_map(one, (0.25, 1, 40)) for one in label])
    return label, rng.normal(size=(2, 4, 4, 3)).astype(np.float32), weights


def test_the_loss_is_divided_by_the_pixels_that_count_not_by_their_weights():
    label, scores, weights = scored()
    loss = PixelCrossEntropy()
    total = PixelCrossEntropy(average="none")(label, scores, weights)
    assert float(loss(label, scores, weights)) == pytest.approx(float(total) / (label != 255).sum(), rel=1e-6)
    # A class weighs the same whether it is common in the batch or rare: doubling all weights doubles the loss.
    assert float(loss(label, scores, 2 * weights)) == pytest.approx(2 * float(loss(label, scores, weights)), rel=1e-6)


def test_replicas_with_as_many_known_pixels_give_in_the_mean_what_one_device_gives():
    label, scores, weights = scored()
    loss = PixelCrossEntropy()
    halves = [float(loss(label[half], scores[half], weights[half])) for half in (slice(1), slice(1, 2))]
    assert np.mean(halves) == pytest.approx(float(loss(label, scores, weights)), rel=1e-6)


@pytest.mark.parametrize(("precision", "rounding"), [("float16", 2**-11), ("bfloat16", 2**-8)])
@pytest.mark.parametrize("average", ["pixels", "weights", "none"])
def test_weighed_losses_of_half_precision_are_those_of_float32_but_for_the_scores_rounding(
    precision, rounding, average
):
    label, scores, weights = scored()
    loss = PixelCrossEntropy(average=average)
    exact = float(loss(label, scores, weights))
    found = float(loss(label, keras.ops.cast(scores, precision), weights))
    # A score is off by at most its rounding; log-sum-exp and the label's score each by no more than the worst of them.
    # That is weighed, added up and divided as the losses are; float32 itself adds a millionth.
    total = weights.sum()  # 0 where void
    whole = {"pixels": (label != 255).sum(), "weights": total, "none": 1}[average]
    assert found != exact
    assert abs(found - exact) <= 2 * rounding * np.abs(scores).max() * total / whole + 1e-6 * exact


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_void_gives_no_gradient_whatever_it_weighs_and_classes_give_theirs_times_their_weight(precision):
    label, scores, weights = scored()
    weights[label == 255] = 1000
    plain, weighed = (
        gradient(PixelCrossEntropy(average="none"), label, scores, precision, each)
        for each in (np.ones_like(weights), weights)
    )
    assert not plain[label == 255].any() and not weighed[label == 255].any()
    known = label != 255
    # Gradients of float16 lie on a grid of 2^-11, of bfloat16 of 2^-8, and the weights 1/4, 1 and 40 = 2^3 x 5.
    relative = {"float32": 1e-6, "float16": 2**-10, "bfloat16": 2**-7}[precision]
    np.testing.assert_allclose(weighed[known], (weights[..., None] * plain)[known], rtol=relative, atol=1e-5)


def test_an_image_of_weight_0_gives_no_gradient():
    data = Halves()
    ((image, label, weights),) = batches(data, size=2, class_weights=(1, 4), steps=1)
    first = image.numpy()[:, 0, 0, 0] == 0
    scores = np.zeros((2, 2, 3, 2), np.float32)
    found = gradient(PixelCrossEntropy(average="none"), label, scores, "float32", weights)
    assert not found[first].any()
    # softmax is 1/2 each; the label's is less by 1. Class 0 weighs 1, class 1 weighs 4, the image 2, void nothing.
    assert found[~first][0, :, :, 0].tolist() == [[-1, -1, 0], [4, 4, 0]]


class Halves(Weighed):
    """Two such images, of which the first counts nothing and the second twice; each of its number's grey."""

    ids = ("0", "1")

    def read(self, index: int) -> Item:
        label = super().read(index).label
        return Item(self.ids[index], np.full((2, 3, 1), index, np.uint8), label, weight=2.0 * index)


def gradient(loss, label, scores, precision: str, weights) -> np.ndarray:
    """The gradient of `loss` in scores that are of `precision`, as float32."""
    variable = tf.Variable(tf.cast(scores, precision))
    with tf.GradientTape() as tape:
        value = loss(label, variable, weights)
    return tf.cast(tape.gradient(value, variable), tf.float32).numpy()


def test_class_weights_hold_under_mixed_precision():
    label, scores, weights = scored()
    halved = scores.astype(np.float16)
    exact = PixelCrossEntropy()(label, halved.astype(np.float32), 1e4 * weights)  # beyond float16's 65,504
    found = PixelCrossEntropy()(label, keras.ops.convert_to_tensor(halved), 1e4 * weights)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert float(found) == float(exact)
