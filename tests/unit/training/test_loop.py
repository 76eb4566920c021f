import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.errors import DataError, TrainingDiverged
from kseg.inference import precision, set_precision
from kseg.inference.in_training import save_network
from kseg.objectives import CrossEntropyAndDice, PixelCrossEntropy
from kseg.pipeline import Elastic, Grey, GreyCurve, Mirror, Rotation, Saturation, Scale, Shift
from kseg.preparation.prepared import make_augmentations, make_loss
from kseg.recipes.recipe import Recipe
from kseg.recipes.specs import AugmentSpec, DataSpec, LossSpec
from kseg.runs import start
from kseg.training.devices import Devices
from kseg.training.loop import Plan, run_steps
from kseg.training.optimizers import freeze, make_optimizer
from kseg.training.specs import OptimizerSpec
from kseg.training.step import step_of, with_average_weights
from kseg.training.step.first_nan import first_not_finite


def network(optimizer) -> keras.Model:
    model = keras.Sequential([keras.layers.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
    model.compile(optimizer, PixelCrossEntropy())
    return model


def batches(value: float = 1.0) -> tf.data.Dataset:
    image = tf.fill((1, 4, 4, 1), value)
    return tf.data.Dataset.from_tensors((image, tf.ones((1, 4, 4), tf.int32))).repeat()


class Diary(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.epochs, self.steps = [], 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, self.steps, logs["loss"]))


def test_the_last_epoch_has_what_remains():
    diary = Diary()
    run_steps(network(keras.optimizers.SGD(0.1)), batches(), Plan(7, 3), callbacks=[diary])
    assert [(epoch, steps) for epoch, steps, _ in diary.epochs] == [(0, 3), (1, 6), (2, 7)]
    assert diary.epochs[2][2] < diary.epochs[0][2]


def test_an_image_that_holds_no_number_stops_the_training_and_is_named():
    model = network(keras.optimizers.SGD(0.1))
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(TrainingDiverged, match=r"step 1 of 5: the image holds NaN, of a, b\. Look at what that"):
        run_steps(model, batches(float("nan")), Plan(5, 5, names=lambda step: ["a", "b"][step:]))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


class Skips(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((round(logs["loss"], 3), logs["skipped"]))
        assert logs["wait_s"] >= 0

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(round(logs["loss"], 3))


def test_as_many_bad_batches_in_a_row_as_allowed_are_skipped_and_counted_and_the_next_ends_it():
    good, bad = (batches(value).take(1) for value in (1.0, float("inf")))
    stream, seen = good.concatenate(bad.repeat(2)).repeat(2).concatenate(bad), Skips()
    model = network(keras.optimizers.SGD(0.0))
    model.set_weights([np.zeros((1, 1, 1, 2)), np.zeros(2)])
    # log 2, and of 0 x infinity no number.
    with pytest.raises(TrainingDiverged, match="at step 5 of 9: the image holds infinity"):
        run_steps(model, stream, Plan(9, 3, skip=2), callbacks=[seen])
    assert repr(seen.seen) == repr(
        [(0.693, 0.0), (math.nan, 1.0), (math.nan, 2.0), 0.693, (0.693, 2.0), (math.nan, 3.0), (math.nan, 4.0), 0.693]
    )


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("weights", "the weights enc0_conv1/kernel hold NaN"),
        ("activation", "the output of layer enc0_conv2 holds infinity"),
        ("gradient", "the gradient of head/bias holds NaN (of the loss times 1.32923e+36; "),
    ],
)
def test_what_is_first_no_number_is_found(harm, words):
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**120)
    model = mixed("float32", scaled if harm == "gradient" else keras.optimizers.SGD(0.1))
    first, second = (model.get_layer(f"enc0_conv{number}") for number in (1, 2))
    if harm == "weights":
        first.kernel.assign(np.full(first.kernel.shape, np.nan))
    if harm == "activation":
        second.kernel.assign(np.full(second.kernel.shape, 3e38))
    label = tf.zeros((1, 16, 16), tf.int32)
    weight_map = tf.fill((1, 16, 16), 1e30)
    assert first_not_finite(model, (tf.fill((1, 16, 16, 1), 255.0), label, weight_map)).startswith(words)


