"""Two processes that train together over loopback, found by TF_CONFIG."""

import functools
import json
import os
import signal
import socket
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from command import call, processes, run_verb

import kseg
from kseg.runs import trainer
from kseg.training.checkpoint import read_checkpoint

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


class Enough(keras.callbacks.Callback):
    """Changes the rate and ends the training after the second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.01
        self.model.stop_training = epoch == 1


def work(words: list[str], output: Path, config: dict, with_callback: bool) -> None:
    """One worker, in a process of its own."""
    os.environ["TF_CONFIG"] = json.dumps(config)
    if with_callback:
        trainer.train = functools.partial(trainer.train, callbacks=[Enough()])
    run_verb(words, output)


def start(folder: Path, name: str, steps: int, *, with_callback: bool = False, settings: dict | None = None) -> list:
    """Two workers of one training, whose run folder is folder/name; the second with other settings too."""
    free = [socket.create_server(("localhost", 0)) for _ in range(2)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in free]
    for each in free:
        each.close()
    workers = []
    for index in (0, 1):
        chosen = {**SETTINGS, "steps": steps, **((settings or {}) if index else {})}
        words = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        said = folder / f"{name}-{index}.txt"
        said.unlink(missing_ok=True)
        arguments = (["train", "--run", str(folder / name), *words], said, config, with_callback)
        workers.append(processes.Process(target=work, args=arguments))
        workers[-1].start()
    return workers


def exit_codes(workers: list) -> list[int]:
    for each in workers:
        each.join(LIMIT_S)
    return [each.exitcode for each in workers]


@pytest.fixture
def ended():
    """Workers that are no more when the test is over, whatever became of it."""
    workers = []
    yield workers
    for each in workers:
        each.kill()
        each.join()


def test_two_workers_do_what_one_does_and_what_a_callback_of_the_first_asks_for(tmp_path, ended):
    ended += start(tmp_path, "two", 12, with_callback=True)
    assert exit_codes(ended) == [0, 0], (tmp_path / "two-1.txt").read_text()
    assert "mean IU" in (tmp_path / "two-0.txt").read_text() and "mean IU" not in (tmp_path / "two-1.txt").read_text()
    kseg.train(run=tmp_path / "one", settings={**SETTINGS, "steps": 12}, callbacks=[Enough()])
    one, two = (read_checkpoint(tmp_path / name / "checkpoints" / "step-000006") for name in ("one", "two"))
    assert one.position.stopped and two.position.stopped
    assert two.position.loss_sum == pytest.approx(one.position.loss_sum, rel=1e-5)
    for ours, theirs in zip(two.variables, one.variables, strict=True):
        # Sums of 3,072 pixels in another order, each within some 1e-6 of itself, carried on over six steps.
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5 * np.abs(theirs).max(initial=0))


def test_workers_that_were_started_differently_are_refused(tmp_path, ended):
    ended += start(tmp_path, "two", 6, settings={"optimizer.learning_rate": 0.06})
    assert exit_codes(ended) == [3, 3], (tmp_path / "two-1.txt").read_text()
    said = (tmp_path / "two-1.txt").read_text()
    assert "started with different settings or data" in said and not (tmp_path / "two").exists()


def wait_for_step(folder: Path, step: int, worker, output: Path) -> int:
    """The step of a whole checkpoint that is no earlier than `step`."""
    until = time.monotonic() + LIMIT_S
    while (found := newest(folder)) < step:
        assert time.monotonic() < until and worker.is_alive(), output.read_text()
        time.sleep(0.2)
    return found


def newest(folder: Path) -> int:
    return max((int(path.name[5:]) for path in folder.glob("checkpoints/step-*")), default=0)


def test_a_lost_worker_ends_the_other_and_both_go_on_and_stop_together(tmp_path, ended):
    run, said = tmp_path / "run", tmp_path / "run-0.txt"
    ended += start(tmp_path, "run", 100_000)
    wait_for_step(run, 3, ended[0], said)
    ended[1].kill()
    assert exit_codes(ended) == [5, -signal.SIGKILL]
    lost = newest(run)
    assert "A worker of this training was lost" in said.read_text() and "Traceback" not in said.read_text()
    assert f"step-{lost:06d} is the newest checkpoint" in said.read_text()
    again = start(tmp_path, "run", 100_000)
    ended += again
    wait_for_step(run, lost + 3, again[0], said)
    again[1].terminate()  # told to one, done by both
    assert exit_codes(again) == [75, 75], said.read_text()
    assert f"going on after step {lost} of 100000" in said.read_text()


def test_workers_need_a_folder_they_share(tmp_path, monkeypatch):
    task = '"task": {"type": "worker", "index": 0}'
    monkeypatch.setenv("TF_CONFIG", f'{{"cluster": {{"worker": ["localhost:1", "localhost:2"]}}, {task}}}')
    monkeypatch.chdir(tmp_path)
    assert "Name a folder that they share: --run DIR" in call("train", "--steps", 1, exit_code=3).stderr
