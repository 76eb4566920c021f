"""The verbs as a person types them, from a first training to a bundle."""

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tifffile
from command import call, processes, run_verb
from PIL import Image

import kseg
from kseg.folders import PRESETS, presets
from kseg.inference import predict_scores, probabilities
from kseg.recipes import RECIPES
from kseg.reports import Report
from kseg.runs import trainer

SMALL = ["--set", "model.width=4", "--set", "model.depth=1", "--crop", "48,48", "--batch-size", "2"]
SMALL += ["--precision", "float32"]  # whatever this device is quickest in


def write_folder(folder: Path, *, count: int = 5, size: tuple[int, int] = (60, 70), kind=np.uint8) -> Path:
    """Bright squares on dark ground: images and labels 0, 1, in the layout of `folder`."""
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        label = np.zeros(size, np.uint8)
        row, column = rng.integers(0, 30, 2)
        label[row : row + 25, column : column + 25] = 1
        image = (label * 150 + 50).astype(kind) * (np.iinfo(kind).max // 255)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(label).save(folder / "labels" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "demo"
    result = call("train", *SMALL, "--steps", 30, "--set", "epoch_steps=20", "--run", folder)
    assert f"kseg export {folder}" in result.stderr and "mean IU" in result.stdout
    return folder


@pytest.fixture
def image(tmp_path) -> Path:
    pixels = kseg.datasets.open("demo", split="val")[0].image[:101, :87, 0]
    Image.fromarray(pixels).save(tmp_path / "cells.png")
    return tmp_path / "cells.png"


def test_a_run_folder_holds_what_is_promised(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "config.json", "model.keras", "last.keras", "checkpoints", "metrics.csv", "metrics.jsonl", "curves.png",
        "samples", "tensorboard", "report.json", "report.html", "MODEL_CARD.md",
    }  # fmt: skip
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "20"), ("2", "30")]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["val_mean_iu"] for line in lines] == [float(row["val_mean_iu"]) for row in rows]
    with Image.open(run / "samples" / "cells_00.png") as picture:
        assert picture.size == (4 * 2 * 192 + 12, 2 * 192 + 22 + 26)  # twice as large as it is, and its legend
    assert list((run / "tensorboard").rglob("events.out*"))
    config = json.loads((run / "config.json").read_text())
    assert config["recipe"]["model"]["width"] == 4 and config["classes"] == ["background", "cell"]
    assert set(config["fingerprint"]) == {"train", "val"} and config["versions"]["keras"] == keras.__version__


def test_the_best_network_by_mean_iu_was_kept_and_reported(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    report = json.loads((run / "report.json").read_text())
    assert report["mean_iu"] == pytest.approx(max(row["val_mean_iu"] for row in rows))
    assert report["split"] == "val" and set(report["per_class"]) == {"background", "cell"}
    assert 0 <= report["measures"]["seg"] <= 1 and report["precision"] == "float32"


def test_the_same_seed_trains_the_same_network(run, tmp_path):
    call("train", *SMALL, "--steps", 30, "--set", "epoch_steps=20", "--run", tmp_path / "again")
    first, again = (kseg.load(folder / "last.keras").get_weights() for folder in (run, tmp_path / "again"))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_evaluate_repeats_the_report(run, tmp_path):
    printed = json.loads(call("evaluate", run, "--json", "-").stdout)
    report = json.loads((run / "report.json").read_text())
    assert printed == {key: report[key] for key in printed}
    assert "tile: height 15 does not fit" in call("evaluate", run, "--tile", 15, exit_code=3).stderr
    text = call("evaluate", run, "--split", "train", "--json", tmp_path / "train.json").stdout
    assert "demo train: mean IU" in text and "worst of 24 images" in text
    assert json.loads((tmp_path / "train.json").read_text())["split"] == "train"


def test_predict_writes_ids_probabilities_instances_and_overlay(run, image, tmp_path):
    call("predict", run, "-i", image, "-o", tmp_path / "out", "--probabilities", "--instances", "--overlay")
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "cells.png", "cells_probabilities.tif", "cells_instances.tif", "cells_overlay.png",
    }  # fmt: skip
    scores = predict_scores(kseg.load(run), kseg.images.read_image(image))
    ids = kseg.images.read_label(out / "cells.png")
    np.testing.assert_array_equal(ids, scores.argmax(-1))
    shares = tifffile.imread(out / "cells_probabilities.tif")
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, probabilities(scores)[..., 1], atol=1e-6)
    objects = tifffile.imread(out / "cells_instances.tif")
    assert objects.dtype == np.uint16
    np.testing.assert_array_equal(objects, kseg.objects(kseg.load(run), kseg.images.read_image(image)))
    assert not objects[ids == 0].any() or kseg.layers.readings_of(kseg.load(run))[""].fill_holes
    assert kseg.images.read_image(out / "cells_overlay.png").shape == (101, 87, 3)


