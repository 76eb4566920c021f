"""One network, one answer: the same mask through every door, by the command line and in Python."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from command import call

import kseg
from kseg.errors import ConfigError
from kseg.images import read_label, write_image
from kseg.inference import precision_of, predict_scores, predictor
from kseg.inference.in_training import save_network
from kseg.layers import ScoreReading, readings_of, with_reading

DEMO = [
    "--set", "model.width=4", "--set", "model.depth=1", "--crop", "32,32", "--steps", 12, "--set", "epoch_steps=6",
    "--set", "average=rotations",
]  # fmt: skip


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Grey, of no size that any average leaves whole."""
    return kseg.datasets.open("demo", split="val")[0].image[:60, :74]


def front_doors(model: Path | str, image: np.ndarray, folder: Path, **average: str) -> dict[str, np.ndarray]:
    """What the verb answers of a network and of its bundle, and Python."""
    write_image(folder / "image.png", image if image.shape[2] == 3 else image[..., 0])
    words = [word for name, value in average.items() for word in (f"--{name}", value)]
    bundle = call("export", model, "-o", folder / "models", *words).stdout.strip()
    call("predict", model, folder / "image.png", "-o", folder / "out", *words)
    call("predict", bundle, folder / "image.png", "-o", folder / "bundle", *words)
    return {
        "kseg predict": read_label(folder / "out" / "image.png"),
        "kseg predict BUNDLE": read_label(folder / "bundle" / "image.png"),
        "kseg.predict": kseg.predict(kseg.load(model), image, **average),
    }


def masks(model: Path | str, image: np.ndarray, folder: Path, **average: str) -> dict[str, np.ndarray]:
    """What each door answers, by its name."""
    front, network = front_doors(model, image, folder, **average), kseg.load(model)
    (bundle,) = (folder / "models").glob("*/1")
    serving = keras.layers.TFSMLayer(str(bundle), call_endpoint="serving_default")
    save_network(network, folder / "copy.keras")
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    return front | {
        "kseg.predict of a predictor": kseg.predict(kseg.predictor(network), image, **average),
        "kseg.predict of a bundle": kseg.predict(kseg.load(bundle), image, **average),
        "kseg.predict of a saved copy": kseg.predict(kseg.load(folder / "copy.keras"), image, **average),
        "kseg.predict of a clone": kseg.predict(clone, image, **average),
        "the bundle's mask": np.asarray(serving(image[None])["mask"])[0],
    }


def assert_same(found: dict[str, np.ndarray]) -> np.ndarray:
    first = found.pop("kseg.predict")
    for door, mask in found.items():
        np.testing.assert_array_equal(mask, first, err_msg=door)
    return first


@pytest.fixture(scope="module")
def run(few_cells, tmp_path_factory) -> Path:
    """Trained in bfloat16, which it predicts in on no door unless asked."""
    folder = tmp_path_factory.mktemp("runs") / "cells"
    call("train", *DEMO, "--data-dir", few_cells, "--dataset", "demo", "--precision", "mixed_bfloat16", "--run", folder)
    return folder


def test_a_run_its_file_and_its_bundle_answer_alike_and_average_as_the_recipe_says(run, image, tmp_path):
    whole = assert_same(masks(run, image, tmp_path / "run"))
    np.testing.assert_array_equal(assert_same(masks(run / "model.keras", image, tmp_path / "file")), whole)
    network = kseg.load(run)
    (reading,) = readings_of(network).values()
    assert (reading.classes, reading.average, reading.threshold) == (("background", "cell"), "rotations", None)
    np.testing.assert_array_equal(kseg.predict(network, image, average="rotations"), whole)
    assert_holds(tmp_path / "run" / "models" / "cells" / "1", network, image, "rotations")
    single = assert_same(masks(run, image, tmp_path / "none", average="none"))
    assert (single != whole).any()


def assert_holds(bundle: Path, network: keras.Model, image: np.ndarray, average: str) -> None:
    """The bundle has that average in its graph, and takes no other."""
    expected = predict_scores(network, image, average=average)
    loaded = kseg.load(bundle)
    found = predict_scores(loaded, image)
    # The same sums of float32 in another order: 1e-5 of the largest score.
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    other = "mirror" if average != "mirror" else "none"
    if average != "none":
        with pytest.raises(ConfigError, match=f"holds another one in its graph \\({average}\\)"):
            kseg.predict(loaded, image, average=other)


@pytest.mark.parametrize("average", ["none", "mirror", "symmetries"])  # rotations are the run's own, above
def test_a_bundle_holds_each_average_to_rounding(run, image, tmp_path, average):
    network = kseg.load(run)
    assert_holds(kseg.export(network, tmp_path, name=average, average=average), network, image, average)


