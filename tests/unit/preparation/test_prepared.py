import enum
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tifffile

import kseg
from kseg.datasets import DATASETS, Dataset, Item
from kseg.errors import ConfigError
from kseg.images import write_image
from kseg.models import NETWORKS
from kseg.objectives import LOSSES, BatchLoss
from kseg.pipeline import AUGMENTATIONS
from kseg.preparation.introduction import introduce
from kseg.preparation.prepared import make_loss, prepare
from kseg.recipes import RECIPES, Recipe
from kseg.recipes.plugins import check_plugins
from kseg.recipes.specs import LossSpec
from kseg.training.devices import Devices


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


def test_what_looks_wrong_with_the_data_is_said_and_kept_for_the_report(tmp_path, capsys):
    for number in range(10):
        write_image(tmp_path / "images" / f"{number}.png", np.full((8, 8), 900 + number, np.uint16))
        write_image(tmp_path / "labels" / f"{number}.png", np.full((8, 8), number % 2, np.uint8))
    prepared = prepare(RECIPES.get("own-unet")().with_settings({"data.classes": 3}), tmp_path)
    white, pixels = prepared.doubts
    assert (
        "brightest pixel is 907" in white
        and "Else pass white=1023" in white
        and pixels.startswith("no pixel to train on for class 2")
    )
    said = capsys.readouterr().err
    assert f"warning: {white}\n" in said and f"warning: {pixels}\n" in said


def test_a_rate_of_0_freezes_the_layers_of_the_network_that_is_built():
    settings = {
        "model.depth": 1,
        "model.width": 2,
        "model.padding": "same",
        "optimizer.rate_factors": ("enc*:0",),
        "data.crop": (16, 16),
        "precision": "float32",
    }
    model = prepare(RECIPES.get("demo")().with_settings(settings), None).network(Devices.of())
    assert not any(each.path.startswith("enc") for each in model.trainable_variables)
    assert len(model.trainable_variables) == len(
        [each for each in model.optimizer.variables if "momentum" in each.path]
    )
    with pytest.raises(ConfigError, match=r"rate_factors: \*:0 gives every weight"):
        prepare(RECIPES.get("demo")().with_settings({**settings, "optimizer.rate_factors": ("*:0",)}), None).network(
            Devices.of()
        )


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


class OfOnes(Dataset):
    """One class over all, with an option that has no default and one that is called like a setting."""

    name, classes, ids = "ones", ("zero", "one"), ("a", "b")

    def __init__(self, data_dir=None, *, split, need: int, size: int = 8):
        self.choose(split, ["train", "val"])
        self.need, self.size = need, size

    def read(self, index):
        return Item(self.ids[index], np.full((8, 8, 1), 40, np.uint8), np.ones((8, 8), np.int32))


class OfCrops(OfOnes):
    def __init__(self, data_dir=None, *, split, crop: int = 3):
        super().__init__(split=split, need=crop)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(DATASETS, "_entries", {**DATASETS._entries, "ones": OfOnes, "crops": OfCrops})


def test_an_option_that_is_needed_is_asked_for_before_the_data_are_opened(registered):
    recipe = RECIPES.get("own-unet")()
    with pytest.raises(ConfigError, match="The data set 'ones' needs data.need, which has no default"):
        prepare(recipe.with_settings({"data.name": "ones"}), None)
    prepared = prepare(recipe.with_settings({"data.name": "ones", "data.need": "4"}), None)
    assert prepared.parts["train"].need == 4
    with pytest.raises(ConfigError, match="The data set 'ones' needs data.need"):
        kseg.datasets.open("ones", None, split="val")


def test_an_option_called_like_a_setting_of_every_training_is_refused(registered):
    recipe = RECIPES.get("own-unet")().with_settings({"data.name": "crops", "data.crop": "8,8"})
    with pytest.raises(ConfigError, match="'crops' has an option 'crop', but data.crop is a setting of every training"):
        prepare(recipe, None)


def test_a_path_and_a_member_of_an_enum_go_through_json_and_back(monkeypatch):
    class Tint(enum.Enum):
        WARM = 1
        COLD = 2

    def tinted(data_dir, *, split, tint: Tint = Tint.WARM, table: Path | None = None):
        raise NotImplementedError

    tinted.__annotations__ = {"tint": Tint, "table": Path | None}
    monkeypatch.setattr(DATASETS, "_entries", {**DATASETS._entries, "tinted": tinted})
    settings = {"data.name": "tinted", "data.tint": "COLD", "data.table": "a/b.csv"}
    recipe = RECIPES.get("own-unet")().with_settings(settings)
    assert recipe.data.options == {"tint": Tint.COLD, "table": Path("a/b.csv")}
    written = json.loads(json.dumps(recipe.to_json()))
    assert written["data"]["tint"] == "COLD" and Recipe.from_json(written) == recipe