def test_what_counts_as_an_object_is_refused_where_no_objects_are_asked_for(run, image, tmp_path):
    said = call("predict", run, image, "-o", tmp_path / "out", "--no-separate", exit_code=2).stderr
    assert "--separate says what counts as an object. Ask for objects: --instances or --table." in said
    said = call("predict", run, image, "-o", tmp_path / "out", "--table", "--min-size", -2, exit_code=3).stderr
    assert "min_size is -2, but must be a whole number of pixels, at least 0." in said


def test_predict_turns_a_stack_into_a_stack_and_a_folder_into_files(run, image, tmp_path):
    page = kseg.images.read_image(image)[..., 0]
    stack = np.stack([page, page[::-1], page[:, ::-1]])
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "stack.tif", stack, photometric="minisblack")
    Image.fromarray(page).save(tmp_path / "in" / "single.png")
    call("predict", run, tmp_path / "in", "-o", tmp_path / "out", "--probabilities", "--instances", "--overlay")
    ids = tifffile.imread(tmp_path / "out" / "stack.tif")
    assert ids.shape == stack.shape and ids.dtype == np.uint8
    for found, given in zip(ids, stack, strict=True):
        np.testing.assert_array_equal(found, kseg.predict(kseg.load(run), given))
    assert tifffile.imread(tmp_path / "out" / "stack_probabilities.tif").shape == stack.shape
    assert tifffile.imread(tmp_path / "out" / "stack_instances.tif").shape == stack.shape
    assert (tmp_path / "out" / "stack_overlay.png").is_file()
    np.testing.assert_array_equal(kseg.images.read_label(tmp_path / "out" / "single.png"), ids[0])


def test_a_bundle_predicts_and_scores_as_the_run_does(run, image, tmp_path):
    bundle = call("export", run, "-o", tmp_path / "models").stdout.strip()
    assert bundle == str(tmp_path / "models" / "demo" / "1")
    for number, model in enumerate((run, run / "model.keras", bundle, tmp_path / "models" / "demo")):
        call("predict", model, image, "-o", tmp_path / str(number))
        np.testing.assert_array_equal(
            kseg.images.read_label(tmp_path / str(number) / "cells.png"),
            kseg.images.read_label(tmp_path / "0" / "cells.png"),
        )
    scored = json.loads(call("evaluate", bundle, "--dataset", "demo", "--json", "-").stdout)
    assert scored["mean_iu"] is not None
    facts = json.loads((Path(bundle) / "assets.extra" / "kseg.json").read_text())
    assert facts["class_names"] == ["background", "cell"] and facts["dtype"] == "uint8"
    assert "this is a bundle already" in call("export", bundle, exit_code=3).stderr


