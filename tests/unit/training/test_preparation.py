import numpy as np
import pytest
import tifffile

import kseg
from kseg.errors import ConfigError
from kseg.images import write_image
from kseg.training import recipes  # noqa: F401
from kseg.training.preparation import prepare
from kseg.training.recipe import RECIPES


def test_the_names_of_a_batch_are_those_of_its_images(tmp_path):
    for number in range(10):
        for name, value in (("images", 20 * number), ("labels", 0)):
            write_image(tmp_path / name / f"{number}.png", np.full((8, 8), value, np.uint8))
    settings = {"data.classes": 2, "data.batch_size": 3, "seed": 5}
    prepared = prepare(RECIPES.get("own-unet")().with_settings(settings), tmp_path)
    stream = kseg.batches(prepared.parts["train"], size=3, seed=5, steps=8)
    for step, (image, _) in enumerate(stream):
        levels = [int(level) for level in image.numpy()[:, 0, 0, 0]]
        assert prepared.batch_names(step) == [str(level // 20) for level in levels]


def test_a_rate_of_0_freezes_the_layers_of_the_network_that_is_built():
    settings = {
        "model.depth": 1,
        "model.width": 2,
        "model.padding": "same",
        "optimizer.rate_factors": ("enc*:0",),
        "data.crop": (16, 16),
        "precision": "float32",
    }
    model = prepare(RECIPES.get("demo")().with_settings(settings), None).network()
    assert not any(each.path.startswith("enc") for each in model.trainable_variables)
    assert len(model.trainable_variables) == len(
        [each for each in model.optimizer.variables if "momentum" in each.path]
    )
    with pytest.raises(ConfigError, match=r"rate_factors: \*:0 gives every weight"):
        prepare(RECIPES.get("demo")().with_settings({**settings, "optimizer.rate_factors": ("*:0",)}), None).network()


def test_images_that_are_trained_on_and_scored_are_counted(tmp_path, capsys):
    label = np.zeros((30, 24, 24), np.uint8)
    label[:, :, 10:] = 255
    for name in ("train-volume.tif", "train-labels.tif"):
        tifffile.imwrite(tmp_path / name, label, photometric="minisblack", metadata=None)
    recipe = RECIPES.get("isbi2012-unet")()
    prepare(recipe, tmp_path)
    assert "trained on too" not in capsys.readouterr().err
    prepare(recipe.with_settings({"data.split": "all"}), tmp_path)
    said = capsys.readouterr().err
    assert "3 of 3 images of val are trained on too" in said and "6 of 6 images of test" in said
    prepare(RECIPES.get("demo")(), None)
    assert "trained on too" not in capsys.readouterr().err


def test_labels_that_seem_to_number_objects_are_warned_of(tmp_path, capsys):
    for number in range(5):
        label = np.arange(8 * (8 + number), dtype=np.uint8).reshape(-1, 8) // 8 + 1
        write_image(tmp_path / "images" / f"{number}.png", np.full((20, 8), number, np.uint8))
        write_image(tmp_path / "labels" / f"{number}.png", np.pad(label, ((0, 12 - number), (0, 0))))
    prepare(RECIPES.get("own-unet")(), tmp_path)
    assert "warning: the labels seem to number their objects" in capsys.readouterr().err
    prepare(RECIPES.get("own-unet")().with_settings({"data.instances": "true"}), tmp_path)
    assert "seem to number" not in capsys.readouterr().err
