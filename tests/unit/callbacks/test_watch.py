import json
from types import SimpleNamespace

import numpy as np
import pytest

from kseg.callbacks import Watch
from kseg.callbacks.watch import only_class
from kseg.cli.spelling import as_option
from kseg.log import settings_spelled

CLASSES = ("background", "cat", "dog")


def source(*rows):
    data = SimpleNamespace(name="pets", split="val", heads={"": CLASSES})
    return SimpleNamespace(data=data, confusions={"": np.array(rows)})


ALL_BACKGROUND = ([70, 0, 0], [20, 0, 0], [10, 0, 0])


def steps(watch, losses):
    for loss in losses:
        watch.on_train_batch_end(0, {"loss": loss})


@pytest.mark.parametrize(
    "rows, expected",
    [
        (ALL_BACKGROUND, "background on all; true are 70.0%"),
        (([700, 1, 0], [200, 0, 0], [100, 0, 0]), "background on 99.9%; true are 70.0%"),
        (([700, 5, 0], [200, 0, 0], [100, 0, 0]), None),  # 5 of the 300 that are no background
        (([100, 0, 0], [0, 0, 0], [0, 0, 0]), None),  # there is nothing else
        (([9990, 0, 0], [5, 5, 0], [0, 0, 0]), None),  # 99.95 % are background, and half of the rest was found
    ],
)
def test_one_class_is_what_leaves_the_others_less_than_a_hundredth_of_their_pixels(rows, expected):
    assert only_class(np.array(rows), CLASSES) == expected


def test_one_class_is_said_once_with_cause_and_remedy(capsys, tmp_path):
    watch = Watch(source(*ALL_BACKGROUND), tmp_path / "warnings.txt")
    steps(watch, [1.0] * 199)
    watch.on_epoch_end(0)
    assert capsys.readouterr().err == "" and not list(tmp_path.iterdir())
    steps(watch, [0.1])
    for epoch in (1, 2):
        watch.on_epoch_end(epoch)
    watch.on_train_end()
    said = capsys.readouterr().err
    assert said.count("warning:") == 1
    assert said.startswith("warning: after 200 steps the network finds one class only among the pixels of pets val: ")
    for setting in (
        "init_weights='imagenet'",
        '{"optimizer.learning_rate": ...}',
        "{\"loss.class_weights\": 'median'}",
    ):
        assert setting in said
    assert f"warning: {(tmp_path / 'warnings.txt').read_text()}" == said


def test_a_short_training_is_looked_at_in_the_end(capsys):
    watch = Watch(source(*ALL_BACKGROUND))
    steps(watch, [1.0] * 60)
    watch.on_train_end()
    assert capsys.readouterr().err.startswith("warning: after 60 steps")


def test_a_training_that_was_broken_off_is_not_judged_by_its_last_state(capsys):
    watch = Watch(source(*ALL_BACKGROUND), steps=61)
    steps(watch, [1.0] * 60)
    watch.on_train_end()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("latest, warns", [(0.985, False), (0.995, True), (2.0, True)])
def test_a_loss_that_is_not_a_hundredth_lower_after_220_steps_is_said_once(capsys, latest, warns):
    watch = Watch()
    steps(watch, [1.0] * 20 + [latest] * 199)
    assert capsys.readouterr().err == ""
    steps(watch, [latest] * 100)
    said = capsys.readouterr().err
    assert said.count("warning: the loss does not fall") == int(warns)
    assert ("over the 200 steps up to 220, and 1 over the first 20" in said) == warns


@pytest.mark.parametrize("latest, warns", [(-1.015, False), (-1.005, True)])
def test_a_loss_below_zero_has_to_fall_by_a_hundredth_too(capsys, latest, warns):
    watch = Watch()
    steps(watch, [-1.0] * 20 + [latest] * 200)
    assert ("the loss does not fall" in capsys.readouterr().err) == warns


def test_skipped_steps_say_nothing_of_the_loss(capsys):
    watch = Watch()
    steps(watch, [1.0] * 20 + [float("nan")] * 300 + [0.5] * 199)
    steps(watch, [0.5] * 10)
    assert capsys.readouterr().err == ""


def test_a_training_that_goes_on_says_nothing_twice_and_forgets_what_is_to_come_again(capsys, tmp_path):
    path = tmp_path / "warnings.txt"
    watch = Watch(path=path)
    steps(watch, [1.0] * 210)
    early = watch.state()
    steps(watch, [1.0] * 30)
    late = watch.state()
    assert "the loss does not fall" in path.read_text()
    again = Watch(path=path)
    again.restore(late)
    capsys.readouterr()
    steps(again, [1.0] * 300)
    assert capsys.readouterr().err == "" and path.is_file()
    again = Watch(path=path)
    again.restore(early)
    assert not path.exists()
    steps(again, [1.0] * 9)
    assert capsys.readouterr().err == ""
    steps(again, [1.0])
    assert "steps up to 220" in capsys.readouterr().err


