"""What a person brings is as good as what is built in: CONTRIBUTING's `mine.py`, from the shell and from Python."""

import importlib
import json
import re
import shutil
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from command import call
from test_resume import kill_process, newest, processes, run_verb, wait_for

import kseg
from kseg.errors import ConfigError
from kseg.images import read_label, write_image
from kseg.metrics import MEASURES
from kseg.registry import REGISTRIES, load_plugin
from kseg.training.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
STEPS, EPOCH = 12, 4
SETTINGS = {
    "data.count": 5, "model.channels": 3, "loss.gamma": 1.5, "data.augment.noise.sigma": 3.0, "epoch_steps": EPOCH,
    "data.crop": "32,32", "data.batch_size": 2, "checkpoint.every_steps": 1, "checkpoint.keep": 2, "steps": STEPS,
    "precision": "float32", "deterministic": True,
}  # fmt: skip
NAMES = {
    "data.name": "stripes", "model.name": "two-layers", "loss.name": "focal", "measure": "bright_recall",
}  # fmt: skip


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    """The file that CONTRIBUTING shows; loaded here too."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.S)
    path = tmp_path_factory.mktemp("mine") / "stripes_plugin.py"
    path.write_text(next(block for block in blocks if "DATASETS.register" in block))
    load_plugin(str(path))
    return path


def words(run: Path, **others) -> list[str]:
    settings = {**SETTINGS, **NAMES, **others}
    return [
        "train", "--recipe", "demo", "--run", str(run),
        *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(plugin, tmp_path_factory) -> Path:
    """A finished run, by the command line."""
    folder = tmp_path_factory.mktemp("runs") / "plugged"
    said = call(*words(folder), "--plugin", plugin)
    assert f"evaluate {folder} --plugin" in said.stderr and "recall of bright" in said.stderr
    return folder


def assert_same(one: Path, other: Path) -> None:
    states = [read_checkpoint(each / "checkpoints" / f"step-{STEPS:06d}") for each in (one, other)]
    for found, wanted in zip(states[0].variables, states[1].variables, strict=True):
        np.testing.assert_array_equal(found, wanted)
    reports = [json.loads((each / "report.json").read_text()) for each in (one, other)]
    assert reports[0]["measures"] == reports[1]["measures"]


def test_contributings_command_takes_each_part_with_an_option_of_its_own(run):
    recipe = json.loads((run / "config.json").read_text())["recipe"]
    assert recipe["data"]["count"] == 5 and recipe["model"]["channels"] == 3 and recipe["loss"]["gamma"] == 1.5
    assert recipe["data"]["augment"]["noise"] == {"sigma": 3.0} and recipe["measure"] == "bright_recall"
    report = json.loads((run / "report.json").read_text())
    assert report["measures"]["bright_recall"] is not None and len(report["per_image"]) == 5
    assert "recall of bright" in (run / "report.html").read_text()
    assert "two-layers trained by kseg on stripes" in (run / "MODEL_CARD.md").read_text()
    command = re.search(r"```bash\nkseg (train --plugin.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.S)
    said = command[1].replace("\\\n", " ").replace("mine.py", "").split()
    settings = {word.split("=")[0] for word in said if "=" in word}
    assert settings <= {*SETTINGS, *NAMES}


def test_a_plugged_training_killed_and_taken_up_ends_as_the_unbroken_one_bit_for_bit(run, plugin, tmp_path):
    broken, output = tmp_path / "broken", tmp_path / "said.txt"
    for kill in range(3):
        process = processes.Process(target=run_verb, args=([*words(broken), "--plugin", str(plugin)], output))
        process.start()
        reached = newest(broken) + 2
        wait_for(lambda reached=reached: newest(broken) >= reached)
        time.sleep(0.01 * kill)
        kill_process(process)
    assert newest(broken) < STEPS
    process = processes.Process(target=run_verb, args=([*words(broken), "--plugin", str(plugin)], output))
    process.start()
    process.join(300)
    assert process.exitcode == 0 and "going on after step" in output.read_text(), output.read_text()
    assert_same(broken, run)


def test_objects_from_python_train_as_names_do(run, plugin, tmp_path):
    mine = sys.modules[plugin.stem]
    keras.utils.set_random_seed(0)  # what a run of seed 0 starts from
    objects = {
        "data": {split: mine.Stripes(None, split=split, count=5) for split in ("train", "val")},
        "model": mine.two_layers(channels=3),
        "loss": mine.Focal(1.5),
        "augment": [
            *kseg.preparation.prepared.make_augmentations(kseg.Recipe("a", steps=1).data.augment),
            mine.Noise(3),
        ],
        "measure": mine.BrightRecall(),
    }
    kept = {name: value for name, value in SETTINGS.items() if not name.startswith(("data.count", "model", "loss"))}
    settings = {name: value for name, value in kept.items() if "augment" not in name}
    finished = kseg.train("demo", run=tmp_path / "objects", settings=settings, **objects)
    config = json.loads((tmp_path / "objects" / "config.json").read_text())
    assert set(config["objects"]) == set(objects) and config["recipe"]["model"] == {"name": "given"}
    assert config["objects"]["loss"]["config"] == {"gamma": 1.5}
    assert finished.history["step"] == [4, 8, 12] and finished.report.measures["bright_recall"] >= 0
    # It goes on with the same objects alone, and the shell can't.
    (tmp_path / "objects" / "report.json").unlink()
    shutil.rmtree(tmp_path / "objects" / "checkpoints" / f"step-{STEPS:06d}")
    before = read_checkpoint(max((tmp_path / "objects" / "checkpoints").iterdir()))
    assert before.position.step < STEPS
    with pytest.raises(ConfigError, match=r"begun with another loss: loss.config.gamma was 1.5, now it is 2.0"):
        kseg.train(run=tmp_path / "objects", **{**objects, "loss": mine.Focal()})
    assert "kseg.train(run=" in call("train", "--run", tmp_path / "objects", exit_code=3).stderr
    again = kseg.train(run=tmp_path / "objects", **objects)
    assert again.report.measures == finished.report.measures


def test_a_run_goes_on_only_with_its_plugin_which_nothing_imports_by_itself(run, plugin, tmp_path, monkeypatch):
    for registry in REGISTRIES.values():
        kept = {name: entry for name, entry in registry._entries.items() if registry.origin(name) != str(plugin)}
        monkeypatch.setattr(registry, "_entries", kept)
    said = call("train", "--run", run, exit_code=3).stderr
    assert (
        f"of the plugin {plugin}, which is not loaded. Import it first; on the command line pass --plugin {plugin}"
        in said
    )
    assert "--plugin" in call("evaluate", run, exit_code=3).stderr


def test_it_predicts_evaluates_and_exports_as_built_in_ones_do(run, plugin, tmp_path):
    mine = sys.modules[plugin.stem]
    image = mine.Stripes(None, split="val")[0].image
    write_image(tmp_path / "a.png", image[..., 0])
    mask = kseg.predict(kseg.load(run), image)
    call("predict", run, tmp_path / "a.png", "-o", tmp_path / "out", "--overlay", "--plugin", plugin)
    np.testing.assert_array_equal(read_label(tmp_path / "out" / "a.png"), mask)
    report = json.loads((run / "report.json").read_text())
    scored = json.loads(call("evaluate", run, "--json", "-", "--plugin", plugin).stdout)
    assert scored["confusion"] == report["confusion"]
    assert scored["measures"]["bright_recall"] == report["measures"]["bright_recall"]  # what it was chosen by
    bundle = call("export", run, "-o", tmp_path / "models", "--plugin", plugin).stdout.strip()
    np.testing.assert_array_equal(kseg.predict(kseg.load(bundle), image), mask)


def test_a_plugin_that_is_not_there_or_fails_is_named(tmp_path):
    (tmp_path / "broken_plugin.py").write_text("import nothing_of_that_name\n")
    said = call("data", "list", "--plugin", tmp_path / "broken_plugin.py", exit_code=3).stderr
    assert "broken_plugin.py: this plugin can't be imported (ModuleNotFoundError" in said
    assert "there is no such file" in call("data", "list", "--plugin", tmp_path / "no.py", exit_code=3).stderr
    (tmp_path / "taking_plugin.py").write_text(
        "from kseg.datasets import DATASETS\n@DATASETS.register('camvid')\nclass Mine: ...\n"
    )
    said = call("data", "list", "--plugin", tmp_path / "taking_plugin.py", exit_code=3).stderr
    assert "The data set 'camvid' is registered already" in said


def test_names_list_what_plugins_brought(plugin):
    assert "stripes" in call("data", "list", "--plugin", plugin).stdout
    assert "two-layers" in call("models", "list", "--plugin", plugin).stdout
    assert "bright_recall" in MEASURES.names() and importlib.import_module(plugin.stem).Stripes