def test_augmentations_with_two_options_that_are_needed_take_them_one_by_one(monkeypatch):
    class Push:
        def __init__(self, down: int, across: int):
            self.by = down, across

        def tone(self, image, rng, white):
            return image

    monkeypatch.setattr(AUGMENTATIONS, "_entries", {**AUGMENTATIONS._entries, "push": Push})
    recipe, one = RECIPES.get("own-unet")(), {"data.augment.push.down": "1"}
    assert recipe.with_settings({**one, "data.augment.push.across": 2}).data.augment.push == {"down": 1, "across": 2}
    with pytest.raises(ConfigError, match="The augmentation 'push' needs data.augment.push.across"):
        recipe.with_settings(one)
    with pytest.raises(ConfigError, match="no augmentation 'pus'. Did you mean 'data.augment.push'"):
        recipe.with_settings({"data.augment.pus": True})


def test_what_a_registered_function_makes_must_be_of_its_kind(monkeypatch):
    def nothing(*arguments, **options):
        pass

    def of_keras():
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    class NoIds(OfOnes):
        ids = property()  # type: ignore[assignment]

    for registry, entries in (
        (DATASETS, {"nothing": nothing, "no-ids": NoIds}), (LOSSES, {"nothing": nothing, "of-keras": of_keras}),
        (NETWORKS, {"nothing": nothing}),
    ):  # fmt: skip
        monkeypatch.setattr(registry, "_entries", {**registry._entries, **entries})
    with pytest.raises(ConfigError, match="The data set 'nothing': found NoneType, but a kseg.datasets.Dataset"):
        kseg.datasets.open("nothing", split="train")
    with pytest.raises(ConfigError, match="NoIds has no ids. Set ids in its __init__"):
        kseg.datasets.open("no-ids", split="train", need=1)
    with pytest.raises(ConfigError, match="The loss 'nothing': found NoneType. Hand over a kseg.objectives.BatchLoss"):
        make_loss(LossSpec("nothing"))
    with pytest.raises(ConfigError, match="The network 'nothing': its function returned NoneType"):
        kseg.build("nothing")
    assert isinstance(make_loss(LossSpec("of-keras")), BatchLoss)


def test_a_network_of_a_plugin_that_could_not_be_loaded_again_is_refused(monkeypatch):
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2

    def twice(classes, input_shape):
        image = keras.Input(input_shape)
        return keras.Model(image, keras.layers.Conv2D(classes, 1)(Twice(name="double")(image)))

    monkeypatch.setattr(NETWORKS, "_entries", {**NETWORKS._entries, "twice": twice})
    monkeypatch.setattr(NETWORKS, "_origins", {"twice": "mine.py"})
    recipe = RECIPES.get("demo")().with_settings({"model.name": "twice", "data.crop": (16, 16), "precision": "float32"})
    with pytest.raises(ConfigError, match="the layer 'double' of .* could not be loaded after the network is saved"):
        prepare(recipe, None).network(Devices.of())


def test_plugins_in_a_configuration_that_is_damaged_are_told_so():
    for plugins in ("mine", [{"kind": "loss"}], ["mine"]):
        with pytest.raises(ConfigError, match="runs/a/config.json: damaged"):
            check_plugins("runs/a", {"plugins": plugins})


def test_a_plugin_that_is_missing_is_asked_for_in_words_that_can_be_pasted():
    plugin = {"kind": "loss", "name": "no-such", "plugin": "/a b/mine.py"}
    with pytest.raises(ConfigError, match="plugin='/a b/mine.py'"):
        check_plugins("runs/a", {"plugins": [plugin]})
    with pytest.raises(ConfigError, match="of a notebook. Register it there again"):
        check_plugins("runs/a", {"plugins": [{**plugin, "plugin": "__main__"}]})


def test_how_a_folder_was_understood_and_what_was_not_looked_at_is_said_first(tmp_path, capsys):
    from kseg import datasets

    for split in ("training", "valid"):
        for kind in ("images", "masks"):
            for name in "ab":
                write_image(tmp_path / split / kind / f"{name}.png", np.eye(4, dtype=np.uint8))
    (tmp_path / "valid/images/c.czi").write_bytes(b"x")
    parts = {split: datasets.open("folder", tmp_path, split=split) for split in ("train", "val")}
    introduce(parts, {split: datasets.survey(data) for split, data in parts.items()}, white=None)
    notes = [line.removeprefix("note: ") for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert "valid/ is taken for val/" in notes and "masks/ is taken for labels/" in notes
    assert [note for note in notes if note.startswith("not looked at: 1 .czi in images/ (c.czi)")]


def test_for_two_to_four_images_of_ones_own_a_cross_validation_is_proposed(tmp_path, capsys):
    for number in range(5):
        for kind in ("images", "labels"):
            write_image(tmp_path / kind / f"{number}.png", np.eye(8, dtype=np.uint8))
        if number:
            prepare(RECIPES.get("own-unet")(), tmp_path)
        said = capsys.readouterr().err
        proposed = (
            f"note: there are only {number + 1} images to train on and to choose by. folds={number + 1} holds out"
        )
        assert (proposed in said) == (1 <= number <= 3)
    prepare(RECIPES.get("own-unet")().with_settings({"folds": 2}), tmp_path)
    assert "note: there are only" not in capsys.readouterr().err
