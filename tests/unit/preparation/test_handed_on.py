"""What a recipe hands on to the network, the batches and the splits: every field of it arrives."""

import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.check.preflight import open_parts
from kseg.errors import EnvironmentFailure
from kseg.images import write_image
from kseg.pipeline import Elastic, Grey, Mirror
from kseg.preparation import prepared as preparation
from kseg.preparation.prepared import prepare
from kseg.recipes import RECIPES
from kseg.training.devices import Devices

SETTINGS = {
    "data.instances": True,
    "data.batch_size": 3,
    "data.order": "draws",
    "data.crop": (44, 60),
    "data.white": 200,
    "data.augment.mirror": False,
    "data.augment.rotation": False,
    "data.augment.grey": False,
    "data.augment.elastic.sigma": 7,
    "data.augment.interpolation": "cubic",
    "data.augment.beyond": "void",
    "loss.border_weight": 4,
    "loss.class_weights": "inverse",
    "model.padding": "valid",
    "model.depth": 1,
    "model.width": 2,
    "precision": "float32",
    "seed": 5,
    "steps": 20,
}


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    root = tmp_path_factory.mktemp("mine")
    label = np.zeros((64, 64), np.uint8)
    label[:16] = 1
    for number in range(4):
        write_image(root / "images" / f"{number}.png", np.full((64, 64), 50 * number, np.uint8))
        write_image(root / "labels" / f"{number}.png", label)
    return root


def prepared(mine, **changes):
    settings = {name: value for name, value in {**SETTINGS, **changes}.items() if value is not None}
    return prepare(RECIPES.get("own-unet")().with_settings(settings), mine)


def test_every_field_of_a_recipe_reaches_the_batches(mine, monkeypatch):
    handed = {}
    monkeypatch.setattr(preparation, "batches", lambda data, **options: handed.update(options, data=data))
    whole = prepared(mine)
    model = whole.network(Devices.of())
    whole.batches(model, Devices(tf.distribute.get_strategy(), 1, 3), start=6)
    assert handed.pop("data") is whole.parts["train"]
    assert handed.pop("augment") == [Elastic(7.0)]
    # of 3 x 64 x 64 pixels three quarters are background: 1 / (2 * 3/4) and 1 / (2 * 1/4)
    assert handed.pop("class_weights") == pytest.approx([2 / 3, 2])
    assert handed == {
        "size": 3, "seed": 5, "order": "draws", "worker": 1, "workers": 3, "crop": (44, 60), "margin": 8, "channels": 1,
        "white": 200, "interpolation": "cubic", "beyond": "void", "border_weight": 4, "start": 6, "steps": 14,
    }  # fmt: skip


def test_own_augmentations_are_made_with_what_the_recipe_says(mine):
    recipe = RECIPES.get("own-unet")().with_settings({"data.augment.rotation": False, "data.augment.grey.gain": 0.5})
    made = preparation.make_augmentations(recipe.data.augment)
    assert made == [Mirror(), Grey(gain=0.5, offset=0.05)]


def test_the_seed_is_that_of_the_weights_and_of_the_order(mine):
    weights, orders = [], []
    for seed in (1, 1, 2):
        whole = prepared(mine, seed=seed)
        model = whole.network(Devices.of())
        weights.append(model.get_weights()[0])
        orders.append([name for step in range(6) for name in whole.batch_names(step)])
    assert np.array_equal(weights[0], weights[1]) and not np.array_equal(weights[0], weights[2])
    assert orders[0] == orders[1] != orders[2]


def test_the_memory_is_that_of_the_whole_batch(mine, monkeypatch):
    looked_at = []
    monkeypatch.setattr(preparation, "check_memory", lambda model, images, *size: looked_at.append((images, size)))
    prepared(mine).network(Devices.of())
    assert looked_at == [(3, (44, 60))]


def test_a_batch_that_can_not_fit_into_memory_is_refused(mine):
    with pytest.raises(EnvironmentFailure):
        prepared(mine, **{"data.batch_size": 10**9}).network(Devices.of())


class Parts(kseg.datasets.Dataset):
    """A set with the splits that a test names."""

    name, classes, has = "parts", ("a", "b"), ()

    def __init__(self, data_dir=None, *, split):
        self.choose(split, self.has)
        self.ids = [f"{split}0"]

    def read(self, index):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("has", "parts"),
    [
        (("train", "val", "test"), {"train": "train", "val": "val", "test": "test"}),
        (("trainval", "test"), {"train": "trainval", "test": "test"}),
        # val is within trainval: a network that learned it can't be chosen by it
        (("trainval", "val", "test"), {"train": "trainval", "test": "test"}),
    ],
)
def test_what_is_trained_on_does_not_choose(has, parts, monkeypatch):
    monkeypatch.setattr(Parts, "has", has)
    monkeypatch.setitem(kseg.datasets.DATASETS._entries, "parts", Parts)
    assert {use: data.split for use, data in open_parts("parts", None, None, {}).items()} == parts
