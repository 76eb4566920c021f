import re

import keras
import numpy as np
import pytest

from kseg.errors import ConfigError
from kseg.metrics import confusion_matrix, mean_iu
from kseg.objectives import CrossEntropyAndDice, Dice, KerasLoss, MeanIU, PixelCrossEntropy

LABEL = np.array([[[0, 1], [255, 1]]], np.int32)
SCORES = np.log(np.array([[[[0.5, 0.5], [0.25, 0.75]], [[0.9, 0.1], [0.5, 0.5]]]], np.float32))
LOSSES = [PixelCrossEntropy(), PixelCrossEntropy(average="weights"), Dice(), CrossEntropyAndDice()]


def test_cross_entropy_is_the_mean_over_the_pixels_that_count():
    assert float(PixelCrossEntropy()(LABEL, SCORES)) == pytest.approx((np.log(2) + np.log(4 / 3) + np.log(2)) / 3)


def test_pixel_weights_weigh_and_are_divided_out_where_asked():
    weights = np.array([[[2, 1], [7, 1]]], np.float32)
    total = 2 * np.log(2) + np.log(4 / 3) + np.log(2)
    assert float(PixelCrossEntropy(average="none")(LABEL, SCORES, weights)) == pytest.approx(total)
    assert float(PixelCrossEntropy(average="weights")(LABEL, SCORES, weights)) == pytest.approx(total / 4)
    assert float(PixelCrossEntropy(average="pixels")(LABEL, SCORES, weights)) == pytest.approx(total / 3)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_image_that_is_all_void_costs_nothing_and_gives_no_gradient(loss):
    tf = pytest.importorskip("tensorflow")
    scores = tf.Variable(SCORES)
    with tf.GradientTape() as tape:
        value = loss(np.full_like(LABEL, 255), scores)
    assert float(value) == 0
    assert not np.any(tape.gradient(value, scores))


def test_cross_entropy_is_safe_in_half_precision():
    scores = np.array([[[[60000, -60000], [-60000, 60000]], [[0, 0], [60000, -60000]]]], np.float16)
    assert float(PixelCrossEntropy()(LABEL, scores)) == pytest.approx(120000 / 3)


def test_the_labels_centre_counts_where_the_scores_are_smaller():
    label = np.full((1, 6, 8), 1, np.int32)
    label[0, 2:4, 3:5] = LABEL[0]
    for loss in (PixelCrossEntropy(), Dice(), CrossEntropyAndDice(0.5)):
        assert float(loss(label, SCORES)) == float(loss(LABEL, SCORES))


def test_dice_by_hand():
    # Class 0: p = .5, .25, .5 and truth at the first pixel; class 1: p = .5, .75, .5 and truth at the other two.
    by_hand = 1 - np.mean([2 * 0.5 / (1.25 + 1), 2 * 1.25 / (1.75 + 2)])
    assert float(Dice()(LABEL, SCORES)) == pytest.approx(by_hand)
    assert float(CrossEntropyAndDice(2.0)(LABEL, SCORES)) == pytest.approx(
        float(PixelCrossEntropy()(LABEL, SCORES)) + 2 * by_hand
    )


def test_mean_iu_is_that_of_one_matrix_over_all_batches():
    rng = np.random.default_rng(0)
    metric, matrix = MeanIU(4), np.zeros((4, 4), np.int64)
    for _ in range(3):
        label = rng.choice([0, 1, 2, 255], size=(2, 5, 7))
        scores = rng.normal(size=(2, 5, 7, 4)).astype(np.float32)
        metric.update_state(label, scores)
        matrix += confusion_matrix(label, scores.argmax(-1), 4)
    assert float(metric.result()) == pytest.approx(mean_iu(matrix), abs=1e-12)
    metric.reset_state()
    assert np.isnan(float(metric.result()))


def test_a_label_outside_the_classes_makes_mean_iu_nan():
    metric = MeanIU(2)
    metric.update_state(np.array([[[0, 7]]]), np.zeros((1, 1, 2, 2), np.float32))
    assert np.isnan(float(metric.result()))


