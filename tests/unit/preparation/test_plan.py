"""What the images of a person say about the settings of a training. In float32."""

import json
import logging

import numpy as np
import pytest

import kseg
from kseg import datasets
from kseg.datasets import survey
from kseg.images import write_image
from kseg.preparation import plan as plans
from kseg.preparation.plan import is_asked, planned, told
from kseg.recipes import RECIPES
from kseg.runs.dry_run import rehearse
from tests.unit.datasets.test_traits import discs

SLIM = {"data.crop": "32,32", "data.batch_size": 1, "model.width": 2, "model.depth": 2, "precision": "float32"}


def folder(place, images, labels):
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        write_image(place / "images" / f"{number}.png", image)
        write_image(place / "labels" / f"{number}.png", label)
    return place


@pytest.fixture
def nuclei(tmp_path):
    """Discs 20 pixels wide, two of which touch."""
    cells = discs((50, 20), (50, 41), (20, 70)).astype(np.uint8)
    return folder(tmp_path / "nuclei", [np.uint8(level * (cells > 0)) for level in range(25, 255, 25)], [cells] * 10)


@pytest.fixture
def streets(tmp_path):
    """A sky that ends at another row in each image, above a road with a rare thing on it."""
    labels = np.ones((12, 60, 90), np.uint8)
    for number, label in enumerate(labels):
        label[: 20 + number] = 0
        label[50, 3 * number] = 2
    (tmp_path / "streets").mkdir()
    (tmp_path / "streets" / "classes.txt").write_text("sky\nroad\nthing\n")
    return folder(tmp_path / "streets", [np.full((60, 90, 3), 200, np.uint8)] * 12, labels)


def choices(place, *asked, recipe="own-unet", **options):
    """The plan for a folder, by the settings' names."""
    settings = {"data.name": "folder", **{f"data.{name}": value for name, value in options.items()}}
    chosen = RECIPES.get(recipe)().with_settings(settings)
    data = datasets.open("folder", place, split="all", **options)
    return {each.name: each for each in planned(chosen, data, {"train": survey(data)}, {*settings, *asked})}


def values(*given, **options):
    return {name: each.value for name, each in choices(*given, **options).items()}


def test_the_plan_for_touching_cells(nuclei):
    found = values(nuclei, instances=True)
    # A disc is 20 pixels wide, with half of its neighbours 40, which depth 3 sees. The images are 100 pixels wide.
    assert found["model.depth"] == 3 and found["data.crop"] == (104, 104)
    assert found["loss.border_weight"] == 3 and found["loss.dice"] == 1
    assert found["data.augment.mirror"] and found["data.augment.rotation"] and "data.upright" not in found


def test_the_plan_for_streets(streets):
    found = choices(streets)
    assert found["data.upright"].value and found["data.augment.mirror.vertical"].value is False
    assert found["data.augment.rotation"].value is None
    assert found["data.upright"].reason == "thing lies below the middle"  # further than the sky lies above it
    assert found["loss.dice"].value == 1 and "thing, the rarest class, has 0.019%" in found["loss.dice"].reason
    assert "loss.border_weight" not in found


def test_what_was_asked_for_stays(nuclei, streets):
    for asked in ("model.depth", "data.crop", "data.augment.mirror", "loss.border_weight"):
        assert asked not in choices(nuclei, asked, instances=True)
    assert "data.augment.rotation" not in choices(nuclei, "data.augment.rotation.degrees", instances=True)
    turned = choices(streets, upright=False)
    assert turned["data.augment.rotation"].value and turned["data.augment.rotation"].reason == "the data set says so"
    assert is_asked("a.b", ["a"]) and is_asked("a.b", ["a.b.c"]) and not is_asked("a.b", ["a.bc"])


def test_the_crop_fits_the_depth_that_was_asked_for(nuclei):
    settings = {"data.name": "folder", "data.instances": True, "model.depth": 5}
    data = datasets.open("folder", nuclei, split="all", instances=True)
    found = planned(RECIPES.get("own-unet")().with_settings(settings), data, {"train": survey(data)}, settings)
    assert {each.name: each.value for each in found}["data.crop"] == (128, 128)


def test_a_network_that_starts_from_another_is_built_like_it(nuclei, tmp_path):
    settings = {"data.name": "folder", "data.instances": True, "init_weights": "isbi2012-unet"}
    data = datasets.open("folder", nuclei, split="all", instances=True)

    def found(*asked, **more):
        recipe = RECIPES.get("own-unet")().with_settings({**settings, **more})
        return {each.name: each for each in planned(recipe, data, {"train": survey(data)}, asked)}

    plan = found()
    assert plan["model.depth"].value == 4 and plan["model.width"].value == 16  # alone it would have depth 3
    assert plan["model.depth"].reason == "as in isbi2012-unet, whose weights it starts from"
    assert plan["data.crop"].value == (112, 112)  # a multiple of 16
    assert "model.depth" not in found("model.depth")
    assert found(**{"model.normalization": "group"})["model.normalization"].value == "batch"
    assert "model.depth" not in found(**{"model.name": "fcn32s"})
    call = {**SLIM, **settings, "steps": 1, "epoch_steps": 1}
    del call["model.depth"], call["model.width"]
    run = kseg.train("own-unet", data_dir=nuclei, run=tmp_path / "run", settings=call)
    assert run.model.count_params() == kseg.load("isbi2012-unet").count_params()


