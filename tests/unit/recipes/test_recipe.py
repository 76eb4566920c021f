import json

import pytest

from kseg.errors import ConfigError
from kseg.recipes.recipe import RECIPES, Recipe, field_names
from kseg.recipes.specs import ModelSpec, PublishedSpec


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_goes_to_json_and_back(name):
    recipe = RECIPES.get(name)()
    assert recipe.name == name and RECIPES.get(name).__doc__
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_every_field_is_set_by_its_dotted_name():
    changed = Recipe("a", steps=1).with_settings(
        {
            "optimizer.learning_rate": "1e-4",
            "optimizer.name": "sgd",
            "optimizer.nesterov": "true",
            "data.name": "folder",
            "data.crop": "96,128",
            "data.instances": "true",
            "data.values": "0,255",
            "data.augment.elastic.spacing": "64",
            "data.augment.shift": "3",
            "data.augment.mirror": "false",
            "model.depth": "3",
            "model.dropout": "none",
            "loss.dice": "0.5",
            "seed": 7,
        }
    )
    assert (changed.optimizer.learning_rate, changed.optimizer.name) == (1e-4, "sgd")
    assert changed.optimizer.options == {"nesterov": True} and changed.loss.options == {"dice": 0.5}
    assert changed.data.crop == (96, 128) and changed.data.options == {"instances": True, "values": (0, 255)}
    assert changed.model.options == {"depth": 3} and changed.seed == 7
    assert changed.data.augment.options == {
        "rotation": {}, "elastic": {"spacing": 64.0}, "shift": {"pixels": 3.0}
    }  # fmt: skip
    frames = Recipe("a", steps=1).with_settings({"data.name": "ctc", "data.drop": "3,67", "data.truth": "silver"})
    assert frames.data.options == {"drop": (3, 67), "truth": "silver"}


def test_steps_replace_epochs_and_the_other_way_round():
    recipe = Recipe("a", steps=5)
    assert recipe.with_settings({"epochs": "2"}).steps is None
    assert recipe.with_settings({"epochs": "2"}).with_settings({"steps": 3}).epochs is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer.learnin_rate": 1}, "Did you mean 'optimizer.learning_rate'"),
        ({"optimizer.lr": 1}, "Did you mean 'optimizer.learning_rate'"),
        ({"depth": 1}, "A recipe has no field 'depth'. Did you mean 'model.depth'"),
        ({"optimizer": 1}, "no field 'optimizer'"),
        ({"steps": "many"}, "steps is 'many', but must be a whole number"),
        ({"steps": "0"}, "steps is 0, but must be above 0"),
        ({"checkpoint.every_minutes": "0"}, "checkpoint.every_minutes is 0.0, but must be above 0"),
        ({"checkpoint.keep": "0"}, "checkpoint.keep is 0, but must be above 0"),
        ({"data.crop": "96"}, "data.crop is .96., but must be 2 values with commas between"),
        ({"data.crop": 32}, "data.crop is 32, but must be 2 values"),
        ({"data.name": "folder", "data.instances": "maybe"}, "must be true or false"),
        ({"data.name": "ctc", "data.truth": "bronze"}, "must be one of gold, silver"),
        ({"data.instances": "true"}, "The data set 'demo' takes no option 'data.instances'"),
        ({"data.name": "folder", "data.instance": "true"}, "Did you mean 'data.instances'"),
        ({"model.widht": "3"}, "The network 'unet' takes no option 'model.widht'. Did you mean 'model.width'"),
        ({"loss.gamma": "3"}, "The loss 'cross_entropy' takes no option 'loss.gamma'"),
        ({"loss.name": "dyce"}, "There is no loss 'dyce'. Did you mean 'dice'"),
        ({"optimizer.name": "adan"}, "There is no optimiser 'adan'. Did you mean 'adam"),
        ({"optimizer.momentum": "0.9"}, "The optimiser 'adam' takes no option 'optimizer.momentum'"),
        ({"data.augment.gain": "0.3"}, "There is no augmentation 'gain'. Did you mean 'data.augment.grey.gain'"),
        ({"data.augment.grey.gian": "0.3"}, "Did you mean 'data.augment.grey.gain'"),
        ({"optimizer.schedule": "linear"}, "must be one of constant, cosine, polynomial"),
        ({"optimizer.learning_rate": "nan"}, "optimizer.learning_rate is nan, but must be a finite number"),
        ({"model.name": "fcn8s", "model.width": "inf"}, "model.width is inf, but must be a finite number"),
        ({"optimizer.learning_rate": 10**400}, "but must be a number"),
        ({"optimizer.name": "sgd", "optimizer.momentum": "1.5"}, "optimizer sgd, momentum=1.5: Keras refuses it"),
        ({"optimizer.name": "sgd", "optimizer.momentum": "-0.1"}, "optimizer sgd, momentum=-0.1: Keras refuses it"),
        ({"loss.average": "none", "loss.dice": "1"}, "loss.average is none and loss.dice is 1.0, but Dice is a mean"),
        ({"optimizer.power": "-1"}, "optimizer.power is -1.0, but must be at least 0"),
        ({"seed": "-1"}, "seed is -1, but must be at least 0"),
        ({"seed": 2**32}, "seed is 4294967296, but must be below 4,294,967,296"),
        ({"loss.dice": "-1"}, "loss.dice is -1.0, but must be at least 0"),
        ({"loss.border_weight": "-3"}, "loss.border_weight is -3.0, but must be at least 0"),
        (
            {"data.augment.rotation": "-5"},
            "data.augment.rotation.degrees is -5.0, but must be at least 0",
        ),
        ({"data.augment.elastic.spacing": "0"}, "data.augment.elastic.spacing is 0.0, but must be above 0"),
    ],
)
def test_a_wrong_setting_is_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        Recipe("a", steps=1).with_settings(settings)


