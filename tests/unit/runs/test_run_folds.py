"""Cross-validation: a run folder for each fold, one report, one network, and going on after a break."""

import dataclasses
import json
import shutil
import signal

import numpy as np
import pytest

import kseg
from kseg.errors import ConfigError, Interrupted, WeightsError
from kseg.images import write_image
from kseg.inference import predict_scores, probabilities
from kseg.layers import readings_of
from kseg.preparation.prepared import prepare
from kseg.recipes import RECIPES, Recipe
from kseg.reports.scoring import open_data
from kseg.runs import folds as module
from kseg.runs.dry_run import rehearse
from kseg.runs.folds import check_one_worker, fold_of, timed_in_folds
from kseg.training.devices import Devices

SLIM = {
    "model.width": 2, "model.depth": 1, "model.normalization": "none", "data.crop": "16,16", "data.batch_size": 1,
    "optimizer.name": "sgd", "optimizer.schedule": "constant", "steps": 1, "precision": "float32", "folds": 2,
    "data.instances": True,
}  # fmt: skip


def fill(root, names, split=""):
    label = np.zeros((20, 20), np.uint8)
    label[4:16, 10:] = 1
    for number, name in enumerate(names):
        write_image(root / split / "images" / f"{name}.png", label * 200 + number)
        write_image(root / split / "labels" / f"{name}.png", label)
    return root


@pytest.fixture
def four(tmp_path):
    return fill(tmp_path / "data", "abcd")


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """A finished run with a test part, its folder and its data."""
    root = tmp_path_factory.mktemp("tested")
    for split, names in (("train", "abc"), ("val", "d"), ("test", "xyz")):
        fill(root / "data", names, split)
    return kseg.train("own-unet", data_dir=root / "data", run=root / "run", settings=SLIM), root / "data"


def test_each_fold_is_a_run_and_every_image_is_held_out_once(tested):
    run, _ = tested
    held = []
    for fold in (1, 2):
        folder = run.folder / "folds" / str(fold)
        recipe = Recipe.from_json(json.loads((folder / "config.json").read_text())["recipe"])
        assert (recipe.folds, recipe.fold) == (2, fold)
        assert json.loads((folder / "report.json").read_text())["split"] == "test"
        assert (folder / "checkpoints").is_dir() and (folder / "MODEL_CARD.md").is_file()
        held += open_data(folder, None, None, "val", {}).ids
    assert sorted(held) == list("abcd") and len(held) == 4
    assert (run.recipe.folds, run.recipe.fold) == (2, None)


def test_the_report_is_cross_validated_and_the_ensemble_is_scored_on_test(tested):
    run, _ = tested
    report = json.loads((run.folder / "report.json").read_text())
    assert report["split"] == "cross-validated" and [each["id"] for each in report["per_image"]] == list("abcd")
    assert [len(each["images"]) for each in report["folds"]] == [2, 2]
    assert report["test"]["split"] == "test" and [each["id"] for each in report["test"]["per_image"]] == list("xyz")
    assert run.report.together.mean_iu == report["test"]["mean_iu"] and run.report.mean_iu == report["mean_iu"]
    assert "The ensemble of these 2 networks:" in str(run.report)
    card, page = ((run.folder / name).read_text() for name in ("MODEL_CARD.md", "report.html"))
    assert "mean of the probabilities of 2 networks" in card and "The ensemble on test:" in card
    assert "4 images, each held out by one of the networks, reported on 3 images of test" in card
    assert "lowest fold" in page and "The ensemble" in page and page.count("Mean training loss of each epoch") == 4
    assert all((run.folder / "samples" / f"{name}.png").is_file() for name in "abcd")


def test_the_network_is_the_mean_of_all_and_reads_its_scores_as_the_report_says(tested):
    run, data = tested
    image = kseg.datasets.open("folder", data, split="test", instances=True)[0].image
    alone = [kseg.load(run.folder / "folds" / str(fold)) for fold in (1, 2)]
    wanted = np.mean([probabilities(predict_scores(each, image)) for each in alone], axis=0)
    # Scores of about 1 and probabilities below 1 are rounded to 2^-24 of themselves in each of some twenty operations.
    np.testing.assert_allclose(probabilities(predict_scores(run.model, image)), wanted, rtol=0, atol=20 * 2**-23)
    reading = readings_of(run.model)[""]
    assert reading.classes == ("background", "object")
    assert (run.report.threshold, run.report.rules) == (reading.threshold, reading.rules)
    mask = kseg.predict(run.model, image)
    decided = np.abs(wanted[..., 1] - reading.threshold) > 1e-5
    np.testing.assert_array_equal(mask[decided], (wanted[..., 1] > reading.threshold)[decided])


def test_what_is_scored_of_a_run_in_folds(tested, four):
    run, data = tested
    assert open_data(run.folder, None, None, None, {}).split == "test"
    assert open_data(run.folder / "folds" / "1", None, None, None, {}).split == "test"
    moved = shutil.copytree(data, four.parent / "moved")
    assert open_data(run.folder, None, moved, None, {}).split == "test"
    assert open_data(run.folder, None, four, None, {}).split == "all"  # other images
    shutil.rmtree(moved / "test")
    with pytest.raises(ConfigError, match="each of its networks was trained on all of these images but its own part"):
        open_data(run.folder, None, moved, None, {})
    assert open_data(run.folder, None, moved, "all", {}).ids == list("abcd")
    assert open_data(run.folder / "folds" / "2", None, moved, None, {}).split == "val"


