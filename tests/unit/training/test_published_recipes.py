"""The FCN release's solver files, as facts list them, against the recipes."""

import pytest

from kseg.models import NETWORKS
from kseg.training import recipes  # noqa: F401
from kseg.training.recipe import RECIPES

# base_lr, the steps its scripts run, what it is initialised from, the means its input loses
RELEASED = {
    "voc-fcn32s": (1e-10, 100_000, (), None),
    "voc-fcn16s": (1e-12, 100_000, ("voc-fcn32s",), None),
    "voc-fcn8s": (1e-14, 100_000, ("voc-fcn16s",), None),
    "voc-fcn8s-atonce": (1e-10, 300_000, (), None),
    "nyud-fcn32s-rgb": (1e-10, 100_000, (), "nyud-rgb"),
    "nyud-fcn32s-rgbd": (1e-10, 100_000, (), None),
    "nyud-fcn32s-hha": (1e-10, 100_000, (), "nyud-hha"),
    "nyud-fcn32s-rgb-hha": (1e-12, 100_000, ("nyud-fcn32s-rgb", "nyud-fcn32s-hha"), None),
    "siftflow-fcn32s": (1e-10, 100_000, (), "siftflow"),
    "siftflow-fcn16s": (1e-12, 100_000, ("siftflow-fcn32s",), "siftflow"),
    "siftflow-fcn8s": (1e-12, 100_000, ("siftflow-fcn16s",), "siftflow"),
    "context-fcn32s": (1e-10, 400_000, (), "context"),
    "context-fcn16s": (1e-12, 400_000, ("context-fcn32s",), "context"),
    "context-fcn8s": (1e-14, 400_000, ("context-fcn16s",), "context"),
}
TASKS = {"voc": ("voc-fcn", None), "nyud": ("nyudv2", "trainval"), "siftflow": ("siftflow", "trainval")}


@pytest.mark.parametrize("name", RELEASED)
def test_a_release_recipe_is_its_solver(name):
    recipe, (rate, steps, stages, means) = RECIPES.get(name)(), RELEASED[name]
    optimizer = recipe.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.momentum) == ("sgd", rate, 0.99)
    assert (optimizer.weight_decay, optimizer.schedule, optimizer.accumulate) == (5e-4, "constant", 1)
    assert (optimizer.rate_factors, optimizer.decay_factors) == (("*/bias:2",), ("*/bias:0",))
    assert (recipe.loss.average, recipe.steps, recipe.stages) == ("none", steps, stages)
    assert (recipe.model.preprocessing, recipe.init_weights) == (means, "imagenet")
    data = recipe.data
    assert (data.batch_size, data.crop, data.order) == (1, None, "draws")
    assert (data.name, data.split) == TASKS.get(name.split("-")[0], ("pascal-context", None))
    assert not (data.augment.mirror or data.augment.flip or data.augment.rotation)


def test_alexnets_solver_is_unlike_the_others():
    recipe = RECIPES.get("voc-fcn-alexnet")()
    optimizer = recipe.optimizer
    assert (optimizer.learning_rate, optimizer.momentum, optimizer.accumulate) == (1e-4, 0.9, 20)
    assert (optimizer.rate_factors, optimizer.decay_factors) == (("score_fr/bias:2",), ("score_fr/bias:0",))
    assert (recipe.loss.average, recipe.steps) == ("pixels", 20 * 100_000)


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("voc-fcn32s-2015", 1e-4),
        ("voc-fcn16s-2015", 1e-6),
        ("voc-fcn8s-2015", 1e-6),
        ("voc-fcn-alexnet-2015", 1e-3),
        ("voc-fcn-googlenet", 5e-5),
    ],
)
def test_the_first_paper_took_20_images_to_an_update(name, rate):
    recipe = RECIPES.get(name)()
    optimizer = recipe.optimizer
    assert (optimizer.learning_rate, optimizer.momentum, optimizer.accumulate) == (rate, 0.9, 20)
    assert (recipe.loss.average, optimizer.weight_decay, optimizer.rate_factors) == ("pixels", 5e-4, ("*/bias:2",))


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_names_a_network_and_recipes_that_are_registered(name):
    recipe = RECIPES.get(name)()
    assert recipe.name == name and recipe.model.name in NETWORKS.names()
    assert all(stage in RECIPES.names() for stage in recipe.stages)
    assert "published" in (RECIPES.get(name).__doc__ or "") or not name.startswith(
        ("voc", "nyud", "siftflow", "context")
    )