def test_either_steps_or_epochs():
    with pytest.raises(ConfigError, match="either steps or epochs"):
        Recipe("a")


PUBLISHED = (PublishedSpec("a paper", "voc-fcn", "val", 736, mean_iu=0.6),)


@pytest.mark.parametrize(
    ("settings", "is_kept"),
    [
        ({"model.width": "0.25", "model.fc_width": "64", "steps": "7", "init_weights": "none", "seed": "3"}, True),
        ({"model.name": "fcn16s"}, True),  # its own
        ({"model.name": "fcn8s"}, False),
        ({"model.backbone": "alexnet"}, False),
        ({"model.streams": "rgb,hha"}, False),
        ({"data.name": "pascal-context", "data.classes": "33"}, False),
    ],
)
def test_another_task_has_no_published_scores(settings, is_kept):
    recipe = Recipe("a", model=ModelSpec("fcn16s"), steps=1, published=PUBLISHED)
    assert recipe.with_settings(settings).published == (PUBLISHED if is_kept else ())


@pytest.mark.parametrize("name", ["published", "published.mean_iu"])
def test_published_scores_are_not_to_be_set(name):
    with pytest.raises(ConfigError, match=f"A recipe has no field {name!r}"):
        Recipe("a", steps=1, published=PUBLISHED).with_settings({name: "0.9"})
    with pytest.raises(ConfigError, match="no field 'published.mean_ui'"):
        Recipe.from_json({"name": "a", "steps": 1, "published": [{"mean_ui": 0.9}]})


def test_unknown_keys_in_json_are_refused():
    with pytest.raises(ConfigError, match="The data set 'demo' takes no option 'data.colour'"):
        Recipe.from_json({"name": "a", "steps": 1, "data": {"colour": 1}})
    for name, value in (("data", 1), ("published", [0.9])):
        with pytest.raises(ConfigError, match=f"{name} is .*, but must be a mapping of fields by name"):
            Recipe.from_json({"name": "a", "steps": 1, name: value})


def test_the_partly_segmented_frame_is_left_out():
    assert RECIPES.get("ctc-unet")().data.options == {"drop": (67,)}


def test_fields_are_all_leaves_and_options_that_are_set():
    fields = RECIPES.get("own-unet")().fields()
    assert {"seed", "data.white", "optimizer.learning_rate"} <= set(field_names()) <= set(fields)
    assert (fields["model.width"], fields["data.augment.grey.gain"]) == (16, 0.3)
    assert fields["data.augment.rotation.degrees"] == 180.0 and "model.depth" not in fields  # 4, the network's own
    assert not any(isinstance(value, dict) for value in fields.values())


def test_differences_make_one_recipe_of_the_other():
    base = RECIPES.get("camvid-fcn8s")()
    changes = {
        "model.fc_width": 64, "data.augment.rotation": "none", "data.augment.grey.gain": 0.5, "loss.dice": 0.5,
        "model.upsampling": "fixed", "optimizer.name": "sgd", "optimizer.momentum": 0.5, "epochs": 3,
    }  # fmt: skip
    changed = base.with_settings(changes)
    assert base.with_settings(changed.differences(base)).fields() == changed.fields()
    assert changed.differences(changed) == {} and changed.differences(base)["data.augment.rotation"] is None