def test_a_finished_run_is_scored_again_and_no_fold_is_trained(tested, capsys, monkeypatch):
    run, _ = tested
    monkeypatch.setattr(module, "run_stage", lambda *_: pytest.fail("trained again"))
    again = kseg.train(run=run.folder)
    assert "this run is finished; its networks are scored again" in capsys.readouterr().err
    assert again.report.to_json() == run.report.to_json()


def test_a_broken_run_goes_on_with_the_fold_that_broke(four, monkeypatch):
    folder, real = four.parent / "run", module.run_stage

    def broken(stage, *others):
        if stage.prepared.recipe.fold == 2:
            signal.raise_signal(signal.SIGTERM)
        return real(stage, *others)

    monkeypatch.setattr(module, "run_stage", broken)
    with pytest.raises(Interrupted, match=r"kseg.train\(run='.*run'\) goes on") as caught:
        kseg.train("own-unet", data_dir=four, run=folder, settings=SLIM)
    assert caught.value.folder == folder
    with pytest.raises(WeightsError, match="goes on from the newest checkpoint"):
        kseg.load(folder)
    first = (folder / "folds" / "1" / "report.json").stat().st_mtime_ns
    trained = []
    monkeypatch.setattr(module, "run_stage", lambda stage, *others: trained.append(stage) or real(stage, *others))
    run = kseg.train(run=folder)
    assert [stage.prepared.recipe.fold for stage in trained] == [2]
    assert (folder / "folds" / "1" / "report.json").stat().st_mtime_ns == first
    assert run.report.together is None and len(run.report.images) == 4
    with pytest.raises(ConfigError, match="folds: 2 in this run, 4 asked for"):
        kseg.train(run=folder, settings={"folds": 4})
    trained.clear()
    kseg.train(run=folder, settings={"steps": 2})  # all of them go on
    assert [stage.prepared.recipe.fold for stage in trained] == [1, 2]
    rows = (folder / "folds" / "2" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["step"] == 2


def test_the_minutes_are_shared_and_measured_once(four, monkeypatch):
    recipe = RECIPES.get("own-unet")().with_settings({**SLIM, "steps": None, "epochs": 3, "minutes": 8, "folds": 4})
    whole = prepare(recipe, four)
    asked = []

    def measured(prepared, devices, folds):
        asked.append((prepared.recipe.minutes, prepared.recipe.fold, len(prepared.parts["train"]), folds))
        return dataclasses.replace(prepared, recipe=recipe.with_settings({"steps": 77}))

    monkeypatch.setattr(module, "timed", measured)
    found = timed_in_folds(whole, Devices.of()).recipe
    assert asked == [(8, 1, 3, 4)] and (found.steps, found.epochs, found.minutes, found.fold) == (77, None, 8, None)
    assert fold_of(whole, 2).recipe.minutes == 2
    exact = prepare(recipe.with_settings({"deterministic": True}), four)
    assert timed_in_folds(exact, Devices.of()).recipe.steps is None


def test_one_fold_alone_is_an_ordinary_training(four):
    run = kseg.train("own-unet", data_dir=four, run=four.parent / "run", settings={**SLIM, "fold": 2})
    assert run.report.split == "val" and not run.report.folds and not (run.folder / "folds").exists()
    assert open_data(run.folder, None, None, None, {}).ids == [each["id"] for each in run.report.images]


def test_what_can_not_be_divided_is_refused(four):
    def refused(match, recipe="own-unet", **settings):
        with pytest.raises(ConfigError, match=match):
            kseg.train(recipe, data_dir=four, run=four.parent / "run", settings={**SLIM, **settings})

    refused("folds is 1, but must be at least 2", folds=1)
    refused("folds is 5, but there are 4 images to divide", folds=5)
    refused("fold is 3, but folds is 2", fold=3)
    refused("fold is 1, but folds is None", folds=None, fold=1)
    refused(r"own-unet is told what to train on \(data.split=all\)", **{"data.split": "all"})
    with pytest.raises(ConfigError, match="folds is 2, but voc-fcn8s trains in stages"):
        kseg.train("voc-fcn8s", data_dir=four, settings={"folds": 2})
    devices = Devices.of()
    object.__setattr__(devices, "workers", 2)
    with pytest.raises(ConfigError, match="folds is 2, but several workers train. Give each worker a fold"):
        check_one_worker(RECIPES.get("own-unet")().with_settings({"folds": 2}), devices)
    assert not (four.parent / "run").exists()


def test_a_dry_run_tells_of_one_training_and_how_many_there_are(four):
    (found,) = rehearse("own-unet", data_dir=four, run=four.parent / "run", settings={**SLIM, "steps": 100})
    assert "for 100 steps of each of 2 trainings" in str(found) and not (four.parent / "run").exists()


def test_data_of_ones_own_are_divided_without_a_part_to_choose_by(four):
    mine = kseg.datasets.open("folder", four, split="all", instances=True)
    settings = {name: value for name, value in SLIM.items() if name != "data.instances"}
    run = kseg.train("own-unet", data={"train": mine}, run=four.parent / "run", settings=settings)
    assert [each["id"] for each in run.report.images] == list("abcd")
    assert len(run.report.folds) == 2
