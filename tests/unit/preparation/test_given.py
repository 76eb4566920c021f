"""Objects in place of names: what is taken, what is refused, and that they do as they say."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.datasets import Dataset, Item
from kseg.errors import ConfigError, DataError
from kseg.preparation.given import Given
from kseg.preparation.prepared import prepare
from kseg.recipes import RECIPES
from kseg.training.devices import Devices

SLIM = {
    "steps": 4, "epoch_steps": 2, "data.crop": "16,16", "data.batch_size": 2, "precision": "float32",
}  # fmt: skip

UNET = {**SLIM, "model.width": 2, "model.depth": 1, "model.normalization": "none"}


class Halves(Dataset):
    """Dark on the left, bright on the right; the first pixel is void."""

    name, classes = "halves", ("dark", "bright")

    def __init__(self, split, *, channels=1, count=3):
        self.choose(split, ["train", "val"])
        self.ids, self.channels = [f"{split}{number}" for number in range(count)], channels

    def read(self, index):
        label = np.zeros((16, 16), np.int32)
        label[:, 8:], label[0, 0] = 1, 255
        image = np.full((16, 16, self.channels), 20 + index, np.uint8)
        image[:, 8:] = 200
        return Item(self.ids[index], image, label)


def halves(**options) -> dict[str, Dataset]:
    return {split: Halves(split, **options) for split in ("train", "val")}


class Plain(Dataset):
    """As little as a data set can say."""

    classes = ("dark", "bright")
    ids = ("a", "b")

    def read(self, index):
        return Halves("train").read(index)


def network(classes=2, channels=1, size=None, end=None) -> keras.Model:
    image = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(image)
    return keras.Model(image, keras.layers.Conv2D(classes, 1, activation=end)(x), name="mine")


def test_a_network_of_ones_own_stays_as_it_is_and_its_copy_is_trained(tmp_path):
    model = network()
    before = [value.copy() for value in model.get_weights()]
    run = kseg.train(data=halves(), model=model, run=tmp_path / "run", settings=SLIM)
    for found, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert any((one != other).any() for one, other in zip(run.model.get_weights(), before, strict=True))
    assert run.model.name == "mine" and run.model.get_layer("reading").reading.classes == ("dark", "bright")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["recipe"]["name"] == "own-unet" and config["recipe"]["data"]["name"] == "given"
    assert config["objects"]["data"]["val"] == {
        "class": f"{Halves.__module__}.Halves", "name": "halves", "split": "val", "images": 3,
    }  # fmt: skip
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "mine trained by kseg on halves: 2 classes (0 dark, 1 bright)" in card.replace("\n", " ")


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ({"data": tf.data.Dataset.range(3)}, "a tf.data.Dataset can't go on at the same item.*plain fit"),
        ({"data": {"train": tf.data.Dataset.range(3)}}, "a tf.data.Dataset can't go on at the same item"),
        ({"data": {"val": Halves("val")}}, "data: found val. Hand over a dict with train"),
        ({"data": {"train": Halves("train"), "vall": Halves("val")}}, "data: found train, vall. Hand over a dict"),
        ({"data": {"train": [1, 2]}}, r"data\['train'\]: found list, but a kseg.datasets.Dataset"),
        ({"augment": [abs]}, "augment: <built-in function abs> is no augmentation"),
        ({"augment": kseg.pipeline.Mirror()}, r"augment: found Mirror\(.*, but it must be a list of objects"),
        ({"augment": "mirror"}, "augment: found 'mirror', but it must be a list .*recipe: data.augment.mirror=true"),
        ({"augment": [kseg.pipeline.Mirror]}, "augment: the class Mirror, not an object of it"),
        ({"measure": 3}, "measure: found int. Hand over a kseg.metrics.Measure"),
        ({"optimizer": keras.optimizers.Adam}, "optimizer: found the class Adam. Hand over an optimiser of Keras"),
        (
            {"loss": abs},
            "loss: found builtin_function_or_method. Hand over a kseg.objectives.BatchLoss or a loss of Keras",
        ),
        ({"model": keras.Sequential()}, "has no inputs of its own"),
    ],
)
def test_an_object_of_the_wrong_kind_is_named(objects, words):
    with pytest.raises(ConfigError, match=words):
        Given(**objects)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (network(classes=3), "mine scores 3 classes, but halves has 2"),
        (
            network(channels=4),
            r"takes 4 channels, but the images of halves have 1. Build it with Input\(\(None, None, 1",
        ),
        (network(size=16), "takes images of 16 x 16 only"),
        (network(end="softmax"), "mine ends in a softmax or sigmoid"),
    ],
)
def test_a_network_that_does_not_fit_the_data_is_refused_before_the_first_step(tmp_path, model, words):
    with pytest.raises(ConfigError, match=words):
        kseg.train(data=halves(), model=model, run=tmp_path / "run", settings=SLIM)
    assert not (tmp_path / "run").exists()


class Twice(keras.layers.Layer):
    """No saved network finds it again, since nothing registers it."""

    def call(self, inputs):
        return inputs * 2


def twice(scores):
    return scores * 2


def ending(*layers, size=None, as_lists=False) -> keras.Model:
    """A network of two classes with these layers at its end."""
    image = keras.Input((size, size, 1))
    x = keras.layers.Conv2D(2, 1)(image)
    for layer in layers:
        x = layer(x)
    return keras.Model([image], [x], name="mine") if as_lists else keras.Model(image, x, name="mine")


def bare_u() -> keras.Model:
    """Two poolings and back, which joins maps of other sizes where 4 does not divide the image's."""
    image = keras.Input((None, None, 1))
    x = image
    skips = []
    for _ in range(2):
        skips.append(x)
        x = keras.layers.MaxPooling2D(2)(x)
    for skip in reversed(skips):
        x = keras.layers.Concatenate()([keras.layers.UpSampling2D()(x), skip])
    return keras.Model(image, keras.layers.Conv2D(2, 1)(x), name="u")