def test_moving_statistics_are_not_touched_by_a_step_that_is_skipped():
    model = mixed("float32", keras.optimizers.SGD(0.1))
    before = [variable.numpy() for variable in model.variables]
    image = tf.fill((1, 16, 16, 1), float("nan"))
    stream = tf.data.Dataset.from_tensors((image, tf.zeros((1, 16, 16), tf.int32))).repeat()
    run_steps(model, stream.take(2), Plan(3, 3, skip=2))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_callbacks_find_the_average_of_the_weights_and_training_goes_on_from_their_own():
    # SGD at rate 1 on a loss that falls by the same at each step: the bias goes its way in equal steps.
    seen, weights = [], []
    spec = OptimizerSpec(name="sgd", learning_rate=0.5, momentum=0.0, schedule="constant", ema=0.5)
    model = network(make_optimizer(spec, 9))

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            weights.append(self.model.layers[-1].bias.numpy())

        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.layers[-1].bias.numpy())

    run_steps(model, batches(), Plan(4, 2), callbacks=[Look()])
    average = weights[0]
    for step, weight in enumerate(weights[1:], start=2):
        average = average / 2 + weight / 2
        if step % 2 == 0:
            np.testing.assert_allclose(seen[step // 2 - 1], average, rtol=1e-6)
    np.testing.assert_array_equal(model.layers[-1].bias.numpy(), weights[-1])


def mixed(precision: str, optimizer) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = kseg.build("unet", width=2, depth=1, padding="same", normalization="batch", dropout=0.0)
    set_precision(model, precision)
    if precision == "mixed_float16" and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, PixelCrossEntropy())
    return model


def bright_or_dark() -> tf.data.Dataset:
    label = np.random.default_rng(0).integers(0, 2, (1, 16, 16)).astype(np.int32)
    image = (label[..., None] * 255).astype(np.float32)
    return tf.data.Dataset.from_tensors((image, label)).repeat()


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_network_learns_in_every_precision(precision):
    model, diary = mixed(precision, keras.optimizers.Adam(0.02)), Diary()
    assert (
        keras.config.dtype_policy().name == "float32" and model.get_layer("enc0_conv1").dtype_policy.name == precision
    )
    run_steps(model, bright_or_dark(), Plan(12, 4), callbacks=[diary])
    losses = [loss for _, _, loss in diary.epochs]
    assert losses[0] > losses[1] > losses[2]
    assert {variable.dtype for variable in model.variables} == {"float32"} and model.output.dtype == "float32"


def test_steps_whose_scaled_gradients_overflow_are_skipped_at_half_the_scale():
    # 2^40 over 256 pixels is far above float16's 65504.
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**40)
    model = mixed("mixed_float16", optimizer)
    before = [variable.numpy() for variable in model.trainable_variables]
    run_steps(model, bright_or_dark(), Plan(3, 3, skip=3))
    assert float(optimizer.dynamic_scale) == 2.0**37
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_what_breaks_inside_tf_data_is_a_data_error():
    def broken() -> np.ndarray:
        raise DataError("a.png: the image is truncated or damaged")

    stream = batches().map(lambda image, label: (image, label + tf.numpy_function(broken, [], tf.int32)))
    with pytest.raises(DataError, match=r"a\.png: the image is truncated"):
        run_steps(network(keras.optimizers.SGD(0.1)), stream, Plan(1, 1))


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [("constant", (0.4, 0.4, 0.4)), ("cosine", (0.4, 0.2, 0.0)), ("polynomial", (0.4, 0.4 * 0.5**0.9, 0.0))],
)
def test_the_learning_rate_falls_as_the_schedule_says(schedule, rates):
    optimizer = make_optimizer(OptimizerSpec(name="sgd", learning_rate=0.4, schedule=schedule), steps=10)
    assert optimizer.momentum == 0.99
    for step, rate in zip((0, 5, 10), rates, strict=True):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(rate, abs=1e-7)


def moved(model: keras.Model, stream: tf.data.Dataset, steps: int) -> list[np.ndarray]:
    """How far each variable goes."""
    before = [variable.numpy() for variable in model.trainable_variables]
    run_steps(model, stream, Plan(steps, steps))
    return [variable.numpy() - start for variable, start in zip(model.trainable_variables, before, strict=True)]


def plain(**options) -> OptimizerSpec:
    return OptimizerSpec("sgd", 0.5, momentum=0.0, schedule="constant", **options)