def test_a_plain_fit_takes_loss_metric_and_weights():
    network = keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(2, 1)])
    network.compile("sgd", loss=CrossEntropyAndDice(), metrics=[MeanIU(2)])
    image = np.random.default_rng(0).random((8, 4, 4, 1), np.float32)
    label = (image[..., 0] > 0.5).astype(np.int32)
    history = network.fit(image, label, sample_weight=np.ones(label.shape, np.float32), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert 0 <= history["mean_iu"][1] <= 1


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_and_weights_may_have_a_last_axis_of_one(loss):
    weights = np.array([[[2, 1], [7, 1]]], np.float32)
    assert float(loss(LABEL[..., None], SCORES)) == float(loss(LABEL, SCORES))
    assert float(loss(LABEL[..., None], SCORES, weights[..., None])) == float(loss(LABEL, SCORES, weights))
    metrics = MeanIU(2), MeanIU(2)
    for metric, label in zip(metrics, (LABEL, LABEL[..., None]), strict=True):
        metric.update_state(label, SCORES)
    assert float(metrics[0].result()) == float(metrics[1].result())


@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 2, 2, 2), (1, 2, 2, 1, 1)])
def test_labels_of_another_rank_are_refused_with_their_shape_and_the_one_wanted(shape):
    for take in (*LOSSES, MeanIU(2).update_state):
        with pytest.raises(
            ValueError, match=r"\(N, H, W\) or \(N, H, W, 1\), found the shape " + re.escape(str(shape))
        ):
            take(np.zeros(shape, np.int32), SCORES)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_of_another_rank_are_refused_with_their_shape(loss):
    with pytest.raises(ValueError, match=r"found the shape \(1, 2\)"):
        loss(LABEL, SCORES, np.ones((1, 2), np.float32))


@pytest.mark.parametrize("loss", [*LOSSES, PixelCrossEntropy(average="none")])
@pytest.mark.parametrize("stray", [-1, 2, 254])
def test_a_label_that_is_neither_class_nor_void_makes_the_loss_nan_whatever_it_weighs(loss, stray):
    label = LABEL.copy()
    label[0, 1, 0] = stray
    assert np.isnan(float(loss(label, SCORES)))
    assert np.isnan(float(loss(label, SCORES, np.zeros_like(label))))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_images_weight_is_that_of_each_of_its_pixels(loss):
    rng = np.random.default_rng(0)
    label, scores = rng.choice([0, 1, 255], size=(3, 6, 8)), rng.normal(size=(3, 4, 6, 2)).astype(np.float32)
    each = np.array([0.5, 0, 3], np.float32)
    per_pixel = np.broadcast_to(each[:, None, None], label.shape)
    assert float(loss(label, scores, each)) == float(loss(label, scores, per_pixel)) != float(loss(label, scores))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(8,), (8, 4, 4), (8, 4, 4, 1)])
def test_a_plain_fit_takes_weights_per_image_and_per_pixel_in_training_and_validation(loss, shape):
    network = keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(2, 1)])
    # In a graph where the weights have another rank than the pixels; the step of kseg's own training is one too.
    network.compile("sgd", loss=loss, metrics=[MeanIU(2)], run_eagerly=len(shape) > 1)
    image = np.random.default_rng(0).random((8, 4, 4, 1), np.float32)
    label, weights = (image > 0.5).astype(np.int32), np.ones(shape, np.float32)
    validation = image, label, 2 * weights
    history = network.fit(image, label, sample_weight=weights, validation_data=validation, verbose=0).history
    assert np.isfinite([history["loss"], history["val_loss"], history["val_mean_iu"]]).all()


@pytest.mark.parametrize("thing", [PixelCrossEntropy(7, "none"), Dice(7), CrossEntropyAndDice(0.3, 7), MeanIU(3, 7)])
def test_losses_and_metric_come_back_from_their_configuration(thing):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(thing))
    assert again.get_config() == thing.get_config()