def test_a_bundle_is_named_after_its_run_and_a_later_version_is_announced(run, tmp_path, monkeypatch):
    other = tmp_path / "runs" / "other"
    shutil.copytree(run, other)
    models = tmp_path / "models"
    for number, (model, name) in enumerate(((run, "demo"), (other, "other"), (other / "model.keras", "other"))):
        precision = ("float32", "mixed_bfloat16", "float32")[number]
        said = call("export", model, "-o", models, *(["--precision", precision] if number else []))
        bundle = models / name / str(max(1, number))
        assert said.stdout.strip() == str(bundle)
        assert ("other held version 1. TensorFlow Serving will now serve" in said.stderr) == (number == 2)
        facts = json.loads((bundle / "assets.extra" / "kseg.json").read_text())
        assert facts["class_names"] == ["background", "cell"] and facts["precision"] == precision
    monkeypatch.chdir(other)
    assert call("export", ".", "-o", models).stdout.strip() == str(models / "other" / "3")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_folder_of_ones_own_trains_with_any_network(kind, tmp_path):
    data = write_folder(tmp_path / "mine", kind=kind)
    words = ["--dataset", "folder", "--data-dir", data, "--run", tmp_path / "run", "--epochs", 2]
    valid = ["--set", "model.padding=valid", "--set", "model.normalization=none", "--set", "data.crop=52,52"]
    call("train", *words, *SMALL, *valid, "--set", "optimizer.name=sgd", "--set", "loss.dice=0.5")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["recipe"]["name"] == "own-unet"
    assert kseg.load(tmp_path / "run").get_layer("scaling").scaling.scale == pytest.approx(1 / np.iinfo(kind).max)
    call("predict", tmp_path / "run", data / "images", "-o", tmp_path / "out", "--tile", 52)
    assert len(list((tmp_path / "out").iterdir())) == 5
    call("export", tmp_path / "run", "-o", tmp_path / "models", "--name", "mine", "--version", 7)
    facts = json.loads((tmp_path / "models" / "mine" / "7" / "assets.extra" / "kseg.json").read_text())
    assert facts["dtype"] == np.dtype(kind).name


def test_a_dark_set_is_pointed_at_its_white(tmp_path):
    data = write_folder(tmp_path / "mine", kind=np.uint16)
    for path in (data / "images").iterdir():
        Image.fromarray(kseg.images.read_image(path)[..., 0] // 16).save(path)
    words = ["--dataset", "folder", "--data-dir", data, "--run", tmp_path / "run", "--steps", 1]
    assert "plan, images: white is 4095: no level is above" in call("train", *words, *SMALL).stderr
    words[words.index("--run") + 1] = tmp_path / "unplanned"
    assert "pass --set data.white=4095" in call("train", *words, *SMALL, "--set", "plan=false").stderr


def test_a_run_of_another_configuration_is_refused_and_its_fields_are_named(run):
    before = (run / "model.keras").read_bytes()
    words = ["train", *SMALL, "--steps", 40, "--set", "epoch_steps=20", "--run", run]
    said = call(*words, "--set", "optimizer.learning_rate=1", exit_code=3).stderr
    assert "  optimizer.learning_rate: 0.003 in this run, 1.0 asked for" in said
    assert "  steps: 30 in this run, 40 asked for" in said and "seed:" not in said
    assert "exists already" in call("train", *SMALL, "--run", run, "--resume", "never", exit_code=3).stderr
    assert (run / "model.keras").read_bytes() == before


def test_runs_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "demo-1").mkdir(parents=True)
    assert "runs/demo-2" in call("train", *SMALL, "--steps", 1).stderr


def test_a_dry_run_says_what_a_training_takes_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = call("train", *SMALL, "--steps", 10, "--dry-run").stdout
    assert "demo: unet, 1,746 parameters, float32" in said and " for 10 steps" in said
    assert not list(tmp_path.iterdir())