def test_a_preset_answers_alike(tmp_path):
    rows, columns = np.mgrid[:90, :102]
    image = (120 + 100 * np.sin(rows / 9) * np.cos(columns / 7)).astype(np.uint8)[..., None]
    mask = assert_same(masks("isbi2012-unet", image, tmp_path / "rotations"))
    single = assert_same(front_doors("isbi2012-unet", image, tmp_path / "none", average="none"))
    assert (mask != single).any()
    assert readings_of(kseg.load("isbi2012-unet"))[""].average == "rotations" and len(np.unique(mask)) == 2


def test_a_report_and_evaluate_score_the_mask_that_predict_gives(run, few_cells):
    data = kseg.datasets.open("demo", few_cells, split="val")
    report = json.loads((run / "report.json").read_text())
    assert (report["average"], report["precision"]) == ("rotations", "float32")
    scored = json.loads(call("evaluate", run, "--json", "-").stdout)
    python = kseg.evaluate(kseg.load(run), data)
    matrix = sum(
        kseg.metrics.confusion_matrix(item.label, kseg.predict(kseg.load(run), item.image), 2)
        for item in (data[index] for index in range(2))
    )
    assert scored["confusion"] == report["confusion"] == python.confusion.tolist()
    first = kseg.evaluate(kseg.load(run), data[:2])
    np.testing.assert_array_equal(first.confusion, matrix)


def test_precision_is_float32_unless_asked_whatever_it_was_trained_in(run, image, tmp_path):
    network = kseg.load(run)
    assert precision_of(network) == "mixed_bfloat16" and precision_of(kseg.load(run, precision="float32")) == "float32"
    wide = predict_scores(network, image, average="none")
    np.testing.assert_array_equal(wide, predict_scores(kseg.load(run, precision="float32"), image, average="none"))
    narrow = predict_scores(network, image, average="none", precision="mixed_bfloat16")
    # bfloat16 has 8 bits: scores of this small network are off by a hundredth, not by nothing.
    assert 1e-4 < np.abs(narrow - wide).max() < 0.1 * np.abs(wide).max()
    np.testing.assert_array_equal(
        narrow,
        predict_scores(kseg.load(run, precision="mixed_bfloat16"), image, average="none", precision="mixed_bfloat16"),
    )
    assert precision_of(network) == "mixed_bfloat16"  # as it was
    for precision in ("float32", "mixed_bfloat16"):
        bundle = kseg.load(kseg.export(network, tmp_path, name=precision, precision=precision, average="none"))
        expected = predict_scores(network, image, average="none", precision=precision)
        assert bundle.precision == precision
        bound = {"float32": 1e-5, "mixed_bfloat16": 2**-7}[precision] * np.abs(expected).max()
        assert np.abs(predict_scores(bundle, image) - expected).max() <= bound
    with pytest.raises(ConfigError, match="computes in mixed_bfloat16"):
        predictor(bundle, precision="mixed_float16")
    said = call("predict", run, "-o", tmp_path / "out", "--precision", "half", tmp_path, exit_code=2).stderr
    assert "'float32', 'mixed_float16', 'mixed_bfloat16'" in said


def test_names_colours_and_a_threshold_go_through_every_door(image, tmp_path):
    keras.utils.set_random_seed(0)
    plain = kseg.build("unet", width=4, depth=1, padding="same")
    low = ScoreReading(("ground", "cell"), ((1, 2, 3), (250, 200, 10)), average="mirror", threshold=0.3)
    high = dataclasses.replace(low, threshold=0.7)
    found = {}
    for name, reading in (("low", low), ("high", high)):
        network = with_reading(plain, reading)
        save_network(network, tmp_path / f"{name}.keras")
        found[name] = assert_same(masks(tmp_path / f"{name}.keras", image, tmp_path / name))
        assert readings_of(kseg.load(tmp_path / f"{name}.keras")) == {"": reading}
        assert kseg.load(tmp_path / name / "models" / name).readings == {"": reading}
    scores = predict_scores(with_reading(plain, low), image)
    shares = np.exp(scores[..., 1]) / np.exp(scores).sum(axis=-1)
    for name, threshold in (("low", 0.3), ("high", 0.7)):
        away = np.abs(shares - threshold) > 1e-5  # at the threshold itself rounding decides
        np.testing.assert_array_equal(found[name][away], (shares > threshold)[away])
    facts = json.loads((tmp_path / "low" / "models" / "low" / "1" / "assets.extra" / "kseg.json").read_text())
    assert facts["readings"][""]["classes"] == ["ground", "cell"] and facts["class_names"] == ["ground", "cell"]


