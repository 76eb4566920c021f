"""`data check` and `data download` as a person types them."""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
import zipfile
from functools import partial

import command
import numpy as np
import pytest
from PIL import Image

from kseg.check import Checked, Finding
from kseg.cli.data import next_command
from kseg.datasets import DATASETS
from kseg.datasets.downloads import PUBLISHED
from kseg.images import read_image

MASK = np.zeros((12, 16), np.uint8)
MASK[3:7, 5:9] = 1

call = partial(command.call, "data")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder of four pairs, and the folder around it as the place where commands run."""
    monkeypatch.chdir(tmp_path)
    for kind in ("images", "labels"):
        (tmp_path / "mine" / kind).mkdir(parents=True)
    for seed, name in enumerate("abcd"):
        pixels = np.random.default_rng(seed).integers(0, 256, MASK.shape).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "mine/images" / f"{name}.png")
        Image.fromarray(MASK).save(tmp_path / "mine/labels" / f"{name}.png")
    return tmp_path / "mine"


WORDS = ("check", "--dataset", "folder", "--data-dir", "mine")


def test_the_list_has_a_line_for_each_set_in_the_order_of_the_alphabet_and_two_columns():
    lines = call("list").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == sorted(DATASETS.names())
    # The longest name, pascal-context, has 14 letters.
    assert {line[14:16] for line in lines} == {"  "} and " " not in {line[16] for line in lines}
    assert max(map(len, lines)) < 125


def test_a_whole_folder_ends_with_exit_0_and_leaves_no_picture(mine):
    assert call(*WORDS).stdout == "mine: 4 images with a label, nothing wrong\n"
    assert [path.name for path in mine.parent.iterdir()] == ["mine"]


def test_findings_end_with_exit_1_a_line_the_fix_the_next_command_and_a_picture_on_request(mine):
    for path in (mine / "labels").iterdir():
        Image.fromarray(255 * MASK).save(path)
    shown = call(*WORDS, exit_code=1)
    assert "  labels/a.png: 0 and 255 only, first at row 3, column 5 (16 pixels, 8.3%)\n" in shown.stdout
    assert "fix: --set data.values=0,255 where 255 is the object" in shown.stdout
    assert [path.name for path in mine.parent.iterdir()] == ["mine"]
    shown = call(*WORDS, "-o", "seen.png", exit_code=1)
    assert shown.stdout.endswith("\nseen.png\n") and read_image("seen.png").shape[1] > 200
    assert "data check --dataset folder --data-dir mine --fix mine-mended" in shown.stderr
    assert "nothing wrong" in call(*WORDS, "--set", "data.values=0,255").stdout


def test_fix_writes_a_copy_that_is_whole(mine):
    for path in (mine / "labels").iterdir():
        Image.fromarray(255 * MASK).save(path)
    (mine / "labels/d.png").unlink()
    shown = call(*WORDS, "--fix", "mended", "-o", "seen.png", exit_code=1)
    assert "mended: a corrected copy; its changes.csv names 4 changes" in shown.stdout
    assert "train --dataset folder --data-dir mended" in shown.stderr and read_image("seen.png").any()
    assert "3 images with a label, nothing wrong" in call(*WORDS[:-1], "mended").stdout
    assert "mended: this exists already" in call(*WORDS, "--fix", "mended", exit_code=3).stderr


@pytest.mark.parametrize("place", ["-", "found.json"])
def test_json_names_all_findings_and_nothing_else_is_printed(mine, place):
    (mine / "labels/a.png").unlink()
    Image.fromarray(np.where(MASK, 255, MASK * 0 + 2).astype(np.uint8)).save(mine / "labels/b.png")
    shown = call(*WORDS, "--json", place, exit_code=1)
    found = json.loads(shown.stdout if place == "-" else (mine.parent / place).read_text())
    assert found["dataset"] == "folder" and found["splits"] == {"": 3} and found["picture"] is None
    first, second = found["findings"]
    assert first == {
        "kind": "unpaired", "file": "images/a.png", "what": "there is no label of that name", "row": None,
        "column": None, "pixels": None, "share": None, "mendable": True,
        "fix": "bring the label, or leave the file out; --set data.unlabelled=leave leaves such images out; "
        "--fix DIR leaves it out",
    }  # fmt: skip
    assert [second[key] for key in ("kind", "row", "column", "pixels")] == ["void", 3, 5, 16]


def test_the_check_asks_what_the_recipe_asks_and_takes_its_settings(mine):
    assert "nothing wrong" in call(*WORDS).stdout  # 12 x 16 pixels, cut to 256 x 256
    shown = call(*WORDS, "--set", "data.crop=none", exit_code=1).stdout
    assert "what a training would stop at (1)\n  folder: image a: height 12 does not fit" in shown
    assert "nothing wrong" in call(*WORDS, "--set", "data.crop=none", "--set", "model.depth=2").stdout
    shown = call(*WORDS, "--recipe", "isbi2012-unet-paper", "--set", "data.crop=301,300", exit_code=1).stdout
    assert "data.crop: height 301 does not fit" in shown
    assert "Did you mean 'own-unet'" in call(*WORDS, "--recipe", "own-unt", exit_code=3).stderr
    assert "optimizer.name can't apply here" in call(*WORDS, "--set", "optimizer.name=adam", exit_code=3).stderr
    assert "Did you mean 'data.values'" in call(*WORDS, "--set", "data.value=1,2", exit_code=3).stderr


def test_the_next_command_mends_then_trains_or_checks_again():
    mended = Finding("unpaired", "a.png", "alone", ("bring it",), in_copy="leaves it out")
    found = Checked("folder", None, {"": 2}, [mended])
    settings = {"data.classes": "3"}
    words = "--dataset folder --data-dir"
    assert next_command(found, "x/mine/", settings, None) == (
        f"data check {words} x/mine/ --set data.classes=3 --fix mine-mended"
    )
    found.labels.settings["data.ignore_class"] = "255"
    assert next_command(found, "mine", settings, "new") == (
        f"train {words} new --set data.classes=3 --set data.ignore_class=255"
    )
    found.findings.append(Finding("unseen", "labels", "no label", ("label some",)))
    assert next_command(found, "mine", {}, "new") == f"data check {words} new --set data.ignore_class=255"
    assert next_command(Checked("camvid", None, {"": 2}, [mended]), "mine", {}, None) is None
    found.findings = found.findings[1:]
    assert next_command(found, "mine", {}, None) is None


def test_the_findings_are_there_where_the_picture_can_not_be_written(mine):
    for path in (mine / "labels").iterdir():
        Image.fromarray(255 * MASK).save(path)
    (mine.parent / "file").write_text("no folder")
    shown = call(*WORDS, "-o", "file/seen.png", exit_code=5)
    assert "masks saved as 0 and 255 (4)" in shown.stdout and "error: " in shown.stderr


def test_what_was_not_looked_at_stands_below_the_findings(mine):
    (mine / "images/e.czi").write_bytes(b"ZISRAWFILE")
    shown = call(*WORDS).stdout
    assert shown.startswith(
        "mine: 4 images with a label, nothing wrong in what was looked at\n\nnot looked at: 1 .czi in"
    )


def test_a_published_set_is_checked_and_not_mended(mine):
    words = ("check", "--dataset", "demo", "--split", "val")
    assert "demo: 8 images with a label (val 8), nothing wrong" in call(*words).stdout
    assert "mends a folder of your own" in call(*words, "--fix", "new", exit_code=3).stderr
    assert "Did you mean 'folder'" in call("check", "--dataset", "fodler", exit_code=3).stderr


def test_shards_go_to_an_address_and_come_back_from_it():
    address = "ram://verb/shards"  # TensorFlow's file system in memory stands in for gs://
    shown = call("pack", "--dataset", "demo", "-o", address, "--shards", 2)
    assert shown.stdout == f"{address}\n" and f"train --dataset packed --data-dir {address}" in shown.stderr
    words = ("--dataset", "packed", "--data-dir", address)
    assert "packed: 32 images with a label (train 24, val 8), nothing wrong" in call("check", *words).stdout
    packed, plain = (json.loads(call("stats", *one, "--json", "-").stdout) for one in (words, ("--dataset", "demo")))
    for figures in (packed, plain):
        del figures["dataset"]
    assert packed == plain


def test_a_check_starts_no_tensorflow(mine):
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom kseg.cli import main\n"
        f"result = CliRunner().invoke(main, {['data', *WORDS]!r})\n"
        "assert result.exit_code == 0, result.output\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=mine.parent, env=dict(os.environ))


def test_a_public_set_comes_from_the_mirror_and_says_what_is_next(tmp_path, monkeypatch):
    (tmp_path / "mirror").mkdir()
    with zipfile.ZipFile(tmp_path / "mirror" / "DIC-C2DH-HeLa.zip", "w") as file:
        file.writestr("DIC-C2DH-HeLa/01_GT/SEG/man_seg000.tif", b"x")
    entry = PUBLISHED["DIC-C2DH-HeLa"]
    part = dataclasses.replace(entry.parts[0], digest=None)
    monkeypatch.setitem(PUBLISHED, "DIC-C2DH-HeLa", dataclasses.replace(entry, parts=(part,)))
    monkeypatch.setenv("KSEG_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("KSEG_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    for again in (False, True):
        shown = call("download", "DIC-C2DH-HeLa")
        assert shown.stdout == "DIC-C2DH-HeLa/DIC-C2DH-HeLa\n"
        assert ("no digest was published; that of this file is sha256:" in shown.stderr) != again
        assert "data check --dataset ctc --data-dir DIC-C2DH-HeLa/DIC-C2DH-HeLa" in shown.stderr
    assert (tmp_path / "DIC-C2DH-HeLa/DIC-C2DH-HeLa/01_GT/SEG/man_seg000.tif").read_bytes() == b"x"


def test_what_can_not_be_had_says_what_is_known_and_which_file_to_bring(tmp_path, monkeypatch):
    monkeypatch.setenv("KSEG_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    shown = call("download", "nyudv2", "-o", "nyu", exit_code=5)
    assert "refuses connections since December 2023" in shown.stderr
    assert f"put it at {os.path.join('nyu', 'splits.mat')}" in shown.stderr
    assert "Did you mean 'nyudv2'" in call("download", "nyudv3", exit_code=3).stderr


def test_the_next_command_can_be_pasted_where_a_folder_has_a_blank(tmp_path):
    folder = tmp_path / "my cells"
    said = call("demo", folder).stderr
    assert shlex.split(said.splitlines()[1]) == [
        "kseg", "train", "--dataset", "folder", "--data-dir", str(folder), "--set", "data.instances=true",
    ]  # fmt: skip