def test_another_network_has_options_of_its_own():
    recipe = RECIPES.get("own-unet")().with_settings({"model.name": "fcn8s", "model.width": "0.25"})
    assert recipe.model == ModelSpec("fcn8s", width=0.25)
    assert RECIPES.get("own-unet")().with_settings({"model.name": "unet"}).model.width == 16


def test_a_network_of_the_same_family_keeps_the_options_but_not_the_stages():
    recipe = RECIPES.get("siftflow-fcn8s")().with_settings({"model.name": "fcn16s"})
    assert (recipe.model, recipe.stages) == (ModelSpec("fcn16s", preprocessing="siftflow"), ())
    slim = RECIPES.get("camvid-fcn8s")().with_settings({"model.name": "fcn32s", "model.fc_width": "64"})
    assert slim.model.options == {"width": 0.25, "fc_width": 64, "padding": "same", "upsampling": "learned"}
    # One that takes depth as a fourth channel has means of its own.
    assert RECIPES.get("nyud-fcn32s-rgb")().with_settings({"model.name": "fcn32s-rgbd"}).model.options == {}
    with pytest.raises(ConfigError, match="no network 'fcn16'. Did you mean"):
        RECIPES.get("siftflow-fcn8s")().with_settings({"model.name": "fcn16"})


def test_an_option_is_of_the_networks_own_type_and_none_is_its_default():
    own = RECIPES.get("own-unet")()
    assert own.with_settings({"model.width": "8"}).model.width == 8
    assert "width" not in own.with_settings({"model.width": None}).model.options
    assert own.with_settings({"model.name": "fcn8s", "model.width": "0.25"}).model.width == 0.25
    with pytest.raises(ConfigError, match="model.width is '0.25', but must be a whole number"):
        own.with_settings({"model.width": "0.25"})


def test_another_data_set_has_options_and_a_split_of_its_own():
    recipe = RECIPES.get("ctc-unet")().with_settings({"data.name": "packed"})
    assert recipe.data.options == {} and recipe.data.batch_size == 4
    kept = RECIPES.get("ctc-unet")().with_settings({"data.name": "ctc"})
    assert kept.data.options == {"drop": (67,)}
    rooms = RECIPES.get("nyud-fcn32s-rgb")()
    elsewhere = rooms.with_settings({"data.name": "voc2012"})
    assert (rooms.data.split, elsewhere.data.split, elsewhere.data.options) == ("trainval", None, {})
    assert rooms.with_settings({"data.name": "voc2012", "data.split": "train"}).data.split == "train"


def test_augmentations_of_before_are_read_as_they_were_done():
    before = {
        "mirror": True, "flip": False, "rotation": 0.0, "shift": 3.0, "scale": 1.0, "elastic": 8.0,
        "elastic_spacing": None, "gain": 0.0, "offset": 0.1, "grey_curve": True, "saturation": 1.0,
        "interpolation": "cubic", "beyond": "mirror",
    }  # fmt: skip
    recipe = Recipe.from_json({
        "name": "a", "steps": 1, "data": {"name": "demo", "augment": before, "classes": None},
        "model": {"name": "unet", "width": 8, "backbone": None}, "optimizer": {"name": "adam", "momentum": 0.99},
    })  # fmt: skip
    assert recipe.data.augment.options == {
        "elastic": {"sigma": 8.0}, "mirror": {"horizontal": True, "vertical": False}, "shift": {"pixels": 3.0},
        "saturation": {"most": 1.0}, "grey": {"gain": 0.0, "offset": 0.1}, "grey_curve": {},
    }  # fmt: skip
    assert recipe.data.augment.interpolation == "cubic" and recipe.model.options == {"width": 8}
    assert recipe.optimizer.options == {} and recipe.data.options == {}
    off = dict.fromkeys(before, 0.0) | {"mirror": False, "flip": False, "scale": 1.0, "grey_curve": False}
    off |= {"interpolation": "linear", "beyond": "mirror", "elastic_spacing": None}
    plain = Recipe.from_json({"name": "a", "steps": 1, "data": {"augment": off}})
    assert plain.data.augment.options == {}
