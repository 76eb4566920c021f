import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import ConfigError, EnvironmentFailure
from kseg.training.devices import Devices, shared

SCRIPT = Path(__file__).with_name("two_devices.py")
# Sums of up to 1,280 pixels and of 144 products, in another order: each within some 1e-6 of itself, after four steps
# that carry it on.
ROUNDING = 2e-5


@pytest.fixture(scope="module")
def trainings():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "case",
    [
        "batch sizes that do not divide", "a broken image on one device", "clipped", "accumulated",
        "accumulated and clipped", "frozen", "an FCN whose dropout drops nothing",
    ],
)  # fmt: skip
def test_two_devices_do_what_one_does(trainings, case):
    one, two = trainings[case]
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=ROUNDING)
    for ours, theirs in zip(two["values"], one["values"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=ROUNDING, atol=ROUNDING * max(map(abs, theirs)))


def test_with_dropout_a_training_on_two_devices_that_is_taken_up_ends_as_the_unbroken_one(trainings):
    unbroken, taken_up = trainings["dropout, unbroken and taken up"]
    for ours, theirs in zip(taken_up, unbroken, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=ROUNDING, atol=ROUNDING * max(map(abs, theirs)))


def test_every_device_drops_the_same_of_its_images_and_another_part_in_every_step(trainings):
    (first, other), (second, _) = trainings["kept by dropout"]
    assert first == other != second and set(first) == {0.0, 2.0}


@pytest.mark.parametrize("case", ["a broken image on one device", "loss scaling, broken"])
def test_a_broken_image_on_one_device_is_skipped_by_both(trainings, case):
    for each in trainings[case]:
        assert [skipped for _, skipped in each["losses"]] == [0, 0, 1, 1]


def test_one_device_gets_the_batch_as_it_is():
    devices = Devices.at_hand(4)
    batch = tf.zeros((1, 2)), {"a": tf.zeros((1,))}
    assert shared(batch, devices) is batch and (devices.worker, devices.workers) == (0, 1)


BEYOND = '{"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 3}}'


@pytest.mark.parametrize("config", ["{", "[]", '{"cluster": {}}', '{"cluster": {"worker": 3}}', BEYOND])
def test_a_tf_config_that_can_not_be_followed_says_what_it_should_be(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(EnvironmentFailure, match="TF_CONFIG can.t be followed.*It must name all workers"):
        Devices.at_hand(4)


def test_fewer_images_than_devices_are_refused():
    class Two:
        num_replicas_in_sync = 2

    with pytest.raises(ConfigError, match="A batch of 1 can't be shared by 2 devices"):
        shared((tf.zeros((1, 4)),), Devices(Two()))
