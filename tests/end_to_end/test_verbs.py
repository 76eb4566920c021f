"""What the command line hands on, and how it ends where something else than kseg fails."""

import json
import os
import subprocess
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner
from command import call

from kseg.cli import main
from kseg.cli.predict import predict
from kseg.cli.spelling import as_option
from kseg.cli.train import train
from kseg.cli.verb import Verb
from kseg.errors import Setting
from kseg.images import write_image
from kseg.log import LOG, told
from kseg.recipes import RECIPES
from kseg.runs import trainer


@pytest.fixture
def mine(tmp_path):
    """Two splits; in val one label has a number of its own."""
    for split, numbers in (("train", "ab"), ("val", "cd")):
        for name in numbers:
            label = np.zeros((8, 8), np.uint8)
            label[:4] = {"d": 9}.get(name, 1)
            write_image(tmp_path / "mine" / split / "images" / f"{name}.png", np.full((8, 8), ord(name), np.uint8))
            write_image(tmp_path / "mine" / split / "labels" / f"{name}.png", label)
    return tmp_path / "mine"


def test_a_check_of_one_split_looks_at_no_other(mine, tmp_path):
    words = ["data", "check", "--dataset", "folder", "--data-dir", mine, "--set", "data.classes=2", "--json", "-"]
    found = json.loads(call(*words, exit_code=1).stdout)
    assert found["splits"] == {"train": 2, "val": 2} and any(
        "val/labels/d.png" in str(each) for each in found["findings"]
    )
    found = json.loads(call(*words, "--split", "train").stdout)
    assert found["splits"] == {"train": 2} and found["findings"] == []


def test_what_is_packed_is_read_as_the_settings_say(mine, tmp_path):
    words = ["--data-dir", mine, "--set", "data.values=0,1,9", "-o", tmp_path / "shards"]
    call("data", "pack", "--dataset", "folder", *words)
    shown = call("data", "stats", "--dataset", "packed", "--data-dir", tmp_path / "shards", "--split", "val").stdout
    assert "class 2" in shown
    assert json.loads((tmp_path / "shards" / "index.json").read_text())["settings"] == {"data.values": "0,1,9"}
    words[3] = "data.values=0,1,9,7"
    assert "Choose another folder" in call("data", "pack", "--dataset", "folder", *words, exit_code=3).stderr


def test_every_option_of_a_training_is_handed_on(tmp_path, monkeypatch):
    handed = {}

    def noted(recipe, **options):
        handed.update(options, recipe=recipe)
        return trainer.Run(tmp_path, None, RECIPES.get("demo")())

    monkeypatch.setattr(trainer, "train", noted)
    options = {
        "recipe": "own-unet", "model": "fcn32s", "dataset": "folder", "data-dir": "cells", "run": "here", "steps": 7,
        "batch-size": 3, "crop": "32,40", "init-weights": "none", "precision": "mixed_float16", "resume": "never",
        "seed": 5, "set": "loss.dice=0.5",
    }  # fmt: skip
    call("train", "--deterministic", *(word for name, value in options.items() for word in (f"--{name}", value)))
    settings = {
        "model.name": "fcn32s", "data.name": "folder", "data.batch_size": 3, "data.crop": "32,40", "steps": 7,
        "init_weights": "none", "precision": "mixed_float16", "seed": 5, "deterministic": True, "loss.dice": "0.5",
    }  # fmt: skip
    wanted = {"recipe": "own-unet", "data_dir": "cells", "run": "here", "resume": "never", "settings": settings}
    assert handed == wanted
    call("train", "--epochs", 2)
    assert handed == {"recipe": None, "data_dir": None, "run": None, "resume": "auto", "settings": {"epochs": 2}}


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (KeyboardInterrupt(), 130, "Interrupted"),
        (
            OSError(28, "No space left on device", "mine/a.png"),
            5,
            "error: [Errno 28] No space left on device: 'mine/a.png'",
        ),
    ],
)
def test_what_comes_from_outside_ends_in_its_exit_code_without_a_traceback(error, exit_code, words, mine, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("kseg.datasets.open", fail)
    result = CliRunner().invoke(main, ["data", "stats", "--dataset", "folder", "--data-dir", str(mine)])
    assert result.exit_code == exit_code and words in result.stderr and "Traceback" not in result.stderr


def test_what_a_verb_logs_names_its_options():
    @click.command(cls=Verb)
    def doubt() -> None:
        LOG.warning(told("the crops are large. Pass ", Setting("data.batch_size", 1), "."))

    assert CliRunner().invoke(doubt).stderr == "warning: the crops are large. Pass --batch-size 1.\n"
    assert told(Setting("data.batch_size", 1)) == "batch_size=1"


@pytest.mark.parametrize(("verb", "written"), [(predict, "--average mirror"), (train, "--set average=mirror")])
def test_a_field_of_a_recipe_is_set_by_the_option_of_the_verb_where_it_has_one(verb, written):
    with click.Context(verb):
        assert as_option(Setting("average", "mirror")) == written


@pytest.mark.parametrize("words", [["data", "list"], ["weights", "list"]])
def test_a_closed_pipe_ends_a_verb_quietly_with_the_code_that_a_shell_gives_for_it(words):
    read, write = os.pipe()
    os.close(read)
    code = f"from kseg.cli import main; main({words})"
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")  # 128 + SIGPIPE
