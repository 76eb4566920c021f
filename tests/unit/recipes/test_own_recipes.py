"""kseg's own recipes, field by field: their scores were measured with these, so that a change must be meant."""

import pytest

from kseg.recipes import RECIPES, Recipe

SLIM = {"model.width": 16, "model.padding": "same", "model.dropout": 0.0, "model.normalization": "batch"}
CURVE = {"data.augment.grey_curve.least_slope": 0.666, "data.augment.grey_curve.most_slope": 1.5}


def grey(gain, offset):
    return {"data.augment.grey.gain": gain, "data.augment.grey.offset": offset}


def elastic(sigma, spacing):
    return {"data.augment.elastic.sigma": sigma, "data.augment.elastic.spacing": spacing}


STREET = {
    "model.width": 0.25, "model.fc_width": 256, "model.padding": "same", "model.upsampling": "learned",
    "data.name": "camvid", "data.crop": (180, 240), "data.augment.mirror.vertical": False,
    "data.augment.rotation.degrees": 5.0, "data.augment.shift.pixels": 10.0, **grey(0.2, 0.05),
    "steps": 2000, "epoch_steps": 200,
}  # fmt: skip
OWN = {
    "demo": {
        **SLIM, "model.depth": 3, "data.crop": (128, 128), **grey(0.3, 0.1),
        "optimizer.learning_rate": 0.003, "steps": 450, "epoch_steps": 50,
    },
    "own-unet": {
        **SLIM, "data.name": "folder", **grey(0.3, 0.05),
        "loss.border_weight": 3.0, "optimizer.learning_rate": 0.002, "plan": True, "steps": 600, "minutes": 10.0,
        "epoch_steps": 50, "measure": "auto",
    },
    "isbi2012-unet": {
        **SLIM, "data.name": "isbi2012", **elastic(8.0, 64.0), **CURVE, **grey(0.2, 0.05),
        "optimizer.learning_rate": 0.002, "steps": 1600, "epoch_steps": 200, "measure": "v_rand",
        "average": "rotations",
    },
    "isbi2012-unet-paper": {
        "data.name": "isbi2012", "data.batch_size": 1, "data.crop": (572, 572), "data.augment.mirror": None,
        **elastic(10.0, None), "data.augment.shift.pixels": 10.0, **grey(0.2, 0.05),
        "optimizer.name": "sgd", "optimizer.learning_rate": 0.0003, "optimizer.schedule": "constant",
        "steps": 30000, "epoch_steps": 500, "measure": "v_rand", "precision": "mixed_float16", "average": "rotations",
    },
    "ctc-unet": {
        **SLIM, "data.name": "ctc", "data.drop": (67,), **elastic(10.0, 128.0), **CURVE, **grey(0.2, 0.05),
        "optimizer.learning_rate": 0.002, "steps": 1200, "epoch_steps": 100, "measure": "seg",
    },
    **{f"camvid-{name}": {**STREET, "model.name": name} for name in ("fcn32s", "fcn16s", "fcn8s")},
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_a_recipe_differs_from_the_defaults_in_these_fields_alone(name):
    found = RECIPES.get(name)().differences(Recipe("any", steps=1))
    assert found == {"name": name, **OWN[name]}


def test_the_defaults_are_these():
    assert Recipe("any", steps=1).fields() == {
        "name": "any", "model.name": "unet", "data.name": "demo", "data.split": None, "data.order": "epochs",
        "data.batch_size": 4, "data.crop": (256, 256), "data.white": None, "data.augment.interpolation": "linear",
        "data.augment.beyond": "mirror", "data.augment.mirror.horizontal": True, "data.augment.mirror.vertical": True,
        "data.augment.rotation.degrees": 180.0, "loss.name": "cross_entropy", "loss.class_weights": "none",
        "loss.border_weight": 10.0, "optimizer.name": "adam", "optimizer.learning_rate": 0.001,
        "optimizer.schedule": "cosine", "optimizer.power": 0.9, "optimizer.weight_decay": 0.0,
        "optimizer.rate_factors": (), "optimizer.decay_factors": (), "optimizer.clip_norm": None,
        "optimizer.accumulate": 1, "optimizer.ema": 0.0, "optimizer.skip": 20, "checkpoint.every_steps": None,
        "checkpoint.every_minutes": 10.0, "checkpoint.keep": 3, "init_weights": "none", "plan": False, "stages": (),
        "steps": 1, "epochs": None, "minutes": None, "epoch_steps": None, "measure": "mean_iu", "precision": "auto",
        "average": "none", "seed": 0, "deterministic": False, "folds": None, "fold": None,
    }  # fmt: skip