def damage(data: Path, how: str) -> str:
    """Breaks one thing in a folder of images; returns the words that the message must hold."""
    image, label = data / "images" / "3.png", data / "labels" / "3.png"
    if how == "missing image":
        image.unlink()
        return "labels/3.png"
    if how == "empty image":
        image.write_bytes(b"")
        return "3.png: the file is empty"
    if how == "truncated image":
        image.write_bytes(image.read_bytes()[:-30])
        return "3.png: the image is truncated or damaged"
    if how == "no image":
        image.write_text("hello")
        return "3.png: this is no image that can be read"
    if how == "other size":
        Image.fromarray(np.zeros((60, 71), np.uint8)).save(image)
        return "3.png: the image is 60 x 71, the label 60 x 70"
    if how == "stray label":
        pixels = np.zeros((60, 70), np.uint8)
        pixels[14, 20:23] = 5
        Image.fromarray(pixels).save(label)
        return "3.png: label 5 at row 14, column 20 (3 pixels, 0.1%), but there are 2 classes."
    if how == "transparent image":
        Image.fromarray(np.zeros((60, 70, 4), np.uint8)).save(image)
        return "3.png: an image with an alpha channel"
    if how == "mixed depth":
        Image.fromarray(np.zeros((60, 70), np.uint16)).save(image)
        return "images of different depth"
    raise AssertionError(how)


