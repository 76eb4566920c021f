"""The comparison on one's own data, without its peers: borders, rows, scores, the files that are written."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import rows
from benchmarks.own_data import by_the_clock, command, scores, systems
from benchmarks.own_data.borders import grown_objects, three_classes
from benchmarks.own_data.processes import ROOT, SystemFailure, run
from benchmarks.own_data.scores import Found
from benchmarks.own_data.works import WORKS, Case, Parts, Work, write
from kseg.metrics import v_rand


@pytest.fixture
def touching():
    """Two objects that touch: 5 rows, 3 and 4 columns, ground around them."""
    label = np.zeros((7, 9), np.uint16)
    label[1:6, 1:4], label[1:6, 4:8] = 1, 7
    return label


@pytest.fixture
def cells(touching):
    """A work with objects, and its images."""
    image = np.uint8(touching) * 30
    parts = Parts([Case("a", image, touching)], [Case("b", image, touching)])
    return Work("cells", "Cells.", lambda shared: parts, has_objects=True), parts


def test_the_border_is_at_the_ground_and_between_objects(touching):
    assert three_classes(touching, 1).tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 2, 2, 2, 2, 2, 2, 2, 0],
        [0, 2, 1, 2, 2, 1, 1, 2, 0],
        [0, 2, 1, 2, 2, 1, 1, 2, 0],
        [0, 2, 1, 2, 2, 1, 1, 2, 0],
        [0, 2, 2, 2, 2, 2, 2, 2, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_an_object_at_the_edge_of_the_image_has_no_border_there():
    label = np.zeros((3, 5), np.uint8)
    label[:, :3] = 1
    assert three_classes(label, 1).tolist() == [[1, 1, 2, 0, 0]] * 3


def test_objects_grow_over_the_border_until_they_meet(touching):
    assert grown_objects(three_classes(touching, 1)).tolist() == np.where(touching == 7, 2, touching).tolist()


def test_a_border_without_an_inside_is_an_object_and_small_objects_can_be_left_out():
    classes = np.array([[2, 2, 0, 1, 1, 2], [0, 0, 0, 1, 1, 2]])
    assert grown_objects(classes).tolist() == [[2, 2, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
    assert grown_objects(classes, least=3).tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
    assert not grown_objects(np.zeros((2, 2), np.uint8)).any()


def test_the_folder_holds_what_each_system_is_given(tmp_path, cells):
    work, parts = cells
    files = write(work, parts, tmp_path / "cells")
    assert [path.name for path in (files.own / "images").iterdir()] == ["a.png"]
    assert [path.name for path in (files.own / "labels").iterdir()] == ["a.tif"]
    assert [path.name for path in files.test.iterdir()] == ["b.png"] and files.choose is None
    assert files.images[0].exists() and files.labels[0].exists()
    assert write(work, parts, tmp_path / "cells") == files
    divided = write(WORKS["isbi"], Parts(parts.train, [], parts.test), tmp_path / "isbi")
    assert (divided.own / "train" / "images" / "a.png").exists() and divided.choose
    assert [path.name for path in divided.choose.iterdir()] == ["b.png"]


def test_true_classes_have_full_scores_for_a_peer_and_true_objects_for_kseg(cells):
    work, parts = cells
    truth = parts.test[0].label
    peer = scores.scores(work, parts, {"b": Found(three_classes(truth, 1))})
    own = scores.scores(work, parts, {"b": Found(np.uint8(truth != 0), truth)})
    perfect = {"f1": 1.0, "seg": 1.0, "count_error": 0.0, "foreground_iu": 1.0}
    # 15 and 20 pixels: left out below 20, only one of the two remains
    assert peer == {**perfect, "f1_plain": 1.0, "f1_without_small": pytest.approx(2 / 3)}
    assert own == perfect


def test_objects_outside_of_the_field_of_interest_do_not_count():
    label, guess = np.zeros((2, 12, 12), np.uint16)  # the field is rows and columns 3 to 8
    label[5:8, 5:8] = guess[5:8, 5:8] = 1
    label[0, 0] = 2  # at the border alone
    guess[2, 2], guess[3, 8:] = 3, 4  # at the border alone; a pixel of it is in the field
    parts = Parts([], [Case("a", label, label)])
    work = Work("cells", "Cells.", lambda shared: parts, has_objects=True, margin=3)
    got = scores.scores(work, parts, {"a": Found(np.uint8(guess != 0), guess)})
    assert got == {"f1": pytest.approx(2 / 3), "seg": 1, "count_error": 1, "foreground_iu": 0.9}


def test_the_threshold_is_that_of_the_images_to_choose_on(touching):
    label = np.uint8(three_classes(touching, 1) == 1)
    chosen = np.where(label, 0.55, 0.15)  # right between 0.2 and 0.5
    tested = np.where(label, 0.95, 0.35)  # right between 0.4 and 0.9
    parts = Parts([], [Case("t", label, label)], [Case("c", label, label)])
    found = {"c": Found(label, None, chosen), "t": Found(label, None, tested)}
    got = scores.scores(WORKS["isbi"], parts, found)
    assert got["pixel_error_threshold"] == 0.2 and got["v_rand_threshold"] == 0.2
    assert got["pixel_error"] == pytest.approx(1 - 2 * 9 / (9 + 63))  # at 0.2 every pixel is white
    assert got["v_rand"] < v_rand(tested, label) == 1


def test_classes_are_scored_without_void(touching):
    work = Work("streets", "Streets.", lambda shared: None, classes=("road", "car"), ignore_class=2)
    label, guess = np.array([[0, 0, 1, 2]]), np.array([[0, 1, 1, 1]])
    got = scores.scores(work, Parts([], [Case("a", label, label)]), {"a": Found(guess)})
    assert got == {"mean_iu": 0.5, "by_class": {"road": 0.5, "car": 0.5}}


def test_a_comparison_goes_on_after_the_last_row(tmp_path, monkeypatch, capsys, cells):
    work, parts = cells
    truth, trained = parts.test[0].label, []

    def system(training):
        trained.append(training.seed)
        if training.seed == 1 and len(trained) < 3:
            raise SystemFailure("It broke.")
        return {"steps": 5}, {"b": Found(np.uint8(truth != 0), truth)}

    monkeypatch.setattr(command, "SYSTEMS", {"one": system})
    monkeypatch.setattr(command, "WORKS", {"cells": work})
    file = tmp_path / "rows.json"
    words = [str(tmp_path), "--works", "cells", "--systems", "one", "--minutes", "1", "--json", str(file)]
    assert command.main([*words, "--seeds", "2", "--folder", str(tmp_path / "kept")]) == 1
    assert "cells, one, seed 1: It broke." in capsys.readouterr().out
    assert command.main([*words, "--seeds", "2"]) == 0
    assert trained == [0, 1, 1]
    held = json.loads(file.read_text())
    assert [(row["work"], row["system"], row["seed"], row["minutes"]) for row in held["rows"]] == [
        ("cells", "one", 0, 1.0),
        ("cells", "one", 1, 1.0),
    ]
    assert held["machine"]["cores"] and held["rows"][0]["scores"]["f1"] == 1
    assert held["rows"][0]["comparison"].endswith("--works cells --systems one --minutes 1 --seeds 2")


def test_a_threshold_is_left_out_where_objects_are_not_bright(tmp_path, monkeypatch, capsys, cells):
    monkeypatch.setattr(command, "WORKS", {"cells": cells[0]})
    words = [str(tmp_path), "--works", "cells", "--systems", "otsu", "--seeds", "1", "--peers-python", sys.executable]
    monkeypatch.setattr(command, "PACKAGES", {})
    assert command.main([*words, "--json", str(tmp_path / "rows.json"), "--folder", str(tmp_path / "kept")]) == 0
    assert "its objects are not brighter than the ground" in capsys.readouterr().out
    assert not (tmp_path / "rows.json").exists()


def test_other_minutes_make_another_row(tmp_path):
    row = {"work": "w", "system": "s", "seed": 0, "minutes": 1.0, "steps": 1}
    file = tmp_path / "results" / "rows.json"
    for added in (row, {**row, "minutes": 2.0}, {**row, "steps": 9}):
        rows.append(file, {}, added, command.KEY)
    assert [(one["minutes"], one["steps"]) for one in rows.rows_of(file)] == [(2.0, 1), (1.0, 9)]
    assert rows.has(file, row, command.KEY) and not rows.has(file, {**row, "seed": 1}, command.KEY)


def test_an_interpreter_without_the_peers_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "PACKAGES", {"smp": "no_such_package"})
    with pytest.raises(SystemExit) as ended:
        command.main([str(tmp_path), "--works", "isbi", "--systems", "smp"])
    assert ended.value.code == 2 and "lacks no_such_package" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), "--works", "ships"])
    assert "There is no work 'ships'; there are nuclei, hela" in capsys.readouterr().err


def test_a_process_tells_its_memory_and_its_failure(tmp_path):
    held = run([sys.executable, "-c", "a = bytearray(80_000_000)"], tmp_path / "log.txt")
    assert held.peak_mb > 80 and held.seconds > 0
    with pytest.raises(SystemFailure, match="ended with code 3.*no luck"):
        run([sys.executable, "-c", "print('no luck'); exit(3)"], tmp_path / "log.txt")


def test_a_process_is_ended_with_an_interrupted_comparison(tmp_path, monkeypatch):
    started = []

    def interrupted(pid, options):
        started.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "wait4", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log.txt")
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def test_a_training_by_the_clock_takes_the_quicker_precision_and_ends_in_time(monkeypatch):
    now, seen = [0.0], []
    monkeypatch.setattr(by_the_clock.time, "perf_counter", lambda: now[0])

    def step(precision, done):
        seen.append((precision, done))
        now[0] += 6.0 if precision == "float32" else 4.0

    facts = by_the_clock.train(step, 59 / 60)
    # Two steps of 6 s and two of 4 s; of the last one a quarter is beyond the 59 s.
    assert [precision for precision, _ in seen] == ["float32"] * 2 + ["bfloat16"] * 12
    assert seen[2] == ("bfloat16", 12 / 59) and seen[-1] == ("bfloat16", 56 / 59)
    assert (facts["steps"], facts["train_s"], facts["precision"]) == (14, 60.0, "bfloat16")


def test_peers_import_nothing_of_kseg():
    code = "import benchmarks.own_data.by_the_clock, sys; assert not [m for m in sys.modules if m.startswith('kseg')]"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["nnunet", "smp", "otsu"])
def test_a_peer_trains_and_predicts(tmp_path, system):
    if importlib.util.find_spec(systems.PACKAGES[system]) is None:
        pytest.skip(f"{systems.PACKAGES[system]} is not installed: pip install -e '.[compare]'")
    label = np.zeros((64, 64), np.uint16)
    label[8:30, 8:30], label[30:50, 8:30] = 1, 2
    image = np.uint8(label != 0) * 200
    parts = Parts([Case(name, image, label) for name in "abcde"], [Case("t", image, label)])
    work = Work("cells", "Cells.", lambda shared: parts, has_objects=True)
    files = write(work, parts, tmp_path / "files")
    training = systems.Training(work, files, 0.02, 0, tmp_path / "run", tmp_path, sys.executable)
    facts, found = systems.SYSTEMS[system](training)
    assert (facts["steps"] > 0) == (system != "otsu") and facts["peak_mb"] > 50
    assert found["t"].classes.shape == (64, 64) and found["t"].classes.max() <= 2
