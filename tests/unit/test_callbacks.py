import csv
import json

import keras
import numpy as np
import pytest

import kseg
from kseg.callbacks import EventFiles, KeepBest, MetricsLog, Progress, Samples, Validate, Watch
from kseg.callbacks.throttle import Throttle
from kseg.callbacks.validation import ValidationLoss
from kseg.errors import ConfigError
from kseg.inference import set_precision
from kseg.inference.in_training import SharedPredictor
from kseg.layers import ScoreReading, with_reading
from kseg.metrics import Seen
from kseg.objectives import CrossEntropyAndDice, MeanIU, PixelCrossEntropy


def test_they_work_in_a_plain_fit(few_cells, tmp_path):
    data = kseg.datasets.open("demo", few_cells, split="val")
    network = kseg.build("unet", width=2, depth=1, padding="same", dropout=0)
    network.compile("adam", PixelCrossEntropy())
    callbacks = [Validate(data), KeepBest(tmp_path / "best.keras"), Samples(data, tmp_path, 1), MetricsLog(tmp_path)]
    batches = kseg.batches(data, size=2, crop=(32, 32), steps=4)
    options = {"steps_per_epoch": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    history = network.fit(batches.repeat(), callbacks=callbacks, **options).history
    assert len(history["val_mean_iu"]) == len(history["val_seg"]) == 2
    assert {"best.keras", "metrics.csv", "metrics.jsonl", "curves.png", "cells_00.png"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert kseg.evaluate(kseg.load(tmp_path / "best.keras"), data).mean_iu == pytest.approx(max(history["val_mean_iu"]))


def test_validation_logs_scores_and_the_loss_of_whole_images():
    data = kseg.datasets.open("demo", split="val")
    keras.utils.set_random_seed(0)
    network = kseg.build("unet", width=2, depth=1, padding="same", dropout=0)
    network.compile("adam", CrossEntropyAndDice(0.5))
    validate = Validate(data, ["dice", "pixel_error", "pixel_error"])
    validate.set_model(network)
    logs = {}
    validate.on_epoch_end(0, logs)
    names = ("mean_iu", "pixel_accuracy", "mean_accuracy", "seg", "object_f1", "dice", "pixel_error", "loss")
    assert list(logs) == [f"val_{name}" for name in names]
    items = [data[index] for index in range(len(data))]
    scores = network(np.stack([item.image for item in items]).astype(np.float32), training=False)
    shares = keras.ops.convert_to_numpy(keras.ops.softmax(keras.ops.cast(scores, "float64")))
    label = np.stack([item.label for item in items])
    truth = np.eye(2)[np.where(label == 255, 0, label)] * (label != 255)[..., None]
    shares = shares * (label != 255)[..., None]
    cross_entropy = -(np.log(shares.clip(1e-30)) * truth).sum() / truth.sum()
    common, whole = (values.sum(axis=(0, 1, 2)) for values in (shares * truth, shares + truth))
    # In float32 sums of 36,864 pixels an image; whole batches summed at once are off by up to 1e-4.
    loss = cross_entropy + 0.5 * (1 - (2 * common / whole).mean())
    assert logs["val_loss"] == pytest.approx(loss, rel=3e-5)
    assert logs["val_dice"] == pytest.approx(np.mean(list(validate.report.per_class_dice.values())))
    network.compile("adam", "sparse_categorical_crossentropy")
    validate.on_epoch_end(1, logs := {})
    assert "val_loss" not in logs and "val_mean_iu" in logs


def test_validation_averages_nothing_whatever_the_network_does(few_cells):
    network = kseg.build("unet", width=1, depth=1, padding="same")
    validate = Validate(kseg.datasets.open("demo", few_cells, split="val")[:1])
    validate.set_model(with_reading(network, ScoreReading(("background", "cell"), average="mirror")))
    validate.on_epoch_end(0, {})
    assert validate.report.average == "none"


def test_the_loss_on_val_is_the_sum_of_all_heads_and_of_the_pixels_of_all_images():
    def seen(label, scores, **others):
        scores = np.tile(np.log(np.float32(scores)), (*np.shape(label), 1))
        return Seen(np.array(label), scores, ("a", "b"), others=others)

    # The first head finds the truth by 1/4 and, of one pixel of three, 1/2; the second by 1/8 everywhere.
    images = [
        seen([[0, 0]], [1 / 4, 3 / 4], where=seen([[0, 0]], [1 / 8, 7 / 8])),
        seen([[0, 255]], [1 / 2, 1 / 2], where=seen([[1, 1]], [7 / 8, 1 / 8])),
    ]
    loss = ValidationLoss(PixelCrossEntropy())
    total = sum(loss.sums(each) for each in images)
    assert loss.of_sums(total) == pytest.approx((2 * np.log(4) + np.log(2)) / 3 + np.log(8))


def test_validation_by_what_the_data_lack_is_refused_at_once():
    data = kseg.datasets.open("demo", split="val")
    with pytest.raises(ConfigError, match="measure is iu.sell, but demo has no class 'sell', only background, cell"):
        Validate(data, ["iu.sell"])


def test_a_row_has_every_column_though_validation_comes_now_and_then(tmp_path):
    network = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    x = np.ones((4, 1), np.float32)
    options = {"epochs": 2, "validation_data": (x, x), "validation_freq": 2, "verbose": 0}
    network.fit(x, x, callbacks=[MetricsLog(tmp_path)], **options)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert rows[0]["val_loss"] == "" and float(rows[1]["val_loss"]) >= 0


def test_all_work_in_a_plain_fit_that_validates_after_every_second_epoch(tmp_path, capsys):
    data = kseg.datasets.open("demo", split="val")
    network = kseg.build("unet", width=2, depth=1, padding="same", dropout=0)
    network.compile("adam", PixelCrossEntropy(), metrics=[MeanIU(2)])
    samples = Samples(data, tmp_path, 1)
    log, events = MetricsLog(tmp_path), EventFiles(tmp_path / "events", samples)
    callbacks = [samples, KeepBest(tmp_path / "best.keras"), log, events, Watch(samples), Progress(6)]
    batches = kseg.batches(data, size=2, crop=(32, 32), steps=2).repeat()
    options = {"steps_per_epoch": 2, "epochs": 3, "shuffle": False, "verbose": 0, "validation_steps": 1}
    network.fit(batches, validation_data=batches, validation_freq=2, callbacks=callbacks, **options)
    assert ["val_mean_iu" in row for row in log.rows] == [False, True, False]
    assert callbacks[1].best == pytest.approx(log.rows[1]["val_mean_iu"]) and (tmp_path / "best.keras").is_file()
    assert (tmp_path / "curves.png").is_file() and list((tmp_path / "events").iterdir())
    assert "step 6/6" in capsys.readouterr().err


def keep(best, network, *scores):
    """What `best` kept after epochs with these scores: the number of the epoch, which is the network's one weight."""
    best.set_model(network)
    for number, score in enumerate(scores, start=1):
        network.set_weights([np.full((1, 1), number, np.float32)])
        best.on_epoch_end(number, {} if score is None else {"val_mean_iu": score})
    return int(keras.saving.load_model(best.path).get_weights()[0].item())


@pytest.mark.parametrize(
    "scores, kept",
    [
        ((0.9, np.nan, 0.1), 1),
        ((0.1, np.nan, 0.9), 3),
        ((np.nan, 0.1), 2),
        ((np.nan, np.nan), 2),
        ((None, 0.1, None), 2),
        ((0.0, 0.0), 1),
    ],
)
def test_the_best_network_is_kept_whatever_nan_or_lack_of_a_score_comes(tmp_path, scores, kept):
    network = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    assert keep(KeepBest(tmp_path / "best.keras"), network, *scores) == kept


@pytest.mark.parametrize(
    "options",
    [{"measure": "warping_error"}, {"monitor": "val_loss"}, {"monitor": "val_mean_iu", "mode": "min"}],
)
@pytest.mark.parametrize(("scores", "kept"), [((0.2, 0.1, 0.3), 2), ((np.nan, 0.3, np.nan), 2), ((0.0, 0.0), 1)])
def test_of_errors_the_lower_one_is_kept_after_a_break_too(tmp_path, options, scores, kept):
    network = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    best = KeepBest(tmp_path / "best.keras", **options)
    for number, score in enumerate(scores, start=1):
        again = KeepBest(tmp_path / "best.keras", **options)
        again.restore(json.loads(json.dumps(best.state())))
        again.set_model(network)
        network.set_weights([np.full((1, 1), number, np.float32)])
        again.on_epoch_end(number, {again.monitor: score})
        best = again
    assert int(keras.saving.load_model(best.path).get_weights()[0].item()) == kept


def test_a_best_network_that_is_gone_is_replaced_by_the_next(tmp_path):
    network = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    best = KeepBest(tmp_path / "best.keras")
    keep(best, network, 0.9)
    best.path.unlink()
    assert keep(best, network, np.nan, 0.1) == 2


def test_what_is_no_number_is_null_in_the_lines_and_nan_in_the_table(tmp_path):
    log = MetricsLog(tmp_path)
    log._throttle = lambda work: False
    log.on_epoch_end(0, {"loss": float("inf"), "val_mean_iu": float("nan")})
    log.on_epoch_end(1, {"loss": 1.0, "val_mean_iu": 0.5})
    text = (tmp_path / "metrics.jsonl").read_text()
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert [(line["loss"], line["val_mean_iu"]) for line in lines] == [(None, None), (1.0, 0.5)]
    table = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert (table[0]["loss"], table[0]["val_mean_iu"]) == ("inf", "nan")


def test_what_takes_a_second_waits_its_time_and_is_done_again_after_a_hundred(monkeypatch):
    now, done = [0.0], []
    monkeypatch.setattr("kseg.callbacks.throttle.time.monotonic", lambda: now[0])
    throttle = Throttle(0.01, wait_s=40)

    def work() -> None:
        done.append(now[0])
        now[0] += 1

    for now[0] in (0.0, 39.0, 40.0, 90.0, 140.0, 141.0, 142.0):  # noqa: B007
        throttle(work)
    assert done == [40.0, 141.0]


def test_curves_are_drawn_at_the_end_at_the_latest(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("kseg.callbacks.metrics_log.draw_curves", lambda rows, *_: drawn.append(len(rows)))
    log = MetricsLog(tmp_path)
    log._throttle = lambda work: False
    for epoch in range(3):
        log.on_epoch_end(epoch, {"loss": 1.0})
    assert not drawn
    log.on_train_end()
    assert drawn == [3]


def test_curves_of_a_training_that_goes_on_are_drawn_though_no_epoch_is_left(tmp_path):
    log = MetricsLog(tmp_path)
    log.on_epoch_end(0, {"loss": 1.0})
    saved = log.state()
    again = MetricsLog(tmp_path)
    again.restore(saved)
    again.on_train_begin()
    again.on_train_end()
    assert (tmp_path / "curves.png").is_file()


def test_callbacks_share_one_predictor_of_a_network():
    network = kseg.build("unet", width=2, depth=1, padding="same", dropout=0)
    shared = SharedPredictor()
    assert shared(network) is shared(network)
    other = kseg.build("unet", width=2, depth=1, padding="same", dropout=0)
    set_precision(other, "mixed_bfloat16")
    assert shared(network).precision == "float32" and shared(other).precision == "mixed_bfloat16"


def test_the_seconds_before_a_break_count(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("kseg.callbacks.metrics_log.time.monotonic", lambda: now[0])
    first = MetricsLog(tmp_path)
    first.on_train_begin()
    now[0] += 7
    first.on_epoch_end(0, {"loss": 1.0})
    saved = first.state()
    now[0] += 1000  # until it is taken up again
    again = MetricsLog(tmp_path)
    again.restore(saved)
    again.on_train_begin()
    now[0] += 5
    again.on_epoch_end(1, {"loss": 0.5})
    assert [row["seconds"] for row in again.rows] == [7.0, 12.0]
