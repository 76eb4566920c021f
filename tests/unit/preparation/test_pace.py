"""Trainings whose steps follow from minutes. In float32."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

import kseg
from kseg.errors import ConfigError
from kseg.preparation import pace
from kseg.preparation.pace import Pace, timed
from kseg.preparation.prepared import prepare
from kseg.recipes import RECIPES
from kseg.runs.dry_run import rehearse
from kseg.training.devices import Devices

SLIM = {
    "epoch_steps": 4, "data.crop": "16,16", "data.batch_size": 2, "precision": "float32",
    "model.width": 2, "model.depth": 1,
}  # fmt: skip


def seconds(found: Pace, steps: int, epoch_steps: int) -> float:
    """How long a training takes at a pace."""
    return found.start_s + steps * found.step_s + -(-steps // epoch_steps) * found.epoch_s + found.report_s


@pytest.mark.parametrize("budget", [30.0, 31.7, 60.0, 600.0])
def test_as_many_steps_as_fit(budget):
    found = Pace(start_s=2.0, step_s=0.1, epoch_s=3.0, report_s=4.0)
    steps = found.steps(budget, 50)
    assert seconds(found, steps, 50) <= budget
    # An epoch's last step brings a validation; fewer steps than fill it leave a rest that is no longer.
    assert seconds(found, steps + 1, 50) > budget or steps % 50 == 0


def test_a_training_has_a_step_even_where_none_fits():
    assert Pace(5.0, 1.0, 1.0, 1.0).steps(0.0, 50) == 1


def test_the_steps_are_measured_once_and_stand_in_the_run(few_cells, tmp_path, caplog):
    settings = {**SLIM, "minutes": 0.1}
    with caplog.at_level(logging.INFO, "kseg"):
        run = kseg.train("demo", data_dir=few_cells, run=tmp_path / "run", settings=settings)
    recipe = json.loads((run.folder / "config.json").read_text())["recipe"]
    assert recipe["minutes"] == 0.1 and recipe["steps"] == run.recipe.steps
    assert f"0.1 minutes: {recipe['steps']:,} steps of" in caplog.text
    before = (run.folder / "metrics.csv").read_text()
    assert before.splitlines()[-1].split(",")[1 if before.startswith("epoch") else 0] == str(recipe["steps"])
    # The run is finished: nothing is measured, and nothing trained.
    again = kseg.train("demo", data_dir=few_cells, run=run.folder, settings=settings)
    assert again.report.to_json() == kseg.train(run=run.folder).report.to_json() == run.report.to_json()
    with pytest.raises(ConfigError, match=f"settled when it began \\({recipe['steps']} steps\\)"):
        kseg.train(run=run.folder, settings={"minutes": 3})


def test_the_trainings_of_a_cross_validation_share_the_minutes_and_leave_time_for_its_report(
    few_cells, monkeypatch, caplog
):
    monkeypatch.setattr(pace, "_pace", lambda *_: Pace(start_s=0, step_s=1, epoch_s=0, report_s=10))
    prepared = prepare(RECIPES.get("demo")().with_settings({**SLIM, "minutes": 8}), few_cells)
    with caplog.at_level(logging.INFO, "kseg"):
        # 480 s in 4 parts, of which 10 are a training's own report and 10 its share of the last; some ms were measured.
        assert timed(prepared, Devices.of(), folds=4).recipe.steps == 99
    assert "8 minutes, 2 for each of 4 trainings: 99 steps of 1.00 s" in caplog.text


def test_measuring_changes_nothing_of_the_training(few_cells, tmp_path, monkeypatch):
    weights = []
    for name, length in (("steps", {"steps": 5}), ("minutes", {"minutes": 1})):
        measured = pace._pace
        # What is measured differs from time to time, so another pace is planned with.
        monkeypatch.setattr(pace, "_pace", lambda *args, m=measured: (m(*args), Pace(0, 1, 0, 0))[1])
        monkeypatch.setattr(Pace, "steps", lambda *args: 5)
        run = kseg.train("demo", data_dir=few_cells, run=tmp_path / name, settings={**SLIM, **length})
        weights.append(kseg.load(run.folder / "last.keras").get_weights())
        monkeypatch.undo()
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)  # Adam enlarges rounding where gradients are near 0


def test_steps_take_the_place_of_minutes(few_cells):
    own = RECIPES.get("own-unet")()
    assert own.minutes == 10 and own.steps == 600
    assert own.with_settings({"steps": 7}).minutes is None and own.with_settings({"epochs": 7}).minutes is None
    assert own.with_settings(own.fields()).fields() == own.fields()
    deterministic = prepare(own.with_settings({"deterministic": True, "data.instances": True}), few_cells)
    assert timed(deterministic, Devices.of()) is deterministic


def test_minutes_that_would_change_nothing_are_refused(few_cells, tmp_path):
    settings = {**SLIM, "minutes": 3, "deterministic": True}
    with pytest.raises(ConfigError, match="minutes would change nothing: how many steps a deterministic training has"):
        kseg.train("demo", data_dir=few_cells, run=tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()


def test_stages_are_not_measured(few_cells):
    staged = RECIPES.get("own-unet")().with_settings({"stages": ("demo",), "data.instances": True})
    found = timed(prepare(staged, few_cells), Devices.of()).recipe
    assert (found.minutes, found.steps) == (None, 600)  # nobody asked for the minutes
    with pytest.raises(ConfigError, match="own-unet trains in stages, .* Say how many: steps=1000"):
        timed(prepare(staged.with_settings({"minutes": 3}), few_cells), Devices.of())


def test_several_workers_follow_the_steps_of_a_recipe_with_minutes(few_cells):
    own = prepare(RECIPES.get("own-unet")().with_settings({"data.instances": True}), few_cells)
    two = replace(Devices.of(), workers=2)
    assert timed(own, two).recipe.steps == 600
    with pytest.raises(ConfigError, match="several workers train, .* Say how many: steps=1000"):
        timed(replace(own, recipe=own.recipe.with_settings({"minutes": 3})), two)


def test_a_dry_run_tells_the_planned_steps(few_cells):
    (found,) = rehearse("demo", data_dir=few_cells, settings={**SLIM, "minutes": 0.05})
    assert found.steps >= 1 and found.steps != RECIPES.get("demo")().steps
