"""A finished run goes on to a larger number of steps, where its learning rate does not depend on that number."""

import csv
import json

import numpy as np
import pytest

import kseg
from kseg.errors import ConfigError
from kseg.recipes.recipe import Recipe
from kseg.runs.config import check_same

SLIM = {
    "epoch_steps": 4, "data.crop": "16,16", "data.batch_size": 2, "precision": "float32", "deterministic": True,
    "model.width": 2, "model.depth": 1, "optimizer.schedule": "constant",
}  # fmt: skip


def test_a_run_that_is_lengthened_ends_as_one_that_was_as_long_from_the_start(few_cells, tmp_path):
    long = kseg.train("demo", data_dir=few_cells, run=tmp_path / "long", settings={**SLIM, "steps": 8})
    short = kseg.train("demo", data_dir=few_cells, run=tmp_path / "short", settings={**SLIM, "steps": 4})
    again = kseg.train(run=short.folder, settings={"steps": 8})
    weights = [kseg.load(run.folder / "last.keras").get_weights() for run in (long, again)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert json.loads((short.folder / "config.json").read_text())["recipe"]["steps"] == 8
    with (short.folder / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["4", "8"]
    assert again.report.to_json() == long.report.to_json()


def recorded(folder, schedule="constant", **changes):
    (folder / "checkpoints" / "step-000005").mkdir(parents=True, exist_ok=True)
    recipe = Recipe("a", steps=5).with_settings({"optimizer.schedule": schedule, **changes})
    return {"recipe": recipe.to_json(), "classes": ["a", "b"], "fingerprint": {"train": "1" * 64}, "versions": {}}


def test_more_steps_are_another_training_where_the_rate_falls_to_their_end(tmp_path):
    before = recorded(tmp_path, "cosine")
    words = r"\(optimizer.schedule=cosine\) falls to 0 at the end of 5 steps. Begin another run from its network"
    with pytest.raises(ConfigError, match=words):
        check_same(tmp_path, before, recorded(tmp_path, "cosine", steps=9))
    check_same(tmp_path, recorded(tmp_path), recorded(tmp_path, steps=9))


def test_fewer_steps_or_something_else_beside_more_are_refused(tmp_path):
    for changes in ({"steps": 4}, {"steps": 9, "seed": 1}):
        with pytest.raises(ConfigError, match="steps: 5 in this run, . asked for"):
            check_same(tmp_path, recorded(tmp_path), recorded(tmp_path, **changes))


def test_without_a_checkpoint_the_way_on_is_named(tmp_path):
    before, now = recorded(tmp_path), recorded(tmp_path, steps=9)
    (tmp_path / "checkpoints" / "step-000005").rmdir()
    with pytest.raises(ConfigError, match="no checkpoint is left .* run='NEW' and init_weights=.* and steps=4"):
        check_same(tmp_path, before, now)