def test_large_objects_have_large_crops_as_far_as_the_memory_goes(tmp_path, monkeypatch):
    cells = discs((250, 250), radius=150, side=500).astype(np.uint8)
    large = folder(tmp_path / "large", [200 * cells] * 2, [cells] * 2)
    for gib, batch, side in ((16, 2, 384), (1, 1, 256)):
        monkeypatch.setattr(plans, "memory_bytes", lambda gib=gib: gib * 2**30)
        found = values(large)
        assert (found["model.depth"], found["data.crop"], found["data.batch_size"]) == (5, (side, side), batch)


def test_less_memory_means_fewer_crops(tmp_path, monkeypatch):
    cells = discs((300, 300), side=700).astype(np.uint8)[:600]
    blank = folder(tmp_path / "blank", [np.full((600, 700), 200, np.uint8)] * 2, [cells] * 2)
    for gib, batch in ((1, 1), (3, 2), (16, 4)):
        monkeypatch.setattr(plans, "memory_bytes", lambda gib=gib: gib * 2**30)
        found = values(blank)
        assert (found["data.batch_size"], found["data.crop"]) == (batch, (256, 256))


def test_validations_take_a_tenth_of_the_time(nuclei):
    data = datasets.open("folder", nuclei, split="all", instances=True)
    recipe, few = RECIPES.get("own-unet")().with_settings({"data.crop": (64, 64), "data.batch_size": 1}), survey(data)
    asked = ("model", "data", "loss")
    assert [each.value for each in planned(recipe, data, {"train": few, "val": few}, asked)] == [80]
    # A validation predicts 10 images of 100 x 100 pixels, which cost as much as 33,333 trained ones, or 8.1 steps.
    assert not planned(recipe, data, {"train": few}, asked)  # there is nothing to validate on


def test_levels_of_a_camera(tmp_path):
    cells = discs((50, 50)).astype(np.uint8)
    dim = folder(tmp_path / "dim", [np.uint16(3000) * cells] * 9, [cells] * 9)
    assert values(dim)["data.white"] == 4095
    assert "data.white" not in values(dim, "data.white")
    black = folder(tmp_path / "black", [0 * cells] * 2, [cells] * 2)
    assert "data.white" not in values(black)


def test_dice_is_not_added_to_a_sum(streets):
    recipe = RECIPES.get("own-unet")().with_settings({"loss.average": "none"})
    data = datasets.open("folder", streets, split="all")
    found = planned(recipe, data, {"train": survey(data)}, ["loss.average"])
    assert "loss.dice" not in {each.name for each in found}


def test_objects_that_do_not_touch_need_no_weights(tmp_path):
    cells = discs((20, 20), (70, 70)).astype(np.uint8)
    apart = folder(tmp_path / "apart", [200 * cells] * 9, [cells] * 9)
    assert values(apart, instances=True)["loss.border_weight"] == 0


def test_a_plan_is_told_in_three_lines_and_kept_for_a_run_that_goes_on(nuclei, tmp_path, caplog):
    settings = {**SLIM, "data.name": "folder", "data.instances": True, "steps": 2, "epoch_steps": 1}
    with caplog.at_level(logging.INFO, "kseg"):
        run = kseg.train(data_dir=nuclei, run=tmp_path / "run", settings=settings)
    lines = [record.message for record in caplog.records if record.message.startswith("plan, ")]
    assert [line.split(":")[0] for line in lines] == ["plan, images", "plan, training"]  # all of the network was set
    assert "the objects touch another one" in lines[1]
    config = json.loads((run.folder / "config.json").read_text())
    kept = {each["name"]: each["value"] for each in config["plan"]}
    assert kept["loss.border_weight"] == config["recipe"]["loss"]["border_weight"] == 3
    assert run.recipe.plan and "model.depth" not in kept
    for same in ({}, settings):
        assert kseg.train(data_dir=nuclei, run=run.folder, settings=same).recipe == run.recipe
    assert kseg.train("own-unet", data_dir=nuclei, run=run.folder, settings=settings).recipe == run.recipe
    with pytest.raises(kseg.errors.ConfigError, match="border_weight: 3.0 in this run, 10.0 asked for"):
        kseg.train(data_dir=nuclei, run=run.folder, settings={**settings, "loss.border_weight": 10.0})


def test_a_recipe_is_planned_only_where_it_says_so(nuclei):
    settings = {**SLIM, "data.name": "folder", "data.instances": True, "steps": 2}
    (found,) = rehearse("own-unet", data_dir=nuclei, settings={**settings, "plan": False})
    assert not found.plan and told(found.plan) == []
    (found,) = rehearse("own-unet", data_dir=nuclei, settings=settings)
    assert "\n  loss.border_weight = 3.0: 67% of the objects touch another one" in str(found)
    (found,) = rehearse("demo", data_dir=nuclei, settings=settings)
    assert not found.plan
