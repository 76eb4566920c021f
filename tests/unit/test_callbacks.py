import csv

import keras
import numpy as np
import pytest

import kseg
from kseg.callbacks import KeepBest, MetricsLog, Pace, Samples, SharedPredictor, Validate
from kseg.objectives import PixelCrossEntropy


def test_they_work_in_a_plain_fit(tmp_path):
    data = kseg.datasets.open("demo", split="val")
    network = kseg.build("unet", width=2, depth=1, padding="same", dropout=0)
    network.compile("adam", PixelCrossEntropy())
    callbacks = [Validate(data), KeepBest(tmp_path / "best.keras"), Samples(data, tmp_path, 1), MetricsLog(tmp_path)]
    batches = kseg.batches(data, size=2, crop=(32, 32), steps=4)
    options = {"steps_per_epoch": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    callbacks[2]._pace._next = np.inf  # as if drawing had just taken hours; the last epoch is drawn nevertheless
    history = network.fit(batches.repeat(), callbacks=callbacks, **options).history
    assert len(history["val_mean_iu"]) == len(history["val_seg"]) == 2
    assert {"best.keras", "metrics.csv", "metrics.jsonl", "curves.png", "cells_00.png"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert kseg.evaluate(kseg.load(tmp_path / "best.keras"), data).mean_iu == pytest.approx(max(history["val_mean_iu"]))


def test_a_row_has_every_column_though_validation_comes_now_and_then(tmp_path):
    network = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    x = np.ones((4, 1), np.float32)
    options = {"epochs": 2, "validation_data": (x, x), "validation_freq": 2, "verbose": 0}
    network.fit(x, x, callbacks=[MetricsLog(tmp_path)], **options)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert rows[0]["val_loss"] == "" and float(rows[1]["val_loss"]) >= 0


def test_what_takes_a_second_is_done_again_after_a_hundred(monkeypatch):
    now, done = [0.0], []
    monkeypatch.setattr("kseg.callbacks.pace.time.monotonic", lambda: now[0])
    pace = Pace(0.01)

    def work() -> None:
        done.append(now[0])
        now[0] += 1

    for now[0] in (0.0, 50.0, 100.0, 101.0, 102.0):  # noqa: B007
        pace(work)
    assert done == [0.0, 101.0]
    pace(work, always=True)
    assert done == [0.0, 101.0, 102.0]


def test_curves_are_drawn_at_the_end_at_the_latest(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("kseg.callbacks.metrics_log.draw_curves", lambda rows, path: drawn.append(len(rows)))
    log = MetricsLog(tmp_path)
    log._pace = lambda work: False
    for epoch in range(3):
        log.on_epoch_end(epoch, {"loss": 1.0})
    assert not drawn
    log.on_train_end()
    assert drawn == [3]


def test_callbacks_share_one_predictor_of_a_network():
    network = kseg.build("unet", width=2, depth=1, padding="same", dropout=0)
    shared = SharedPredictor()
    assert shared(network) is shared(network)
    assert shared(kseg.build("unet", width=2, depth=1, padding="same", dropout=0)) is not shared(network)