def test_many_classes_are_written_and_drawn_in_their_own_colours_with_their_names(tmp_path):
    keras.utils.set_random_seed(0)
    colours = ((10, 20, 30), (200, 100, 50), (0, 255, 255))
    network = with_reading(
        kseg.build("unet", width=2, depth=1, padding="same", classes=3), ScoreReading(("sky", "tree", "car"), colours)
    )
    save_network(network, tmp_path / "street.keras")
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (40, 300)).astype(np.uint8))
    call("predict", tmp_path / "street.keras", tmp_path / "a.png", "-o", tmp_path / "out", "--overlay")
    from PIL import Image

    with Image.open(tmp_path / "out" / "a.png") as picture:
        assert np.reshape(picture.getpalette()[:9], (3, 3)).tolist() == [list(colour) for colour in colours]
        seen = len(np.unique(np.asarray(picture)))
    with Image.open(tmp_path / "out" / "a_overlay.png") as picture:
        assert picture.width == 300 and picture.height > 40 and seen > 1  # the legend stands below


def test_plain_keras_keeps_a_reading(run, tmp_path):
    save_network(kseg.load(run), tmp_path / "a.keras")
    code = (
        "import sys, keras, kseg.layers\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "model.save(sys.argv[2])\n"
        "print(kseg.layers.readings_of(keras.models.clone_model(model))[''].average)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.keras"), str(tmp_path / "b.keras")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["rotations"]
    assert readings_of(kseg.load(tmp_path / "b.keras")) == readings_of(kseg.load(run))


def test_images_that_have_an_up_are_not_turned(image):
    network = with_reading(kseg.build("unet", width=2, depth=1, padding="same"), ScoreReading(upright=True))
    for average in ("rotations", "symmetries"):
        with pytest.raises(ConfigError, match="have an upper side.*Use average='mirror' or average='none'"):
            kseg.predict(network, image, average=average)
    assert kseg.predict(network, image, average="mirror").shape == image.shape[:2]
    with pytest.raises(ConfigError, match="have an upper side"):
        ScoreReading(average="rotations", upright=True)


class Rooms(kseg.datasets.Dataset):
    """Two streams and two heads."""

    name, classes = "rooms", {"semantic": ("floor", "wall", "lamp"), "geometric": ("flat", "steep")}

    def __init__(self, split):
        self.choose(split, ["train", "val"])
        self.ids = [f"{split}{number}" for number in range(2)]

    def read(self, index):
        rng = np.random.default_rng([index, self.split == "val"])
        label = {"semantic": rng.integers(0, 3, (40, 40)), "geometric": rng.integers(0, 2, (40, 40))}
        images = {name: rng.integers(0, 256, (40, 40, 3)).astype(np.uint8) for name in ("rgb", "hha")}
        return kseg.datasets.Item(self.ids[index], images, {k: v.astype(np.int32) for k, v in label.items()})


def test_two_streams_and_two_heads_go_through_every_door(tmp_path):
    data = {split: Rooms(split) for split in ("train", "val")}
    settings = {
        "model.name": "fcn32s", "model.width": 1 / 64, "model.fc_width": 2, "model.streams": ("rgb", "hha"),
        "data.crop": "40,40", "data.batch_size": 1, "steps": 2, "data.augment.mirror": "none", "average": "mirror",
        "precision": "float32", "optimizer.name": "sgd",
    }  # fmt: skip
    kseg.train("own-unet", data=data, run=tmp_path / "run", settings=settings)
    network, images = kseg.load(tmp_path / "run"), data["val"][0].images
    assert readings_of(network)["geometric"] == ScoreReading(("flat", "steep"), average="mirror")
    expected = kseg.predict(network, images)
    for name, image in images.items():
        write_image(tmp_path / name / "room.png", image)
    streams = [word for name in images for word in ("--stream", f"{name}={tmp_path / name}")]
    bundle = call("export", tmp_path / "run", "-o", tmp_path / "models").stdout.strip()
    for number, model in enumerate((tmp_path / "run", bundle)):
        call("predict", model, *streams, "-o", tmp_path / str(number), "--overlay")
        for head, mask in expected.items():
            np.testing.assert_array_equal(read_label(tmp_path / str(number) / f"room_{head}.png"), mask)
    said = call("predict", bundle, *streams[:2], "-o", tmp_path / "out", exit_code=3).stderr
    assert "takes rgb and hha, found rgb. Give each of them: --stream rgb=PATH --stream hha=PATH" in said
    write_image(tmp_path / "hha" / "other.png", images["hha"])
    said = call("predict", bundle, *streams, "-o", tmp_path / "out", exit_code=3).stderr
    assert "other: not an image of both rgb" in said
    said = call("predict", bundle, tmp_path / "rgb", "-o", tmp_path / "out", exit_code=3).stderr
    assert "takes rgb and hha together" in said
