"""`train --folds`: from the command to the network that every door takes."""

import json

import numpy as np
import pytest
from command import call

import kseg
from kseg.images import read_image, read_label, write_image

SLIM = [
    "--set",
    "model.width=2",
    "--set",
    "model.depth=1",
    "--crop",
    "16,16",
    "--batch-size",
    4,
    "--steps",
    2,
    "--precision",
    "float32",
]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three grey images, brighter on the right, and their labels."""
    folder = tmp_path_factory.mktemp("data")
    label = np.zeros((20, 28), np.uint8)
    label[:, 10:] = 1
    for number in range(3):
        write_image(folder / "images" / f"{number}.png", label * 200 + number)
        write_image(folder / "labels" / f"{number}.png", label)
    return folder


def test_folds_give_one_report_and_a_network_that_every_door_takes(images, tmp_path):
    run = tmp_path / "run"
    said = call("train", "--dataset", "folder", "--data-dir", images, "--run", run, "--folds", 2, *SLIM)
    assert said.stdout.startswith("folder, cross-validated: mean IU ") and "(folds: " in said.stdout
    assert "fold 2 of 2: " in said.stderr
    assert f"evaluate {run} --data-dir NEW" in said.stderr and "folds/ with a run for each fold" in said.stderr
    report = json.loads((run / "report.json").read_text())
    assert (report["split"], len(report["folds"]), len(report["per_image"])) == ("cross-validated", 2, 3)
    call("predict", run, images / "images" / "0.png", "-o", tmp_path / "out")
    bundle = call("export", run, "-o", tmp_path / "models").stdout.strip()
    call("predict", bundle, images / "images" / "0.png", "-o", tmp_path / "bundle")
    mask = kseg.predict(kseg.load(run), read_image(images / "images" / "0.png"))
    for folder in ("out", "bundle"):
        np.testing.assert_array_equal(read_label(tmp_path / folder / "0.png"), mask)
    refused = call("evaluate", run, exit_code=3).output
    assert "was trained on all of these images but its own part" in refused and "--data-dir NEW" in refused
    assert "folder all: mean IU" in call("evaluate", run, "--split", "all").output
    assert "folder val: mean IU" in call("evaluate", run / "folds" / "1").output


def test_folds_that_can_not_be_are_refused(images, tmp_path):
    words = ["train", "--dataset", "folder", "--data-dir", images, "--run", tmp_path / "run", *SLIM]
    assert "folds is 9, but there are 3 images to divide. At most as many: --folds 3." in call(
        *words, "--folds", 9, exit_code=3
    ).output  # fmt: skip
    assert "folds is 1, but must be at least 2" in call(*words, "--folds", 1, exit_code=3).output
    published = call("train", "--folds", 2, "--run", tmp_path / "run", exit_code=3).output
    assert "folds is 2, but demo has parts that belong to the data set" in published
    assert not (tmp_path / "run").exists()
