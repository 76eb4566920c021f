"""Runs, networks and bundles that were written before networks carried how their scores are read."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import kseg
from kseg.inference import predict_scores
from kseg.layers import ScoreReading, readings_of
from kseg.training.checkpoint import read_checkpoint

BEFORE = Path(__file__).resolve().parents[1] / "data" / "before"


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(BEFORE / name) as file:
        return dict(file)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    # Another processor sums in another order: 1e-5 of the largest score.
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_network_gives_the_scores_it_gave():
    kept = arrays("fcn8s.npz")
    model = kseg.load(BEFORE / "fcn8s.keras")
    assert readings_of(model) == {}
    assert_close(predict_scores(model, kept["image"]), kept["scores"])


@pytest.mark.parametrize("path", ["run", "run/model.keras"])
def test_the_network_of_a_run_averages_as_its_recipe_says_and_gives_the_mask_it_gave(path):
    kept = arrays("run.npz")
    model = kseg.load(BEFORE / path)
    assert readings_of(model) == {"": ScoreReading(("background", "cell"), average="rotations")}
    assert_close(predict_scores(model, kept["image"], average="none"), kept["scores"])
    # Where two scores are as large to rounding, the mask may differ.
    assert (kseg.predict(model, kept["image"]) == kept["mask"]).mean() > 0.999


def test_a_bundle_gives_the_scores_it_gave_and_holds_no_average():
    kept = arrays("run.npz")
    bundle = kseg.load(BEFORE / "models" / "cells")
    assert (bundle.readings[""].classes, bundle.average) == (("background", "cell"), "none")
    assert_close(predict_scores(bundle, kept["image"]), kept["scores"])


def test_a_broken_training_goes_on_to_the_weights_it_reached(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(BEFORE / "run", run)
    shutil.copy(run / "model.keras", run / "checkpoints" / "step-000003" / "best.keras")
    written = (run / "config.json").read_text()
    (run / "config.json").write_text(written.replace('"average": "rotations"', '"average": "none"'))  # quickly scored
    finished = kseg.train(run=run)
    assert "going on after step 3 of 6" in capsys.readouterr().err
    found = read_checkpoint(run / "checkpoints" / "step-000006")
    with np.load(BEFORE / "step-000006.npz") as file:
        expected = [file[f"variable{number}"] for number in range(len(found.variables))]
    for ours, theirs in zip(found.variables, expected, strict=True):
        # Three steps of Adam on another processor: rounding, carried on.
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max(initial=0))
    assert finished.history["step"] == [3, 6]
