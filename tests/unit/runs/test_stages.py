import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import ConfigError, Interrupted, WeightsError
from kseg.preparation.given import Given
from kseg.recipes import RECIPES
from kseg.runs.dry_run import rehearse
from kseg.runs.stages import of_stage, stages_of
from kseg.runs.start import settled
from kseg.runs.trainer import run_stage

SLIM = {"model.width": 1 / 64, "model.fc_width": 4, "init_weights": "none", "steps": 2, "precision": "float32"}
trees = importlib.util.spec_from_file_location(
    "dataset_case", Path(__file__).resolve().parents[2] / "conformance" / "dataset_case.py"
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Tiny data sets in their published layouts, by name."""
    writers = importlib.util.module_from_spec(trees)
    trees.loader.exec_module(writers)
    root = tmp_path_factory.mktemp("published")
    for name in ("siftflow", "camvid", "nyudv2"):
        getattr(writers, f"write_{name}")(root / name)
    return root


@pytest.fixture(scope="module")
def scenes(published):
    return published / "siftflow"


def test_a_stage_has_what_was_set_for_the_whole_and_keeps_its_own():
    whole = RECIPES.get("voc-fcn8s")().with_settings({**SLIM, "seed": 7, "data.name": "voc2012"})
    stage = of_stage("voc-fcn16s", whole)
    assert (stage.name, stage.model.name, stage.stages) == ("voc-fcn16s", "fcn16s", ("voc-fcn32s",))
    assert (stage.model.width, stage.seed, stage.data.name, stage.steps) == (1 / 64, 7, "voc2012", 2)
    assert stage.optimizer.learning_rate == 1e-12 and whole.optimizer.learning_rate == 1e-14
    by_epochs = of_stage("voc-fcn16s", whole.with_settings({"epochs": 3}))
    assert (by_epochs.steps, by_epochs.epochs) == (None, 3)


def test_a_rate_that_was_set_changes_each_stages_own_by_the_same_factor():
    rates, recipe = [], RECIPES.get("voc-fcn8s")().with_settings({"optimizer.learning_rate": 3e-14})
    for name in ("voc-fcn16s", "voc-fcn32s"):
        recipe = of_stage(name, recipe)
        rates.append(recipe.optimizer.learning_rate)
    assert rates == pytest.approx([3e-12, 3e-10], rel=1e-9, abs=0)


def test_another_optimisers_rate_is_that_of_all_stages():
    adam = {"optimizer.name": "adam", "optimizer.learning_rate": 1e-4}
    stage = of_stage("voc-fcn16s", RECIPES.get("voc-fcn8s")().with_settings(adam))
    assert (stage.optimizer.name, stage.optimizer.learning_rate) == ("adam", 1e-4)


class Known:
    """What is known of data that no test needs."""

    def __init__(self, recipe, began_compiled=None):
        self.recipe, self.data_dir, self.given, self.parts = recipe, None, Given(), {}
        self.began_compiled = began_compiled

    def replaced(self, **changes):
        return Known(changes.get("recipe", self.recipe), changes.get("began_compiled", self.began_compiled))


def test_as_many_stages_as_there_are_streams(monkeypatch):
    monkeypatch.setattr("kseg.runs.stages.prepare", lambda recipe, data_dir, given: Known(recipe))
    monkeypatch.setattr("kseg.runs.stages.replace", Known.replaced)
    late = RECIPES.get("nyud-fcn32s-rgb-hha")()
    folder = Path("run")
    *before, last = stages_of(Known(late), folder)
    assert [stage.folder.name for stage in before] == ["nyud-fcn32s-rgb", "nyud-fcn32s-hha"]
    assert last.start == {stream: folder / "stages" / f"nyud-fcn32s-{stream}" for stream in ("rgb", "hha")}
    with pytest.raises(ConfigError, match="fcn32s starts from 2. Name one stage for each stream"):
        stages_of(Known(replace(late, stages=("nyud-fcn32s-rgb",))), folder)


def test_stages_run_one_after_another_from_each_others_weights_and_go_on_where_they_were_broken(
    scenes, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"

    def broken(stage, *rest):
        if stage.prepared.recipe.name == "siftflow-fcn16s":
            raise Interrupted("Interrupted after step 1; the state is saved.")
        return run_stage(stage, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("kseg.runs.trainer.run_stage", broken)
        with pytest.raises(Interrupted, match=r"kseg.train\(run='.*run'\) goes on"):
            kseg.train("siftflow-fcn8s", data_dir=scenes, run=run, settings=SLIM)
    first = run / "stages" / "siftflow-fcn32s" / "report.json"
    made = first.stat().st_mtime_ns
    finished = kseg.train(run=run)
    assert first.stat().st_mtime_ns == made
    assert "stage 2 of 3: siftflow-fcn16s" in capsys.readouterr().err
    assert json.loads((run / "config.json").read_text())["recipe"]["name"] == "siftflow-fcn8s"
    # A rate of 1e-12 moves nothing that float32 would notice: the first layer is still the first stage's.
    kernels = [
        kseg.load(folder).get_layer("conv1_1").kernel.numpy()
        for folder in (run / "stages" / "siftflow-fcn32s", run / "stages" / "siftflow-fcn16s", run)
    ]
    np.testing.assert_allclose(kernels[1], kernels[0], rtol=1e-5)
    np.testing.assert_allclose(kernels[2], kernels[0], rtol=1e-5)
    assert {"mean_iu", "geometric_mean_iu"} <= {"mean_iu", *finished.report.measures}
    assert isinstance(finished.model, keras.Model) and finished.report.split == "test"
    assert [(each.mean_iu, each.geometric_pixel_accuracy) for each in finished.published] == [(0.412, 0.946)]
    assert (
        "| 0.412 |" in (run / "MODEL_CARD.md").read_text()
        and "| 0.395 |" in (run / "stages" / "siftflow-fcn16s" / "MODEL_CARD.md").read_text()
    )


def test_a_stage_that_can_not_be_built_is_refused_before_the_first_is_trained(scenes, tmp_path):
    settings = {**SLIM, "optimizer.rate_factors": ("score_pool3/*:2",)}  # only the last stage has this layer
    with pytest.raises(ConfigError, match=r"rate_factors: 'score_pool3/\*' fits no layer"):
        kseg.train("siftflow-fcn8s", data_dir=scenes, run=tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()
    settings = {**SLIM, "model.backbone": "alexnet"}  # the first stage alone can have it
    with pytest.raises(ConfigError, match="alexnet"):
        kseg.train("siftflow-fcn16s", data_dir=scenes, run=tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()


def test_without_val_the_last_network_is_the_one_and_no_row_has_a_score(scenes, tmp_path):
    run = kseg.train("siftflow-fcn32s", data_dir=scenes, run=tmp_path / "run", settings=SLIM)
    row = json.loads((run.folder / "metrics.jsonl").read_text())
    assert row["step"] == 2 and not [name for name in row if name.startswith("val_")]
    best, last = (kseg.load(run.folder / f"{name}.keras").get_weights() for name in ("model", "last"))
    for ours, theirs in zip(best, last, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_rehearsal_has_every_stage(scenes):
    found = rehearse("siftflow-fcn8s", data_dir=scenes, settings=SLIM)
    assert [each.recipe for each in found] == ["siftflow-fcn32s", "siftflow-fcn16s", "siftflow-fcn8s"]
    assert str(found[0]).startswith("siftflow-fcn32s: fcn32s, ")


def test_a_rehearsal_fetches_no_weights(published, tmp_path, monkeypatch):
    monkeypatch.setenv("KSEG_OFFLINE", "1")
    settings = {**SLIM, "init_weights": "imagenet", "data.crop": "32,32", "data.batch_size": 1}
    (found,) = rehearse("camvid-fcn32s", data_dir=published / "camvid", settings=settings)
    assert found.network == "fcn32s" and found.step_s > 0
    with pytest.raises(ConfigError, match="unet: there are no ImageNet weights for it. Give a file of weights, or"):
        rehearse("demo", settings={"init_weights": "imagenet", "model.depth": 1, "model.width": 2})
    with pytest.raises(WeightsError, match=r"nowhere\.keras"):
        settings["init_weights"] = str(tmp_path / "nowhere.keras")
        rehearse("camvid-fcn32s", data_dir=published / "camvid", settings=settings)


def test_a_backbone_of_camvid_starts_a_form_of_nyud(published, tmp_path, capsys):
    streets = kseg.train(
        "camvid-fcn32s",
        data_dir=published / "camvid",
        run=tmp_path / "streets",
        settings={**SLIM, "data.crop": "32,32", "data.batch_size": 1},
    )
    capsys.readouterr()
    settings = {**SLIM, "init_weights": str(streets.folder), "steps": 1}
    kseg.train("nyud-fcn32s-rgb", data_dir=published / "nyudv2", run=tmp_path / "rooms", settings=settings)
    said = capsys.readouterr().err
    assert "filled    15 layers: conv1_1, conv1_2" in said and "refused   score_fr: a kernel of (1, 1, 4, 11)" in said


def test_another_network_has_no_stages_before_it_and_another_recipe():
    chosen = settled(None, {"data.name": "voc2012", "model.name": "unet"}, None)
    assert (chosen.name, chosen.model.name, chosen.stages) == ("own-unet", "unet", ())
    assert RECIPES.get("voc-fcn8s")().with_settings({"model.name": "fcn32s"}).stages == ()
    assert settled(None, {"data.name": "nyudv2", "data.view": "hha"}, None).model.preprocessing == "nyud-hha"


def test_a_recipe_of_ones_own_hands_down_seed_and_precision():
    mine = replace(RECIPES.get("voc-fcn8s")(), name="mine", precision="float32", seed=5)
    stage = of_stage("voc-fcn16s", mine)
    assert (stage.precision, stage.seed) == ("float32", 5)


def test_a_stage_that_began_keeps_its_recipe_and_is_found_beside_one_that_is_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr("kseg.runs.stages.prepare", lambda recipe, data_dir, given: Known(recipe))
    monkeypatch.setattr("kseg.runs.stages.replace", Known.replaced)
    begun = RECIPES.get("siftflow-fcn32s")().with_settings({"optimizer.learning_rate": 0.5})
    second = tmp_path / "stages" / "siftflow-fcn32s"
    second.mkdir(parents=True)
    (second / "config.json").write_text(json.dumps({"recipe": begun.to_json(), "compiled": True}))
    whole = Known(RECIPES.get("siftflow-fcn16s")(), began_compiled=False)
    first, last = stages_of(whole, tmp_path / "stages" / "siftflow-fcn16s")
    assert first.folder == second and first.prepared.recipe == begun
    assert first.prepared.began_compiled is True and last.prepared.began_compiled is False
    (second / "config.json").unlink()
    first, _ = stages_of(whole, tmp_path / "stages" / "siftflow-fcn16s")
    assert first.prepared.began_compiled is False  # a stage that has not begun follows the whole
