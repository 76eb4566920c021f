"""Two processes that train together over loopback, found by TF_CONFIG."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import kseg
from kseg.training.checkpoint import read_checkpoint

CLI = Path(__file__).resolve().parents[2] / "cli.py"
SETTINGS = {
    "model.width": 4,
    "model.depth": 1,
    "model.normalization": "none",
    "data.crop": "32,32",
    "data.batch_size": 3,
    "epoch_steps": 3,
    "optimizer.name": "sgd",
    "optimizer.learning_rate": 0.05,
    "optimizer.schedule": "constant",
    "precision": "float32",  # the bounds below are those of float32's rounding
}
LIMIT_S = 150  # two processes start TensorFlow at once


WITH_A_CALLBACK = """
import json, sys, keras, kseg

class Enough(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.01
        self.model.stop_training = epoch == 1

kseg.train(run=sys.argv[1], settings=json.loads(sys.argv[2]), callbacks=[Enough()])
"""


def start(folder: Path, name: str, steps: int, *, script: str = "", settings: dict | None = None) -> list:
    """Two workers of one training, whose run folder is folder/name; the second with other settings too."""
    free = [socket.create_server(("localhost", 0)) for _ in range(2)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in free]
    for each in free:
        each.close()
    workers = []
    for index in (0, 1):
        chosen = {**SETTINGS, "steps": steps, **((settings or {}) if index else {})}
        words = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
        command = [CLI, "train", "--run", folder / name, *words]
        if script:
            command = ["-c", script, folder / name, json.dumps(chosen)]
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        with (folder / f"{name}-{index}.txt").open("w") as output:
            workers.append(
                subprocess.Popen(
                    [sys.executable, *command],
                    env={**os.environ, "TF_CONFIG": json.dumps(config)},
                    stdout=output,
                    stderr=output,
                )
            )
    return workers


@pytest.fixture
def ended():
    """Workers that are no more when the test is over, whatever became of it."""
    workers = []
    yield workers
    for each in workers:
        each.kill()
        each.wait()


def test_two_workers_do_what_one_does(tmp_path, ended):
    ended += start(tmp_path, "two", 6)
    assert [each.wait(LIMIT_S) for each in ended] == [0, 0], (tmp_path / "two-1.txt").read_text()
    assert "mean IU" in (tmp_path / "two-0.txt").read_text() and "mean IU" not in (tmp_path / "two-1.txt").read_text()
    kseg.train(run=tmp_path / "one", settings={**SETTINGS, "steps": 6})
    one, two = (read_checkpoint(tmp_path / name / "checkpoints" / "step-000006") for name in ("one", "two"))
    assert two.position.loss_sum == pytest.approx(one.position.loss_sum, rel=1e-5)
    for ours, theirs in zip(two.variables, one.variables, strict=True):
        # Sums of 3,072 pixels in another order, each within some 1e-6 of itself, carried on over six steps.
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5 * np.abs(theirs).max(initial=0))


def test_what_a_callback_of_the_first_does_to_rate_and_end_both_do(tmp_path, ended):
    ended += start(tmp_path, "two", 12, script=WITH_A_CALLBACK)
    assert [each.wait(LIMIT_S) for each in ended] == [0, 0], (tmp_path / "two-1.txt").read_text()
    alone = [sys.executable, "-c", WITH_A_CALLBACK, tmp_path / "one", json.dumps({**SETTINGS, "steps": 12})]
    subprocess.run(alone, check=True, capture_output=True)
    one, two = (read_checkpoint(tmp_path / name / "checkpoints" / "step-000006") for name in ("one", "two"))
    assert one.position.stopped and two.position.stopped
    for ours, theirs in zip(two.variables, one.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5 * np.abs(theirs).max(initial=0))


def test_workers_that_were_started_differently_are_refused(tmp_path, ended):
    ended += start(tmp_path, "two", 6, settings={"optimizer.learning_rate": 0.06})
    assert [each.wait(LIMIT_S) for each in ended] == [3, 3], (tmp_path / "two-1.txt").read_text()
    said = (tmp_path / "two-1.txt").read_text()
    assert "started with different settings or data" in said and not (tmp_path / "two").exists()


def wait_for_step(folder: Path, step: int, worker: subprocess.Popen, output: Path) -> int:
    """The step of a whole checkpoint that is no earlier than `step`."""
    until = time.monotonic() + LIMIT_S
    while (found := newest(folder)) < step:
        assert time.monotonic() < until and worker.poll() is None, output.read_text()
        time.sleep(0.2)
    return found


def newest(folder: Path) -> int:
    return max((int(path.name[5:]) for path in folder.glob("checkpoints/step-*")), default=0)


def test_a_lost_worker_ends_the_other_and_both_go_on_and_stop_together(tmp_path, ended):
    run, said = tmp_path / "run", tmp_path / "run-0.txt"
    ended += start(tmp_path, "run", 100_000)
    wait_for_step(run, 3, ended[0], said)
    ended[1].send_signal(signal.SIGKILL)
    assert ended[0].wait(LIMIT_S) == 5
    lost = newest(run)
    assert "A worker of this training was lost" in said.read_text() and "Traceback" not in said.read_text()
    assert f"step-{lost:06d} is the newest checkpoint" in said.read_text()
    again = start(tmp_path, "run", 100_000)
    ended += again
    wait_for_step(run, lost + 3, again[0], said)
    again[1].send_signal(signal.SIGTERM)  # told to one, done by both
    assert [each.wait(LIMIT_S) for each in again] == [75, 75], said.read_text()
    assert f"going on after step {lost} of 100000" in said.read_text()


def test_workers_need_a_folder_they_share(tmp_path, monkeypatch):
    task = '"task": {"type": "worker", "index": 0}'
    monkeypatch.setenv("TF_CONFIG", f'{{"cluster": {{"worker": ["localhost:1", "localhost:2"]}}, {task}}}')
    ended = subprocess.run([sys.executable, CLI, "train", "--steps", "1"], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 3 and "name the folder they share, --run DIR" in ended.stderr, ended.stderr