def test_clipped_gradients_are_shortened_together():
    model = network(make_optimizer(plain(clip_norm=0.01), 1))
    length = np.sqrt(sum((step**2).sum() for step in moved(model, batches(9.0), 1)))
    assert length == pytest.approx(0.5 * 0.01, rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1, "momentum": 0.9, "rate_factors": ("*/bias:2",), "ema": 0.5},  # Caffe's iter_size
        {"clip_norm": 0.05},
        {"name": "adam", "momentum": None, "learning_rate": 0.01, "schedule": "cosine"},
    ],
)
def test_two_accumulated_batches_move_as_one_of_twice_the_size(options):
    image = np.random.default_rng(0).random((6, 4, 4, 1)).astype(np.float32)
    label = (image[..., 0] > 0.3).astype(np.int32)
    items = tf.data.Dataset.from_tensor_slices((image, label)).repeat()
    spec, paths = dataclasses.replace(plain(), **options), []
    for size in (1, 2):
        keras.utils.set_random_seed(0)
        accumulating = dataclasses.replace(spec, accumulate=2 // size)
        paths.append(moved(network(make_optimizer(accumulating, 12 // size)), items.batch(size), 6 // size))
    for one, other in zip(*paths, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
        assert np.abs(one).max() > 0.01


def frozen_unet() -> keras.Model:
    """With batch normalisation, of which all but the head is frozen."""
    keras.utils.set_random_seed(0)
    model = kseg.build("unet", width=2, depth=1, padding="same", normalization="batch")
    spec = plain(rate_factors=("*:0", "head:1"), ema=0.5)
    freeze(spec, model)
    model.compile(make_optimizer(spec, 9), PixelCrossEntropy())
    return model


def values(model: keras.Model) -> dict[str, np.ndarray]:
    return {each.path: each.numpy() for each in model.variables if each.dtype == "float32"}


@pytest.mark.parametrize("image", [9.0, np.nan])
def test_of_a_frozen_network_batch_normalisation_moves_on_unless_the_step_is_skipped(image):
    model = frozen_unet()
    before = values(model)
    noise = tf.random.stateless_normal((1, 4, 4, 1), (1, 2))
    stream = batches(image).map(lambda image, label: (image + noise, label))
    run_steps(model, stream.concatenate(batches(9.0)).take(1), Plan(2, 2, skip=3))
    moved = {path for path, value in values(model).items() if np.any(value != before[path])}
    averages = {path for path in before if "moving_" in path}
    assert moved == (set() if np.isnan(image) else {"head/kernel", "head/bias"} | averages)
    with with_average_weights(model):
        assert not np.any(values(model)["enc0_conv1/kernel"] != before["enc0_conv1/kernel"])


def test_a_frozen_network_that_is_saved_can_be_trained_whole(tmp_path):
    model = frozen_unet()
    save_network(model, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    # Six kernels, kernel and bias of up0_upconv and of the head, and gamma and beta of six normalisations.
    assert (len(model.trainable_variables), len(loaded.trainable_variables)) == (2, 22)


def test_where_a_frozen_network_diverges_is_found():
    model = frozen_unet()
    image, label = next(iter(batches(1e38)))
    model.get_layer("enc0_conv1").kernel.assign(tf.fill((3, 3, 1, 2), 1e38))
    assert first_not_finite(model, (image, label)) == "the output of layer enc0_conv1 holds infinity"


class StopAt(keras.callbacks.Callback):
    """Stops the training within an epoch, and notes how often one ended."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.steps, self.epochs = step, 0, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.model.stop_training = self.steps == self.step

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


def test_a_callback_that_stops_within_an_epoch_ends_it():
    stop = StopAt(5)
    run_steps(network(keras.optimizers.SGD(0.1)), batches(9.0), Plan(9, 3), callbacks=[stop])
    assert (stop.steps, stop.epochs) == (5, 2)


def test_a_training_all_of_whose_steps_were_skipped_has_diverged():
    with pytest.raises(TrainingDiverged, match="step 1 of 2: the image holds NaN"):
        run_steps(network(keras.optimizers.SGD(0.1)), batches(np.nan), Plan(2, 2, skip=20))


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_there_is_no_average_of_the_weights_before_the_first_update(ema):
    model = network(make_optimizer(plain(accumulate=3, ema=ema), 9))
    before = [variable.numpy() for variable in model.trainable_variables]
    run_steps(model, batches(9.0), Plan(2, 2))
    with with_average_weights(model):
        for variable, value in zip(model.trainable_variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)


def test_nothing_moves_before_the_last_batch_to_an_update():
    model = network(make_optimizer(plain(accumulate=3), 9))
    assert not any(np.any(step) for step in moved(model, batches(9.0), 2))
    assert np.any(moved(model, batches(9.0), 1)[0])


def test_dice_is_added_where_asked_for():
    assert isinstance(make_loss(LossSpec()), PixelCrossEntropy)
    assert isinstance(make_loss(LossSpec(dice=0.5)), CrossEntropyAndDice)


def test_a_recipe_says_which_augmentations_there_are():
    assert make_augmentations(DataSpec().augment) == [Mirror(), Rotation(180.0)]
    everything = AugmentSpec(
        shift={"pixels": 3},
        scale={"most": 1.5},
        grey={"gain": 0.1, "offset": 0.2},
        grey_curve={},
        elastic={"sigma": 8, "spacing": 64},
        saturation={"most": 0.4},
        rotation={},
        mirror={},
    )
    assert make_augmentations(everything) == [
        Elastic(8, 64), Mirror(), Rotation(180.0), Shift(3), Scale(1.5), Saturation(0.4), GreyCurve(), Grey(0.1, 0.2),
    ]  # fmt: skip
    assert make_augmentations(AugmentSpec(mirror={"vertical": False})) == [Mirror(vertical=False)]
    assert make_augmentations(AugmentSpec()) == []


@pytest.mark.parametrize(
    ("asked", "deterministic", "amx", "capability", "settled"),
    [
        ("auto", False, False, None, "float32"),
        ("auto", False, True, None, "mixed_bfloat16"),
        ("auto", True, True, None, "float32"),
        ("auto", False, True, (6, 1), "float32"),
        ("auto", False, False, (7, 0), "mixed_float16"),
        ("auto", True, False, (9, 0), "float32"),
        ("float32", False, True, (9, 0), "float32"),
        ("mixed_bfloat16", True, False, None, "mixed_bfloat16"),
    ],
)
def test_auto_is_what_the_device_is_quick_in(monkeypatch, asked, deterministic, amx, capability, settled):
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: amx)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] if capability else [])
    details = {"compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    recipe = Recipe("a", steps=1, precision=asked, deterministic=deterministic)
    assert start.settled(recipe, {}, None).precision == settled


def test_the_losses_of_several_heads_are_summed():
    model = kseg.build("fcn32s", classes={"semantic": 5, "geometric": 3}, width=1 / 64, fc_width=2)
    model.compile(keras.optimizers.SGD(0.0), PixelCrossEntropy())
    labels = {head: tf.zeros((1, 8, 8), tf.int32) for head in ("semantic", "geometric")}
    batch = tf.zeros((1, 8, 8, 3)), labels
    loss, finite = step_of(model, tf.data.Dataset.from_tensors(batch).element_spec, Devices.of())(*batch)
    # Scores start at zero: all classes are as likely.
    assert finite and loss == pytest.approx(np.log(5) + np.log(3), rel=1e-6)


def test_a_callback_may_end_the_training():
    class Enough(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    diary = Diary()
    run_steps(network(keras.optimizers.SGD(0.1)), batches(), Plan(9, 2), callbacks=[diary, Enough()])
    assert diary.steps == 4 and diary.params == {"epochs": 5, "steps": 2, "verbose": 0}


def scaled(inner, scale=2.0**12) -> keras.optimizers.LossScaleOptimizer:
    return keras.optimizers.LossScaleOptimizer(inner, initial_scale=scale)


def test_accumulated_gradients_of_a_scaled_loss_move_as_those_of_one_that_is_not():
    image = np.random.default_rng(0).random((4, 4, 4, 1)).astype(np.float32)
    items = tf.data.Dataset.from_tensor_slices((image, (image[..., 0] > 0.3).astype(np.int32))).repeat().batch(1)
    paths = []
    for wrap in (lambda optimizer: optimizer, scaled):
        keras.utils.set_random_seed(0)
        paths.append(moved(network(wrap(make_optimizer(plain(accumulate=2), 8))), items, 4))
    for one, other in zip(*paths, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)  # powers of two: the rounding of sums alone
        assert np.abs(one).max() > 0.01


def test_a_loss_that_is_no_number_skips_the_step_though_its_gradients_are():
    image, label = tf.ones((1, 4, 4, 1)), np.ones((1, 4, 4), np.int32)
    label[0, 0, 0] = 7  # neither class nor void: a summed loss is NaN, its gradients are not
    stray = tf.data.Dataset.from_tensors((image, tf.constant(label)))
    good, paths = batches().take(1), []
    for stream, steps in ((stray.concatenate(good), 2), (good, 1)):
        keras.utils.set_random_seed(0)
        model = network(keras.optimizers.SGD(0.1))
        model.compile(keras.optimizers.SGD(0.1), PixelCrossEntropy(average="none"))
        run_steps(model, stream, Plan(steps, steps, skip=1))
        assert int(model.optimizer.iterations) == 1  # gradients of 0 would leave the weights, too, but count as a step
        paths.append([variable.numpy() for variable in model.variables])
    for one, other in zip(*paths, strict=True):
        np.testing.assert_array_equal(one, other)


def test_after_a_skipped_step_the_scale_has_to_wait_its_whole_time_again():
    optimizer = scaled(keras.optimizers.SGD(0.1), 2.0**10)
    model = network(optimizer)
    good, bad = batches().take(3), batches(np.nan).take(1)
    run_steps(model, good.concatenate(bad), Plan(4, 4, skip=1))
    assert (int(optimizer.step_counter), float(optimizer.dynamic_scale)) == (0, 2.0**9)
