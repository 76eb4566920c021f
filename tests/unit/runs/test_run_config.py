import json

import pytest

from kseg import device
from kseg.cli.train import train
from kseg.errors import ConfigError
from kseg.recipes.recipe import Recipe
from kseg.recipes.specs import PublishedSpec
from kseg.runs.config import alone, check_same, open_run


def config(**changes) -> dict:
    recipe = Recipe("a", steps=5).with_settings(changes)
    return {
        "recipe": recipe.to_json(),
        "classes": ["background", "cell"],
        "fingerprint": {"train": "1" * 64, "val": "2" * 64},
        "versions": {"keras": "3.0"},
    }


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "a-1"
    (folder / "checkpoints" / "step-000005").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config()))
    return folder


def test_a_new_run_has_no_folder_yet_and_one_that_is_named_may_be_empty(tmp_path):
    assert open_run(None, "auto") == (None, None)
    assert open_run(tmp_path / "new", "never") == (tmp_path / "new", None)
    (tmp_path / ".kseg-x").mkdir()
    assert open_run(tmp_path, "auto") == (tmp_path, None)


def test_a_run_that_exists_is_opened_by_its_name_or_by_a_checkpoint(run):
    assert open_run(run, "auto") == (run, json.loads(json.dumps(config())))
    for folder in (run, None):
        assert open_run(folder, run / "checkpoints" / "step-000005")[0] == run


def test_what_can_not_be_gone_on_with_is_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="a-1: this run folder exists already"):
        open_run(run, "never")
    with pytest.raises(ConfigError, match="step-000006: there is no such checkpoint"):
        open_run(run, run / "checkpoints" / "step-000006")
    with pytest.raises(ConfigError, match="this is a checkpoint of .*a-1, not of other"):
        open_run("other", run / "checkpoints" / "step-000005")
    with pytest.raises(ConfigError, match=r"no run folder \(no config.json; found a-1\)"):
        open_run(run.parent, "auto")
    with pytest.raises(ConfigError, match=r"config.json: no run folder \(no config.json; found a file\)"):
        open_run(run / "config.json", "auto")


def test_every_difference_is_named(tmp_path):
    now = config(**{"optimizer.learning_rate": 0.5, "data.augment.shift": 3})
    now["fingerprint"] = {"train": "3" * 64, "val": "2" * 64}
    now["classes"] = ["background", "nucleus"]
    with pytest.raises(ConfigError) as caught:
        check_same(tmp_path, config(), now)
    assert str(caught.value).splitlines()[1:-1] == [
        "  optimizer.learning_rate: 0.001 in this run, 0.5 asked for",
        "  classes: ['background', 'cell'] in this run, ['background', 'nucleus'] asked for",
        "  fingerprint.train: 111111111111 in this run, 333333333333 asked for",
        "  data.augment.shift.pixels: not there in this run, 3.0 asked for",
    ]


def test_other_images_are_no_other_configuration(tmp_path):
    now = {**config(), "fingerprint": {"train": "1" * 64, "val": "3" * 64}}
    with pytest.raises(ConfigError, match="the images or labels are not those that this run began with"):
        check_same(tmp_path, config(), now)


def test_another_version_or_place_is_no_other_configuration(tmp_path, capsys):
    check_same(tmp_path, config(), {**config(), "data_dir": "elsewhere"})
    assert not capsys.readouterr().err
    check_same(tmp_path, config(), {**config(), "versions": {"keras": "4.0"}})
    assert "this run began with keras 3.0" in capsys.readouterr().err


def test_another_kind_of_processor_and_another_onednn_are_warned_of_and_no_other_configuration(tmp_path, capsys):
    here = {**config(), "processor": "AVX2", "onednn": False}
    check_same(tmp_path, here, here)
    check_same(tmp_path, config(), here)  # a run that began before this was recorded
    assert not capsys.readouterr().err
    check_same(tmp_path, {**config(), "processor": "AMX", "onednn": False}, here)
    said = capsys.readouterr().err
    assert "began on a processor with AMX, and goes on on one with AVX2" in said and "oneDNN" not in said
    check_same(tmp_path, {**here, "onednn": True}, here)
    said = capsys.readouterr().err
    assert "began with TensorFlow with oneDNN (to go on so: export TF_ENABLE_ONEDNN_OPTS=1 before Python" in said


@pytest.mark.parametrize(
    ("flags", "onednn", "wanted"),
    [("avx2", True, True), ("avx512f", False, False), ("avx2", None, False), ("avx512f", None, True)],
)
def test_the_verb_goes_on_with_onednn_as_the_run_began(run, monkeypatch, flags, onednn, wanted):
    monkeypatch.setattr(device, "_flags", lambda: flags)
    recorded = config() if onednn is None else {**config(), "onednn": onednn}
    (run / "config.json").write_text(json.dumps(recorded))
    for words in (["--run", str(run)], ["--resume", str(run / "checkpoints" / "step-000005")]):
        assert train.onednn(train.make_context("train", words)) is wanted
    for words in ([], ["--run", str(run.parent / "new")]):
        assert train.onednn(train.make_context("train", words)) is (flags == "avx512f")


def test_a_field_that_was_not_there_yet_had_its_default(tmp_path):
    before = config()
    del before["recipe"]["checkpoint"], before["recipe"]["deterministic"]
    check_same(tmp_path, before, config())


@pytest.mark.parametrize("before", [None, [], [vars(PublishedSpec("older", "voc-fcn", "val", 9, mean_iu=0.5))]])
def test_a_run_goes_on_whatever_scores_were_published_when_it_began(tmp_path, before):
    recorded, now = config(), config()
    now["recipe"]["published"] = [vars(PublishedSpec("a paper", "voc-fcn", "val", 736, mean_iu=0.6))]
    del recorded["recipe"]["published"]
    if before is not None:
        recorded["recipe"]["published"] = before
    check_same(tmp_path, recorded, now)


def test_two_processes_do_not_train_in_one_folder(run):
    words = "another process trains there. Wait for it, or name another folder: run='NEW'"
    with alone(run), pytest.raises(ConfigError, match=words), alone(run):
        pass
    with alone(run):
        pass


def test_a_run_is_kept_from_others_after_its_configuration_was_written_anew(run):
    """As a run that is lengthened does: the file is another one then."""
    with alone(run):
        (run / "new").write_text((run / "config.json").read_text())
        (run / "new").replace(run / "config.json")
        with pytest.raises(ConfigError, match="another process trains there"), alone(run):
            pass
