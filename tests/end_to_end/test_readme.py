"""README's Python blocks, as they stand there."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from dataset_case import DATASET_CASES

import kseg
from kseg.images import write_image

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)


@pytest.fixture
def mine(tmp_path, monkeypatch) -> None:
    """A folder mine/ of ten small grey images, and paths that lead there."""
    label = np.zeros((40, 40), np.uint8)
    label[:, 20:] = 1
    for number in range(10):
        write_image(tmp_path / "mine" / "images" / f"{number}.png", label * 150 + number)
        write_image(tmp_path / "mine" / "labels" / f"{number}.png", label)
    monkeypatch.chdir(tmp_path)


def block(start: str) -> str:
    (found,) = [each for each in BLOCKS if start in each]
    return found


def small(code: str) -> str:
    """The same code with networks and trainings as small as a test needs."""
    for long, short in (
        ('settings={"steps": 200}', 'settings={"steps": 2, "epoch_steps": 1, "model.width": 2, "model.depth": 1}'),
        ("crop=(256, 256)", "crop=(32, 32)"),
        ("steps_per_epoch=100, epochs=10", "steps_per_epoch=2, epochs=1"),
        ('kseg.build("unet", classes=2)', 'kseg.build("unet", classes=2, width=2, depth=1, padding="same")'),
    ):
        assert long in code or long in "".join(BLOCKS), long
        code = code.replace(long, short)
    return code


def test_the_blocks_that_use_a_folder_of_ones_own_run_as_they_stand(mine, capsys):
    names: dict = {}
    exec(compile(small(block("import kseg\n\nmodel = kseg.build")), "README", "exec"), names)
    assert names["mask"].shape == (40, 40) and "mean IU" in capsys.readouterr().out
    assert Path("models", "cells", "1", "saved_model.pb").is_file()
    exec(compile(small(block("PixelCrossEntropy()")), "README", "exec"), names)
    assert names["model"].optimizer.iterations.numpy() == 2


def test_the_block_of_data_sets_opens_what_it_names(tmp_path, monkeypatch):
    for name, folder in (("nyudv2", "nyu"), ("siftflow", "SiftFlowDataset")):
        DATASET_CASES[name].write(tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    names = {"kseg": kseg}
    exec(compile(block('open("nyudv2"'), "README", "exec"), names)
    assert set(names["data"][0].image) == {"rgb", "hha"}


def test_the_block_of_networks_builds_what_it_names(mine, monkeypatch):
    built, build = [], kseg.build

    def slim(name, **options):
        built.append((name, options))
        return build(name, **{**options, "width": 1 / 64, "fc_width": 2})

    released = kseg.build("fcn32s", classes=3, width=1 / 64, fc_width=2)
    monkeypatch.setattr(kseg, "build", slim)
    # The release's file can't be had here: tests/golden and tests/unit/weights import files of its layout.
    monkeypatch.setattr(kseg.weights, "import_caffemodel", lambda path: released, raising=False)
    names = {"image": np.zeros((30, 20, 3), np.uint8)}
    exec(compile(block('kseg.build("fcn8s", classes=21)'), "README", "exec"), names)
    assert [name for name, _ in built] == ["fcn8s", "fcn32s", "fcn8s", "fcn16s"]
    assert names["ids"].shape == (30, 20) and isinstance(names["network"], keras.Model)


def test_every_name_of_kseg_that_readme_gives_is_there():
    text = README.read_text(encoding="utf-8")
    code = "".join(BLOCKS) + " ".join(re.findall(r"`([^`\n]+)`", text))
    names = sorted(set(re.findall(r"kseg(?:\.[a-zA-Z_]\w*)+", code)))
    assert "kseg.training.optimizers.for_mean_loss" in names
    for name in names:
        found = kseg
        for part in name.split(".")[1:]:
            found = getattr(found, part)