def test_a_loss_of_keras_weighs_pixels_and_passes_over_void_as_the_networks_own_does():
    rng = np.random.default_rng(0)
    scores, weights = rng.normal(size=(2, 5, 4, 3)).astype(np.float32), rng.random((2, 5, 4)).astype(np.float32)
    label = rng.integers(0, 3, (2, 5, 4))
    label[0, :2] = 255
    theirs = KerasLoss(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ours = PixelCrossEntropy()
    for weight_map in (None, weights, weights[:, 0, 0]):
        assert float(theirs(label, scores, weight_map)) == pytest.approx(
            float(ours(label, scores, weight_map)), rel=1e-5
        )
    # Of a network whose scores are smaller the centre counts.
    assert float(theirs(label, scores[:, 1:4])) == pytest.approx(float(ours(label, scores[:, 1:4])), rel=1e-5)
    summed = KerasLoss(keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"))
    assert float(summed(label, scores)) == pytest.approx(
        float(PixelCrossEntropy(average="none")(label, scores)), rel=1e-5
    )
    label[1, 0, 0] = 3
    assert np.isnan(float(theirs(label, scores)))
    assert float(theirs(np.full((1, 2, 2), 255), scores[:1, :2, :2])) == 0


class InfiniteForTheFirst(keras.losses.Loss):
    """Infinite for class 0, else 1, at each pixel."""

    def call(self, y_true, y_pred):
        return keras.ops.where(y_true == 0, float("inf"), 1.0)


def test_void_counts_nothing_though_the_loss_of_keras_is_infinite_there():
    label, scores = np.array([[[1, 255, 1]]]), np.zeros((1, 1, 3, 2), np.float32)
    assert float(KerasLoss(InfiniteForTheFirst())(label, scores)) == 1


def test_a_loss_of_keras_goes_to_a_configuration_and_back():
    loss = KerasLoss(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    label, scores = np.array([[[0, 1]]]), np.array([[[[2.0, 0.5], [0.1, 0.3]]]], np.float32)
    assert float(again(label, scores)) == float(loss(label, scores))


class Whole(keras.losses.Loss):
    """One number for all pixels."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(y_pred)


class OnItsOwn(keras.losses.Loss):
    """It does not look at weights."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return keras.ops.mean(y_pred)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (Whole(), r"values of the shape \(\) for pixels \(1, 2, 3\), so that it ignores the weights"),
        (OnItsOwn(), "OnItsOwn has a __call__ of its own, which may ignore the weights of pixels"),
        (keras.losses.SparseCategoricalCrossentropy(), "takes probabilities.*from_logits=True"),
        (keras.losses.CategoricalCrossentropy(from_logits=True), "CategoricalCrossentropy does not take labels"),
    ],
)
def test_a_loss_of_keras_that_can_not_weigh_pixels_is_refused(loss, words):
    with pytest.raises(ConfigError, match=words):
        KerasLoss(loss)


def test_masks_of_0_and_255_have_no_mean_iu_and_are_warned_of(capsys):
    metric = MeanIU(2)
    metric.update_state(np.array([[[0, 0, 255, 255]]]), np.array([[[[1, 0], [1, 0], [1, 0], [1, 0]]]], "f4"))
    assert np.isnan(metric.result())
    metric.reset_state()
    assert "warning: MeanIU: the labels hold a single class and 255, which is void here" in capsys.readouterr().err
    metric.update_state(np.array([[[0, 0]]]), np.array([[[[1, 0], [0, 1]]]], "f4"))
    assert float(metric.result()) == 0.5  # without void the mean over the one class that occurs stands


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_of_other_classes_than_the_metric_s_are_refused(channels):
    with pytest.raises(
        ValueError, match=f"2 scores, one for each class, per pixel before softmax are wanted, found {channels}"
    ):
        MeanIU(2).update_state(np.zeros((1, 1, 4)), np.ones((1, 1, 4, channels), "f4"))


@pytest.mark.parametrize(
    "loss", [PixelCrossEntropy(), Dice(), KerasLoss(keras.losses.SparseCategoricalCrossentropy(from_logits=True))]
)
def test_losses_refuse_one_score_per_pixel(loss):
    with pytest.raises(ValueError, match="Two or more scores per pixel before softmax are wanted, found 1"):
        loss(np.zeros((1, 1, 4)), np.full((1, 1, 4, 1), 0.5, "f4"))


@pytest.mark.parametrize("loss", [PixelCrossEntropy, Dice, CrossEntropyAndDice])
def test_void_may_be_another_number(loss):
    with_9 = np.where(LABEL == 255, 9, LABEL)
    assert float(loss(ignore_class=9)(with_9, SCORES)) == pytest.approx(float(loss()(LABEL, SCORES)))
    assert np.isnan(float(loss()(with_9, SCORES)))


def test_a_metric_counts_on_beyond_what_float32_holds():
    metric = MeanIU(2)
    metric.matrix.assign(np.array([[2**24, 0], [0, 2**24], [0, 0], [0, 0]]))
    for _ in range(3):  # in float32 2^24 + 1 is 2^24
        metric.update_state(np.array([[[0]]]), np.array([[[[1, 0]]]], "f4"))
    assert np.asarray(metric.matrix).tolist() == [[2**24 + 3, 0], [0, 2**24], [0, 0], [0, 0]]


@pytest.mark.parametrize("loss", LOSSES)
def test_fractions_are_no_labels_and_whole_floats_are(loss):
    whole = np.array([[[[1.0], [0.0]], [[1.0], [255.0]]]], np.float32)
    scores = np.zeros((1, 2, 2, 2), np.float32)
    assert float(loss(whole, scores)) == float(loss(whole.astype(np.int32), scores))
    assert np.isnan(float(loss(whole * 0.5, scores)))
    metric = MeanIU(2)
    metric.update_state(whole * 0.5, scores)
    assert np.isnan(float(metric.result()))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_network_that_ends_in_softmax_is_refused_by_the_losses(loss):
    network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 1, activation="softmax")])
    network.compile("sgd", loss, metrics=[MeanIU(2)])
    with pytest.raises(ValueError, match="ends in softmax or sigmoid.*Leave that activation out"):
        network.fit(np.zeros((1, 4, 4, 1)), np.zeros((1, 4, 4), int), verbose=0)