def frozen() -> keras.Model:
    model = network()
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (ending(Twice(name="double")), r"the layer 'double' of mine \(.*Twice\) could not be loaded.*register_keras"),
        (
            ending(keras.layers.Lambda(lambda x: x + 1, name="more")),
            "the layer 'more' of mine is a Lambda, whose code.*Write it as a class",
        ),
        (ending(keras.layers.Activation(twice)), "Could not locate function 'twice'. Put @keras.saving"),
        (ending(keras.layers.GlobalAveragePooling2D()), r"mine gives arrays of shape \(None, 2\)"),
        (
            ending(keras.layers.AveragePooling2D(2)),
            "mine gives 8 x 8 scores for images of 16 x 16, but it must give one for each",
        ),
        (ending(keras.layers.Activation("relu", name="reading")), "mine has a layer called 'reading'"),
        (frozen(), "mine has no trainable weights"),
    ],
)
def test_a_network_that_can_not_become_a_run_is_refused_before_the_first_step(model, words):
    data = halves()
    prepared = prepare(RECIPES.get("own-unet")().with_settings(SLIM), None, Given(data=data, model=model))
    with pytest.raises(ConfigError, match=words):
        prepared.network(Devices.of())


def test_a_network_that_joins_maps_is_asked_for_its_sizes_before_the_first_step():
    class Odd(Halves):
        def read(self, index):
            item = super().read(index)
            return Item(item.id, item.image[:, :-2], item.label[:, :-2])

    data = {"train": Halves("train"), "val": Odd("val")}
    prepared = prepare(RECIPES.get("own-unet")().with_settings(SLIM), None, Given(data=data, model=bare_u()))
    with pytest.raises(ConfigError, match=r"u does not take images of 16 x 14.*SizeCheck\(4, smallest=4\) behind"):
        prepared.network(Devices.of())
    given = Given(data={"train": Halves("train"), "val": Halves("val")}, model=bare_u())
    assert prepare(RECIPES.get("own-unet")().with_settings(SLIM), None, given).network(Devices.of()).name == "u"


def test_lists_of_one_image_and_one_map_of_scores_are_these():
    model = ending(as_lists=True)
    image = np.zeros((4, 6), np.uint8)
    np.testing.assert_array_equal(kseg.predict(model, image), kseg.predict(Given(model=model).model, image))


def test_grey_images_come_in_three_channels_to_a_network_of_colours(tmp_path):
    run = kseg.train(data=halves(), model=network(channels=3), run=tmp_path / "run", settings=SLIM)
    assert run.report.mean_iu >= 0


def test_a_network_that_is_built_again_is_the_same_whatever_numbers_keras_gives_its_layers(tmp_path):
    objects = {"data": halves(), "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
    kseg.train(run=tmp_path / "run", settings=SLIM, model=network(), **objects)
    (tmp_path / "run" / "report.json").unlink()
    assert kseg.train(run=tmp_path / "run", model=network(), **objects).report.mean_iu >= 0
    wider = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3, padding="same")])
    with pytest.raises(ConfigError, match="begun with another model: model"):
        kseg.train(run=tmp_path / "run", model=wider, **objects)