def test_what_was_said_before_the_first_step_stands_first_and_outlives_a_break(capsys, tmp_path):
    path, known = tmp_path / "warnings.txt", ["white is 65535,\nthe brightest pixel 4000"]
    watch = Watch(path=path, known=known)
    watch.on_train_begin()
    first = "white is 65535, the brightest pixel 4000\n"
    assert path.read_text() == first and capsys.readouterr().err == ""
    steps(watch, [1.0] * 220)
    assert path.read_text().startswith(f"{first}the loss does not fall") and path.read_text().count("\n") == 2
    again = Watch(path=path, known=known)
    again.restore(watch.state())
    assert path.read_text().startswith(f"{first}the loss does not fall") and path.read_text().count("\n") == 2


def test_a_training_killed_before_its_report_says_of_one_class_what_the_unbroken_one_does(capsys):
    unbroken = Watch(source(*ALL_BACKGROUND), steps=60)
    steps(unbroken, [1.0] * 60)
    unbroken.on_epoch_end(0)
    saved = json.loads(json.dumps(unbroken.state()))
    unbroken.on_train_end()
    said = capsys.readouterr().err
    assert "one class only" in said
    nothing_yet = source()
    nothing_yet.confusions = {}
    once, twice = Watch(nothing_yet, steps=60), Watch(nothing_yet, steps=60)
    once.restore(saved)
    twice.restore(once.state())
    for again in (once, twice):
        again.on_train_end()
        assert capsys.readouterr().err == said


def skip(watch, skipped, epochs, of=100):
    """So many steps skipped in each epoch of `of`."""
    for epoch in range(epochs):
        for step in range(of):
            total = skipped * epoch + min(step + 1, skipped)
            watch.on_train_batch_end(step, {"loss": 1 / (1 + watch._step), "skipped": total})
        watch.on_epoch_end(epoch)


@pytest.mark.parametrize("skipped, warns", [(50, False), (51, True)])
def test_an_epoch_of_which_more_than_half_was_skipped_is_told_once(capsys, skipped, warns):
    watch = Watch()
    skip(watch, skipped, 2)
    said = capsys.readouterr().err
    assert said.startswith("warning: 51 of the 100 steps of the epoch up to step 100 were skipped") == warns
    assert said.count("warning") == int(warns) == len(watch.warnings)
    if warns:
        assert '{"optimizer.learning_rate": ...}, a tenth' in said and "precision='float32'" in said
        watch.on_train_end()
        assert capsys.readouterr().err == ""


def test_fewer_than_30_skipped_in_the_first_epoch_are_usual(capsys):
    watch = Watch()
    skip(watch, 29, 1, of=30)
    watch.on_train_end()
    assert capsys.readouterr().err == ""
    watch = Watch()
    skip(watch, 30, 1, of=30)
    assert capsys.readouterr().err.startswith("warning: 30 of the 30 steps")


@pytest.mark.parametrize("skipped, warns", [(10, False), (20, True)])
def test_a_training_of_which_more_than_a_tenth_was_skipped_is_told_in_the_end(capsys, skipped, warns):
    watch = Watch(steps=300)
    skip(watch, skipped, 3)
    assert capsys.readouterr().err == ""
    watch.on_train_end()
    said = capsys.readouterr().err
    assert said.startswith("warning: 60 of the 300 steps of the training were skipped") == warns
    assert bool(said) == warns


def test_skipped_steps_are_counted_over_a_break(capsys):
    watch = Watch()
    skip(watch, 20, 1)
    for step in range(80):
        watch.on_train_batch_end(step, {"loss": 0.001, "skipped": 20 + min(step, 40)})
    again = Watch()
    again.restore(json.loads(json.dumps(watch.state())))
    for step in range(80, 100):
        again.on_train_batch_end(step, {"loss": 0.001, "skipped": step - 19})
    again.on_epoch_end(1)
    assert capsys.readouterr().err.startswith("warning: 60 of the 100 steps of the epoch up to step 200 were skipped")


@pytest.mark.parametrize("latest, warns", [(0.995, False), (1.005, False), (1.02, True)])
def test_a_loss_that_starts_low_is_told_only_where_it_rises(capsys, latest, warns):
    watch = Watch(continues=True)
    steps(watch, [1.0] * 20 + [latest] * 300)
    said = capsys.readouterr().err
    assert said.startswith("warning: the loss rises: its mean is 1.02 over the 200 steps up to 220") == warns
    assert said.count("warning") == int(warns)


def test_the_command_line_s_warnings_name_its_options(capsys, tmp_path):
    watch = Watch(source(*ALL_BACKGROUND), tmp_path / "warnings.txt")
    steps(watch, [1.0] * 60)
    with settings_spelled(as_option):
        watch.on_train_end()
    said = capsys.readouterr().err
    for option in ("--init-weights imagenet", "--set optimizer.learning_rate=...", "--set loss.class_weights=median"):
        assert option in said and option in (tmp_path / "warnings.txt").read_text()
