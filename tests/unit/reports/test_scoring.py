"""What `evaluate` scores: the part held out of what the network was trained on, all of any other folder."""

import json
import shutil

import cv2
import numpy as np
import pytest

from kseg import datasets
from kseg.errors import ConfigError
from kseg.recipes import RECIPES, Recipe
from kseg.reports.scoring import measures_of, open_data

NAMES = "abcdefghij"  # of which c, d, f, j are held out


def fill(root, seed=0, names=NAMES):
    rng = np.random.default_rng(seed)
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(root / "images" / f"{name}.png"), rng.integers(0, 255, (6, 6), np.uint8))
        cv2.imwrite(str(root / "labels" / f"{name}.png"), np.eye(6, dtype=np.uint8))
    return root


def run_of(folder, recipe: Recipe, data_dir=None, **config):
    """A run folder as far as its configuration goes."""
    options = {**recipe.data.options}
    train = datasets.open(recipe.data.name, data_dir, split="train", **options)
    config = {"data_dir": data_dir and str(data_dir), "split_rule": "hash", **config}
    config |= {"recipe": recipe.to_json(), "fingerprint": {"train": datasets.survey(train).fingerprint}}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def mine(tmp_path):
    return fill(tmp_path / "mine")


@pytest.fixture
def run(tmp_path, mine):
    recipe = RECIPES.get("own-unet")().with_settings({"measure": "mean_iu"})
    return run_of(tmp_path / "run", recipe, mine)


def test_of_the_runs_own_folder_the_part_held_out_is_scored(run, mine):
    for model in (run, run / "model.keras"):
        for data_dir in (None, mine):
            data = open_data(model, None, data_dir, None, {})
            assert (data.split, data.ids) == ("val", list("cdfj"))
    assert open_data(run, None, None, "all", {}).ids == list("abeghicdfj")


def test_another_folder_is_scored_whole_and_said_so(run, tmp_path, capsys):
    data = open_data(run, None, fill(tmp_path / "other", seed=1), None, {})
    assert (data.split, len(data)) == ("all", 10)
    assert "data: folder all, 10 images" in capsys.readouterr().err
    assert open_data(run, "folder", tmp_path / "other", "val", {}).ids == list("cdfj")


def test_the_same_images_at_another_place_are_the_runs_own(run, mine, tmp_path):
    shutil.move(mine, tmp_path / "elsewhere")
    assert open_data(run, None, tmp_path / "elsewhere", None, {}).split == "val"


def test_a_folder_is_another_set_to_a_run_of_the_demo(tmp_path, mine):
    run = run_of(tmp_path / "run", RECIPES.get("demo")())
    assert open_data(run, "folder", mine, None, {}).split == "all"
    assert open_data(run, None, None, None, {}).split == "val"


def test_a_network_of_no_run_is_scored_on_the_part_held_out_and_told_of_all(mine, capsys):
    assert open_data("network.keras", "folder", mine, None, {}).split == "val"
    assert "the split `all` scores the whole of it" in capsys.readouterr().err


def test_a_run_that_does_not_name_its_rule_keeps_the_one_of_its_time(run):
    config = json.loads((run / "config.json").read_text())
    del config["split_rule"]
    (run / "config.json").write_text(json.dumps(config))
    assert open_data(run, None, None, None, {}).ids == ["e", "g"]  # of numpy's seed 0: positions 4 and 6


def test_frames_that_a_run_left_out_are_not_left_out_elsewhere(tmp_path):
    for place, frames in (("trained", "012"), ("other", "0123")):
        for folder, prefix in (("01", "t"), ("01_GT/SEG", "man_seg")):
            (tmp_path / place / folder).mkdir(parents=True)
            for frame in frames:
                path = tmp_path / place / folder / f"{prefix}00{frame}.tif"
                cv2.imwrite(str(path), np.full((4, 4), 40 + int(frame), np.uint16))
    recipe = RECIPES.get("ctc-unet")().with_settings({"data.drop": (1,)})
    run = run_of(tmp_path / "run", recipe, tmp_path / "trained")
    assert open_data(run, None, None, "all", {}).ids == ["01_000", "01_002"]
    assert open_data(run, None, tmp_path / "other", None, {}).ids == ["01_000", "01_001", "01_002", "01_003"]
    assert len(open_data(run, None, tmp_path / "other", None, {"data.drop": "2"})) == 3


def test_a_network_of_a_run_knows_what_it_was_chosen_by(run, mine):
    data = open_data(run, None, None, None, {})
    assert [each.name for each in measures_of(run / "model.keras", data)] == ["mean_iu"]
    assert measures_of("network.keras", data) == []


def test_without_a_data_set_the_message_asks_for_one():
    with pytest.raises(ConfigError, match="It is not said which data to score on"):
        open_data("network.keras", None, None, None, {})


def test_the_rule_by_which_val_was_held_out_is_the_runs(run):
    with pytest.raises(ConfigError, match="data.split_rule must be that of the run"):
        open_data(run, None, None, None, {"data.split_rule": "shuffle"})


def test_labels_that_changed_since_the_training_are_told(run, mine, capsys):
    config = json.loads((run / "config.json").read_text())
    config["fingerprint"]["val"] = datasets.survey(datasets.open("folder", mine, split="val")).fingerprint
    (run / "config.json").write_text(json.dumps(config))
    open_data(run, None, None, None, {})
    assert "warning" not in capsys.readouterr().err
    cv2.imwrite(str(mine / "labels" / "c.png"), np.zeros((6, 6), np.uint8))
    open_data(run, None, None, None, {})
    assert "warning: images or labels of val are not those that the run began with" in capsys.readouterr().err