@pytest.mark.parametrize(
    "how",
    [
        "missing image",
        "empty image",
        "truncated image",
        "no image",
        "other size",
        "stray label",
        "transparent image",
        "mixed depth",
    ],
)
def test_bad_data_ends_in_one_paragraph_before_anything_is_written(how, tmp_path):
    data = write_folder(tmp_path / "mine")
    words = damage(data, how)
    result = call(
        "train",
        "--dataset",
        "folder",
        "--data-dir",
        data,
        "--set",
        "data.classes=2",
        "--run",
        tmp_path / "run",
        exit_code=3,
    )
    assert words in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--recipe", "demoo"], "There is no recipe 'demoo'. Did you mean 'demo'"),
        (["train", "--dataset", "isbi2021"], "There is no data set 'isbi2021'. Did you mean 'isbi2012'"),
        (["train", "--model", "unett"], "There is no network 'unett'. Did you mean 'unet'"),
        (["train", "--dataset", "isbi2012"], "Pass --data-dir ..., a folder that holds train-volume.tif"),
        (["train", "--crop", "100,96"], "height 100 does not fit this network"),
        (["train", "--set", "optimizer.lr=1"], "The optimiser 'adam' takes no option 'optimizer.lr'"),
        (["predict", "nowhere", "-o", "out", "a.png"], "a.png: there is no such file or folder"),
        (["evaluate", "nowhere"], "nowhere: no network here"),
        (["export", "nowhere"], "nowhere: no network here"),
        (["models", "describe", "unet", "--set", "dept=3"], "Did you mean 'depth'"),
        (["models", "describe", "fcn8s", "--set", "backbone=alexnet"], "only vgg16 has skips"),
        (["models", "describe", "unet", "--set", "classes=1"], "Give 2, background and object"),
        (["models", "describe", "unet", "--set", "preprocessing=vggg"], "Did you mean 'vgg'"),
    ],
)
def test_a_wrong_word_ends_in_exit_code_3(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in call(*words, exit_code=3).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [["trian"], ["train", "--stepz", "3"], ["predict", "a", "-o", "b"], ["train", "--set", "a"]]
)
def test_wrong_usage_ends_in_exit_code_2(words):
    call(*words, exit_code=2)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_predict_names_the_file_it_can_not_read_and_writes_nothing(content, run, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    assert (
        f"{tmp_path / 'a.png'}: "
        in call("predict", run, tmp_path / "a.png", "-o", tmp_path / "out", exit_code=3).stderr
    )
    assert not (tmp_path / "out").exists()


def test_traceback_is_shown_on_demand(tmp_path):
    code, said = in_a_process(tmp_path / "said.txt", "train", "--recipe", "demoo", "--traceback")
    assert code == 3
    assert "Traceback" in said and said.rstrip().splitlines()[-1].startswith("error: There is no recipe")


def in_a_process(output: Path, *words, **limits) -> tuple[int, str]:
    """The exit code of the command in a process of its own, and what it said."""
    process = processes.Process(target=run_verb, args=([str(word) for word in words], output), kwargs=limits)
    process.start()
    process.join(600)
    return process.exitcode, output.read_text()


def on_a_full_disk(output: Path, *words) -> None:
    """Runs the command where no file may grow beyond 30 kB; the operating system refuses as a full disk does."""
    code, said = in_a_process(output, *words, largest_file=30_000)
    assert code == 5, said
    assert re.search(r"can't be written \(.*File too large\)", said) and "Traceback" not in said


def test_a_full_disk_leaves_nothing_half_written(run, tmp_path):
    on_a_full_disk(tmp_path / "1.txt", "train", "--run", tmp_path / "run", "--steps", 1, *SMALL)
    assert not list((tmp_path / "run").glob("*.keras")) and not list((tmp_path / "run").glob(".kseg-*"))
    on_a_full_disk(tmp_path / "2.txt", "export", run, "-o", tmp_path / "models")
    assert not [path for path in (tmp_path / "models").rglob("*") if path.is_file() or path.name == "1"]
    noise = np.random.default_rng(0).integers(0, 255, (300, 300)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    on_a_full_disk(
        tmp_path / "3.txt", "predict", run, tmp_path / "noise.png", "-o", tmp_path / "out", "--probabilities"
    )
    assert not list((tmp_path / "out").iterdir())


def test_lists_and_descriptions_are_printed(tmp_path):
    assert "unet" in call("models", "list").stdout and "own-unet" in call("models", "list").stdout
    described = call("models", "describe", "unet").stdout
    assert "parameters  31,030,658" in described and "188, 204, 220, ... in steps of 16" in described
    slim = ["--set", "width=0.02", "--set", "fc_width=4"]
    described = {
        name: call("models", "describe", "fcn8s", *slim, "--set", f"preprocessing={name}").stdout
        for name in ("own", "vgg", "none")
    }
    assert len(set(described.values())) == 1 and "reading 404" in described["vgg"]  # constants are no parameters
    assert {"demo", "folder", "isbi2012"} <= {line.split()[0] for line in call("data", "list").stdout.splitlines()}


def test_the_demo_is_written_and_shown(tmp_path):
    call("data", "demo", tmp_path / "demo")
    assert len(list((tmp_path / "demo" / "train" / "images").iterdir())) == 24
    assert "exists already" in call("data", "demo", tmp_path / "demo", exit_code=3).stderr
    words = ["--dataset", "folder", "--data-dir", tmp_path / "demo", "--split", "val", "--set", "data.instances=true"]
    shown = call("data", "show", *words, "-o", tmp_path / "a.png")
    assert "8 images, uint8, 1 channel;" in shown.stdout
    assert kseg.images.read_image(tmp_path / "a.png").shape[2] == 3


def test_ci_runs_the_readmes_test_command():
    root = Path(__file__).parents[2]
    commands = [line for line in (root / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2 and all(command.startswith(commands[0].split(" -q ")[0]) for command in commands)
    assert commands[0].endswith('head -n 1)"') and commands[1].endswith("-m pytest")
    assert "grep '^python3 -m venv.*pytest$' README.md" in (root / ".ci" / "run").read_text()


def test_help_and_import_need_no_tensorflow():
    code = (
        "import sys, kseg, kseg.datasets, kseg.metrics, kseg.pictures\n"
        "from click.testing import CliRunner\n"
        "from kseg.cli import main\n"
        "for words in ([], ['train'], ['data', 'show'], ['models', 'describe']):\n"
        "    assert CliRunner().invoke(main, [*words, '--help']).exit_code == 0\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
        "assert sorted(dir(kseg)) == sorted(kseg.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_resolves():
    for name in kseg.__all__:
        assert getattr(kseg, name) is not None
    with pytest.raises(AttributeError):
        kseg.nothing  # noqa: B018


def test_the_isbi_stack_trains_predicts_and_exports(shared, tmp_path):
    data = tmp_path / "isbi2012"
    data.mkdir()
    for name in ("train-volume.tif", "train-labels.tif"):
        corner = tifffile.imread(shared / "data" / "isbi2012" / name)[:, :128, :128]
        tifffile.imwrite(data / name, corner, photometric="minisblack", metadata=None)
    words = ["--recipe", "isbi2012-unet", "--data-dir", data, "--steps", 2, "--set", "epoch_steps=2", *SMALL]
    assert "isbi2012 test: mean IU" in call("train", *words, "--run", tmp_path / "run").stdout
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert set(report["thresholds"]) == {"v_rand", "v_info", "rand_error", "warping_error", "pixel_error"}
    assert 0 < report["measures"]["v_rand"] < 1 and "val_v_rand" in (tmp_path / "run" / "metrics.csv").read_text()
    assert report["split"] == "test" and [image["id"] for image in report["per_image"]] == [
        f"slice_{n}" for n in range(24, 30)
    ]
    call("predict", tmp_path / "run", data / "train-volume.tif", "-o", tmp_path / "out", "--probabilities")
    assert tifffile.imread(tmp_path / "out" / "train-volume.tif").shape == (30, 128, 128)
    call("export", tmp_path / "run", "-o", tmp_path / "models")


def test_a_measure_that_the_data_do_not_have_is_refused(tmp_path):
    words = ["--dataset", "folder", "--data-dir", write_folder(tmp_path / "mine"), "--run", tmp_path / "run"]
    assert (
        "measure is seg, but folder has no numbered objects"
        in call("train", *words, "--set", "measure=seg", exit_code=3).stderr
    )


def test_the_best_network_is_chosen_by_the_recipes_measure(tmp_path):
    call("train", *SMALL, "--steps", 40, "--set", "epoch_steps=10", "--set", "measure=seg", "--run", tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    # What counts as an object, and the threshold, are chosen on val at the end.
    assert report["measures"]["seg"] >= max(row["val_seg"] for row in rows) and report["object_rules"]


def test_a_fault_in_the_test_split_is_said_before_training(tmp_path):
    for split in ("train", "val", "test"):
        write_folder(tmp_path / "mine" / split, kind=np.uint16 if split == "test" else np.uint8)
    words = ["train", "--dataset", "folder", "--data-dir", tmp_path / "mine", "--run", tmp_path / "run"]
    assert "test has images of uint16, train of uint8" in call(*words, exit_code=3).stderr
    (tmp_path / "mine" / "test" / "images" / "2.png").write_bytes(b"hello")
    assert "2.png: this is no image" in call(*words, exit_code=3).stderr
    assert not (tmp_path / "run").exists()


def test_an_average_is_named_in_the_report_and_taken_from_the_recipe(run, image, tmp_path):
    averages = {}
    for average in ("none", "rotations", "symmetries"):
        averages[average] = json.loads(call("evaluate", run, "--average", average, "--json", "-").stdout)
        assert averages[average]["average"] == average
    assert len({report["mean_iu"] for report in averages.values()}) > 1
    assert "mean over 8 symmetries" in averages["symmetries"]["protocol"]
    call("train", *SMALL, "--steps", 1, "--set", "average=symmetries", "--run", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "report.json").read_text())["average"] == "symmetries"
    assert json.loads(call("evaluate", tmp_path / "run", "--json", "-").stdout)["average"] == "symmetries"
    call("predict", run, image, "-o", tmp_path / "out", "--average", "symmetries")
    ids = kseg.predict(kseg.load(run), kseg.images.read_image(image), average="symmetries")
    np.testing.assert_array_equal(kseg.images.read_label(tmp_path / "out" / "cells.png"), ids)


def test_published_scores_are_named_at_the_end_of_a_training(tmp_path, monkeypatch):
    images = ({"id": "a", "mean_iu": 1.0, "pixel_accuracy": 1.0},)
    for split, line in (("val", "published: mean IU 0.655 (README of the release"), ("train", None)):
        report = Report("voc-fcn", split, ("sky", "sea"), np.eye(2, dtype=np.int64), images)
        finished = trainer.Run(tmp_path, report, RECIPES.get("voc-fcn8s")())
        monkeypatch.setattr(trainer, "train", lambda *_, finished=finished, **__: finished)
        shown = call("train").stdout
        assert (line or "voc-fcn train") in shown and ("published" in shown) == bool(line)


def test_the_preset_predicts_without_training_and_scores_as_its_card_says(shared, tmp_path):
    volume = shared / "data" / "isbi2012" / "train-volume.tif"
    tifffile.imwrite(tmp_path / "stack.tif", tifffile.imread(volume)[24:26, :150, :160], photometric="minisblack")
    call("predict", "isbi2012-unet", tmp_path / "stack.tif", "-o", tmp_path / "out")
    assert tifffile.imread(tmp_path / "out" / "stack.tif").shape == (2, 150, 160)
    words = ["evaluate", "isbi2012-unet", "--data-dir", volume.parent, "--split", "test", "--json", "-"]
    report = json.loads(call(*words).stdout)
    assert report["average"] == "rotations"
    found = {name: report["measures"][name] for name in ("v_rand", "v_info", "pixel_error")}
    assert found == pytest.approx({"v_rand": 0.979, "v_info": 0.983, "pixel_error": 0.046}, abs=1e-3)


def test_the_preset_of_nuclei_numbers_them_and_scores_as_its_card_says(shared, tmp_path):
    part = shared / "data" / "dsb2018" / "val"
    image = next(part.glob("images/*.png"))
    call("predict", "nuclei-unet", image, "-o", tmp_path, "--instances")
    assert tifffile.imread(tmp_path / f"{image.stem}_instances.tif").max() > 5
    words = ["evaluate", "nuclei-unet", "--dataset", "folder", "--data-dir", part.parent, "--split", "val"]
    measures = json.loads(call(*words, "--set", "data.instances=true", "--json", "-").stdout)["measures"]
    found = {name: measures[name] for name in ("object_f1", "seg", "count_error")}
    assert found == pytest.approx({"object_f1": 0.915, "seg": 0.802, "count_error": 0.061}, abs=3e-3)


def test_presets_are_named_where_networks_are_and_are_small(tmp_path):
    listed = call("models", "list").stdout.partition("presets")[2]
    for name in presets():
        assert name in listed and "## Terms" in (PRESETS / name / "MODEL_CARD.md").read_text()
        assert sum(file.stat().st_size for file in (PRESETS / name).iterdir()) < 10e6
    assert "a preset (isbi2012-unet, nuclei-unet)" in call("evaluate", tmp_path / "nowhere", exit_code=3).stderr
    assert kseg.load("isbi2012-unet").count_params() == 1_945_250


def test_a_run_whose_network_was_removed_says_what_is_left_and_writes_it_again(run, image, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "model.keras").unlink()
    for words in (["evaluate", folder], ["predict", folder, image, "-o", tmp_path / "out"], ["export", folder]):
        said = call(*words, exit_code=3).stderr
        assert f"{folder}: a run folder without its network, model.keras" in said
        assert f"Training with --run {folder} goes on from the newest checkpoint" in said
        assert f"{folder / 'last.keras'} is the network" in said
    call("train", "--run", folder)
    for one, other in zip(kseg.load(folder).get_weights(), kseg.load(run).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    shutil.rmtree(folder / "checkpoints")
    for name in ("model.keras", "last.keras"):
        (folder / name).unlink()
    assert "Neither checkpoints nor last.keras" in call("train", "--run", folder, exit_code=3).stderr


@pytest.mark.skipif(importlib.util.find_spec("jax") is not None, reason="JAX is installed")
def test_a_backend_that_is_not_installed_is_told_in_words():
    command = [sys.executable, "-c", "from kseg.cli import main; main()", "models", "list"]
    result = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True)
    assert result.returncode == 5 and "KERAS_BACKEND is jax, which is not installed" in result.stderr
    assert "Traceback" not in result.stderr