def test_an_optimiser_of_ones_own_brings_its_rate_and_goes_on_exactly(tmp_path):
    settings = {**UNET, "checkpoint.every_steps": 1}
    objects = {"data": halves(), "optimizer": keras.optimizers.RMSprop(0.01, momentum=0.5)}
    whole = kseg.train(run=tmp_path / "whole", settings=settings, **objects)
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert config["objects"]["optimizer"]["config"]["momentum"] == 0.5
    again = kseg.train(resume=tmp_path / "whole" / "checkpoints" / "step-000003", settings=settings, **objects)
    for found, wanted in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ConfigError, match="another optimizer: optimizer.config.momentum was 0.5, now it is 0.25"):
        kseg.train(run=tmp_path / "whole", **{**objects, "optimizer": keras.optimizers.RMSprop(0.01, momentum=0.25)})


def test_names_may_be_given_in_place_of_objects(tmp_path):
    run = kseg.train(
        data=halves(), model="unet", loss="dice", optimizer="rmsprop", measure="pixel_accuracy", run=tmp_path / "run",
        settings=UNET,
    )  # fmt: skip
    recipe = run.recipe
    assert (recipe.model.name, recipe.loss.name, recipe.optimizer.name) == ("unet", "dice", "rmsprop")
    assert recipe.measure == "pixel_accuracy"


def test_augmentations_that_are_given_take_the_place_of_all_others_and_a_data_set_need_not_say_much(tmp_path):
    objects = {"data": {"train": Plain(), "val": Plain()}, "augment": [kseg.pipeline.Mirror(vertical=False)]}
    run = kseg.train(run=tmp_path / "run", settings=SLIM, model=network(), **objects)
    assert run.recipe.data.augment.options == {} and run.report.dataset == "data"
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["objects"]["augment"][0]["config"] == {"horizontal": True, "vertical": False}


def test_a_sequential_network_trains(tmp_path):
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3, padding="same")])
    run = kseg.train(data=halves(), model=model, run=tmp_path / "run", settings=SLIM)
    assert kseg.predict(run.model, np.zeros((9, 7), np.uint8)).shape == (9, 7)
    assert kseg.predict(model, np.zeros((9, 7), np.uint8)).shape == (9, 7)


def test_settings_that_an_object_takes_the_place_of_are_refused():
    for objects, name in (
        ({"optimizer": keras.optimizers.SGD(0.1)}, "optimizer.clip_norm"),
        ({"augment": []}, "data.augment.rotation.degrees"),
    ):
        with pytest.raises(ConfigError, match=f"{name} can't apply"):
            kseg.train(data=halves(), settings={**UNET, name: 3}, **objects)


def test_what_objects_take_the_place_of_is_refused_beside_them(tmp_path):
    for objects, name in (({"data": halves()}, "data.name"), ({"data": halves(), "model": network()}, "model.name")):
        with pytest.raises(ConfigError, match=f"{name} can't apply"):
            kseg.train(settings={**SLIM, name: "demo"}, **objects)
    with pytest.raises(ConfigError, match="data_dir=.* can't apply, since the data are objects here"):
        kseg.train(data=halves(), data_dir=tmp_path, settings=UNET)


def test_parts_of_other_classes_are_refused_before_the_first_step(tmp_path):
    class Turned(Halves):
        classes = ("bright", "dark")

    data = {"train": Halves("train"), "val": Turned("val")}
    with pytest.raises(DataError, match="val has the classes bright, dark, but train has dark, bright"):
        kseg.train(data=data, run=tmp_path / "run", settings=UNET)
    assert not (tmp_path / "run").exists()


def test_what_kseg_brings_comes_from_no_plugin():
    """In a process of its own, since other tests register measures of theirs."""
    code = "from kseg.metrics import MEASURES as m; print(len(m.names()), [name for name in m if m.origin(name)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, _, origins = done.stdout.partition(" ")
    assert int(count) > 5 and origins.strip() == "[]"


def test_an_augmentation_that_is_none_is_refused_by_batches_too():
    with pytest.raises(ConfigError, match="augment: 'mirror' is no augmentation"):
        kseg.batches(Halves("train"), augment=["mirror"])


def test_a_run_reads_its_network_once_and_shows_itself_without_matrices(tmp_path):
    run = kseg.train(data=halves(), model=network(), run=tmp_path / "run", settings=SLIM)
    assert run.model is run.model
    assert set(run.history) >= {"step", "loss", "val_loss", "val_mean_iu", "val_pixel_accuracy", "val_mean_accuracy"}
    assert len(repr(run)) < 200 and "own-unet" in repr(run) and "array" not in repr(run)
    page = run._repr_html_()
    assert "<img" in page and "mean IU" in page
