"""Trainings that are killed, stopped and taken up again, as a person or a supervisor does it."""

import csv
import glob
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import processes, run_verb

from kseg.training.checkpoint import read_checkpoint

EPOCH_STEPS, STEPS = 6, 24
WORDS = [
    "train", "--deterministic", "--crop", "32,32", "--batch-size", "2", "--set", f"epoch_steps={EPOCH_STEPS}",
    "--set", "model.width=4", "--set", "model.depth=1", "--set", "model.dropout=0.5",
    "--set", "optimizer.accumulate=2", "--set", "optimizer.ema=0.9",
    "--set", "checkpoint.every_steps=1", "--set", "checkpoint.keep=2",
]  # fmt: skip
PATIENCE_S = 600


def run_in(folder: Path, words: list[str], output: Path) -> None:
    os.chdir(folder)
    run_verb(words, output)


def start(folder: Path, steps: int):
    """The training, begun or taken up in `folder`: its process and the file of what it says."""
    output = folder.with_suffix(".txt")
    output.unlink(missing_ok=True)
    process = processes.Process(target=run_verb, args=([*WORDS, "--steps", str(steps), "--run", str(folder)], output))
    process.start()
    return process, output


def finish(folder: Path, steps: int = STEPS) -> str:
    """The training to its end; returns what it said."""
    process, output = start(folder, steps)
    process.join(PATIENCE_S)
    assert process.exitcode == 0, output.read_text()
    return output.read_text()


def newest(folder: Path) -> int:
    return max((int(path.name[5:]) for path in folder.glob("checkpoints/step-*")), default=0)


def wait_for(condition, *arguments) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition(*arguments):
        assert time.monotonic() < until
        time.sleep(0.0005)


def has_begun(output: Path) -> bool:
    """Whether the network is built; a training that ended has said so too."""
    return output.exists() and "network:" in output.read_text()


def is_saving(process, folder: Path) -> bool:
    # Path.glob raises where a folder that it has seen is gone when it looks inside.
    return bool(glob.glob(".kseg-*/step-*", root_dir=folder / "checkpoints")) or not process.is_alive()


def kill_process(process) -> None:
    process.kill()
    process.join()


def kill_at_random(folder: Path, kills: int, steps: int = STEPS) -> int:
    """Kills the training so often, up to two steps after it was taken up, every other time while it saves.

    Returns:
      How many kills left something half-written.
    """
    chance, half_written = random.Random(0), 0
    for number in range(kills):
        process, output = start(folder, steps)
        step = newest(folder) + chance.choice([0, 1, 2])
        wait_for(has_begun, output)
        wait_for(lambda step=step: newest(folder) >= step)
        if number % 2:
            wait_for(is_saving, process, folder)
        else:
            time.sleep(chance.uniform(0, 0.3))
        kill_process(process)
        assert process.exitcode == -signal.SIGKILL and "damaged" not in output.read_text(), output.read_text()
        half_written += any(folder.rglob(".kseg-*"))
    return half_written


def rows(folder: Path) -> list[dict]:
    """What was measured, without the time it took."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    table = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    assert [float(row["val_mean_iu"]) for row in table] == [line["val_mean_iu"] for line in lines]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same(broken: Path, unbroken: Path, steps: int = STEPS) -> None:
    """Weights, optimiser, dropout seeds, metric rows and report are those of the unbroken run, bit for bit."""
    one, other = (read_checkpoint(folder / "checkpoints" / f"step-{steps:06d}") for folder in (broken, unbroken))
    assert one.position == other.position and one.best_step == other.best_step
    for found, wanted in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert rows(broken) == rows(unbroken)
    assert [row["step"] for row in rows(broken)] == list(range(EPOCH_STEPS, steps + 1, EPOCH_STEPS))
    found, wanted = (json.loads((folder / "report.json").read_text())["confusion"] for folder in (broken, unbroken))
    assert found == wanted and not list(broken.rglob(".kseg-*"))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    finish(folder)
    return folder


@pytest.mark.slow
def test_a_training_killed_five_times_ends_as_the_unbroken_one_bit_for_bit(unbroken, tmp_path):
    assert kill_at_random(tmp_path / "run", 5) >= 2
    assert "going on after step" in finish(tmp_path / "run")
    assert_same(tmp_path / "run", unbroken)


def test_damaged_checkpoints_are_named_and_the_newest_whole_one_is_taken(unbroken, tmp_path):
    run = tmp_path / "run"
    subprocess.run(["cp", "-r", unbroken, run], check=True)
    (run / "report.json").unlink()
    (last, state) = sorted((run / "checkpoints").glob("*/state.npz"))[-2:]
    state.write_bytes(state.read_bytes()[:-100])
    said = finish(run)
    assert f"passed over: {state.parent}: this checkpoint is damaged" in said
    assert f"going on after step {int(last.parent.name[5:])} of 24" in said
    assert_same(run, unbroken)


def test_a_finished_run_says_so_and_prints_its_report(unbroken):
    before = {path: path.stat().st_mtime_ns for path in unbroken.rglob("*")}
    said = finish(unbroken)
    assert "this run is finished" in said and "demo val: mean IU" in said and "step 6/" not in said
    assert before == {path: path.stat().st_mtime_ns for path in unbroken.rglob("*")}


def test_sigterm_ends_in_exit_code_75_and_the_command_that_goes_on(unbroken, tmp_path):
    program = [sys.executable, str(Path(__file__).parents[2] / "cli.py")]
    command = [*program, *WORDS, "--steps", str(STEPS)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: newest(tmp_path / "runs" / "demo-1") >= 2)
    process.terminate()
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 75 and "Interrupted; the state is saved. To go on:" in said
    line = said.rstrip().splitlines()[-1]
    assert line == "  python cli.py train --run runs/demo-1"
    again = processes.Process(target=run_in, args=(tmp_path, shlex.split(line)[2:], tmp_path / "said.txt"))
    again.start()
    again.join(PATIENCE_S)
    assert again.exitcode == 0, (tmp_path / "said.txt").read_text()
    assert_same(tmp_path / "runs" / "demo-1", unbroken)
