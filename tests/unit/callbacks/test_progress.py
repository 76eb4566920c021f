import io
import logging
import re
import sys

import pytest

from kseg.callbacks import Progress
from kseg.formats import clock
from kseg.log import LOG


class Clock:
    """A training by hand: what it takes is said, not measured."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("kseg.callbacks.progress.time.monotonic", lambda: self.now)

    def steps(self, progress, count, seconds, **logs):
        for _ in range(count):
            self.now += seconds
            progress.on_train_batch_end(0, {"loss": 1.0, **logs})


@pytest.fixture
def hand(monkeypatch):
    return Clock(monkeypatch)


def test_a_line_per_epoch_says_all(hand, capsys):
    progress = Progress(30, epoch_steps=10, batch_size=4)
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    hand.steps(progress, 1, 60.0)  # the first step is traced and says nothing of the speed
    hand.steps(progress, 9, 0.5, wait_s=0.1, skipped=2)
    hand.now += 3.0  # validation
    progress.on_epoch_end(0, {"loss": 0.25, "val_mean_iu": 0.5, "val_seg": 0.125})
    assert capsys.readouterr().err == (
        "step 10/30  loss 0.250  mean IU 0.500  SEG 0.125  8 images/s  0:16 left  wait 20%  2 skipped\n"
    )  # 20 steps of half a second, and two validations of 3 s


def test_checkpoints_between_epochs_count_in_the_time_left_but_not_in_the_speed(hand, capsys):
    progress = Progress(40, epoch_steps=10)
    progress.on_train_begin()
    for epoch in range(2):
        progress.on_epoch_begin(epoch)
        hand.steps(progress, 10, 1.0)
        hand.now += 2.0  # validation
        progress.on_epoch_end(epoch, {"loss": 1.0})
        hand.now += 3.0  # a checkpoint
    assert capsys.readouterr().err.splitlines()[1] == "step 20/40  loss 1.000  1 steps/s  0:24 left  wait 0%"


def test_a_long_epoch_says_something_every_ten_minutes_and_that_more_is_to_come(hand, capsys):
    progress = Progress(1000, epoch_steps=500)
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    hand.steps(progress, 130, 10.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "step 60/1000  loss 1.000  0.1 steps/s  2:36:40+ left  wait 0%",
        "step 120/1000  loss 1.000  0.1 steps/s  2:26:40+ left  wait 0%",
    ]


def test_it_goes_on_where_it_was(hand, capsys):
    progress = Progress(10)
    progress.restore({"step": 6, "scores": {"mean_iu": 0.5}})
    progress.on_train_begin()
    hand.steps(progress, 2, 2.0)
    progress.on_epoch_end(0, {"loss": 1.0})
    assert capsys.readouterr().err == "step 8/10  loss 1.000  mean IU 0.500  0.5 steps/s  0:04 left  wait 0%\n"
    assert progress.state() == {"step": 8, "scores": {"mean_iu": 0.5}}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("no_colour", [True, False])
def test_the_bar_fits_in_80_columns_and_has_no_colour_where_none_is_wanted(hand, monkeypatch, no_colour):
    for name, value in {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1" if no_colour else ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal())
    terminal = sys.stderr
    progress = Progress(100000, epoch_steps=1000, batch_size=20)
    progress.restore({"step": 99000, "scores": {"mean_iu": 0.75, "seg": 0.5}})
    progress.on_train_begin()
    progress.on_epoch_begin(99)
    hand.steps(progress, 10, 60.0, skipped=12)
    assert "99010/100000" in terminal.getvalue()
    progress.on_train_end()
    assert sys.stderr is terminal
    lines = [line for line in terminal.getvalue().replace("\r", "\n").split("\n") if "skipped" in line]
    text = lines[-1]
    for wanted in ("loss 1.000", "IU 0.750", "0.33 img/s", "16:30:00+ left", "wait 0%", "12 skipped"):
        assert wanted in text
    coloured = re.search(r"\x1b\[[0-9;]*m", terminal.getvalue())
    assert (coloured is None) == no_colour
    assert len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)) <= 80


def test_a_line_has_the_chosen_measure_mean_iu_and_seg_and_no_other_score(hand, capsys):
    progress = Progress(10, "v_rand")
    progress.on_train_begin()
    hand.steps(progress, 1, 1.0)
    scores = {"val_mean_iu": 0.5, "val_pixel_accuracy": 0.75, "val_seg": 0.25, "val_v_rand": 0.875, "val_loss": 3.0}
    progress.on_epoch_end(0, {"loss": 1.0, **scores})
    assert capsys.readouterr().err == "step 1/10  loss 1.000  mean IU 0.500  SEG 0.250  V_rand 0.875\n"


@pytest.mark.parametrize(
    ("measure", "columns", "shown"),
    [
        ("v_rand", 120, "loss 1.000 mean IU 0.500 V_rand 0.875 0.33 img/s"),
        ("v_rand", 80, "loss 1.000 V_rand 0.875 0.33 img/s"),
        ("frequency_weighted_iu", 80, "loss 1.000 IU 0.500 0.33 img/s"),
        ("frequency_weighted_iu", 72, "loss 1.000 0.33 img/s"),
    ],
)
def test_the_bar_has_the_chosen_measure_where_there_is_room(hand, monkeypatch, measure, columns, shown):
    for name, value in {"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal())
    terminal = sys.stderr
    progress = Progress(10000, measure, epoch_steps=1000, batch_size=20)
    progress.restore({"step": 9000, "scores": {"mean_iu": 0.5, measure: 0.875}})
    progress.on_train_begin()
    progress.on_epoch_begin(99)
    hand.steps(progress, 10, 60.0, skipped=1)
    progress.on_train_end()
    lines = [line for line in terminal.getvalue().replace("\r", "\n").split("\n") if "skipped" in line]
    assert shown in lines[-1] and len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", lines[-1])) <= columns


@pytest.mark.parametrize("stderr", [Terminal, io.StringIO])
def test_a_silenced_logger_shows_neither_bar_nor_line(hand, monkeypatch, stderr):
    monkeypatch.setattr(sys, "stderr", stderr())
    LOG.setLevel(logging.ERROR)
    progress = Progress(20, epoch_steps=10)
    progress.on_train_begin()
    hand.steps(progress, 10, 60.0)
    progress.on_epoch_end(0, {"loss": 1.0})
    progress.on_train_end()
    LOG.setLevel(logging.INFO)
    assert sys.stderr.getvalue() == ""


def test_times_are_written_as_clocks_do():
    assert [clock(seconds) for seconds in (5, 754, 3723.4)] == ["0:05", "12:34", "1:02:03"]
