"""The FCN release's solver files, as facts list them, against the recipes."""

import re

import pytest

from kseg.models import NETWORKS
from kseg.recipes import RECIPES
from kseg.recipes.specs import ModelSpec

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
# Mean IU, pixel accuracy, mean accuracy and frequency weighted IU in percent, as the facts' tables have them; of SIFT
# Flow also the geometric pixel accuracy. First the paper of 2015 or the release's README, then 2016 as remembered.
SCORES = {
    "voc-fcn32s": [(63.6, 90.5, 76.5, 83.5)],
    "voc-fcn16s": [(65.0, 91.0, 78.1, 84.3)],
    "voc-fcn8s": [(65.5, 91.2, 77.6, 84.5)],
    "voc-fcn8s-atonce": [(65.4, 91.1, 78.5, 84.4)],
    "voc-fcn-alexnet": [(48.0,)],
    "voc-fcn-googlenet": [(42.5,)],
    "voc-fcn32s-2015": [(59.4, 89.1, 73.3, 81.4)],
    "voc-fcn16s-2015": [(62.4, 90.0, 75.7, 83.0)],
    "voc-fcn8s-2015": [(62.7, 90.3, 75.9, 83.2)],
    "voc-fcn-alexnet-2015": [(48.0,)],
    "nyud-fcn32s-rgb": [(29.2, 60.0, 42.2, 43.9), (31.6, 61.8, 44.7, 46.0)],
    "nyud-fcn32s-rgbd": [(30.5, 61.5, 42.4, 45.5), (31.7, 62.1, 44.8, 46.3)],
    "nyud-fcn32s-hha": [(24.2, 57.1, 35.2, 40.4), (25.2, 58.3, 35.7, 41.7)],
    "nyud-fcn32s-rgb-hha": [(32.8, 64.3, 44.9, 48.0), (33.3, 65.3, 44.0, 48.6)],
    "siftflow-fcn16s": [(39.5, 85.2, 51.7, 76.1, 94.3)],
    "siftflow-fcn8s": [(41.2, 85.9, 53.9, 77.2, 94.6)],
    "context-fcn32s": [(31.8, 63.8, 42.7, 48.3), (36.7, 65.5, 49.1, 50.9)],
    "context-fcn16s": [(34.8, 65.7, 46.2, 50.7), (38.4, 66.9, 51.3, 52.3)],
    "context-fcn8s": [(35.1, 65.9, 46.5, 51.0), (39.1, 67.5, 52.3, 53.0)],
}
SCORES |= {f"{name}-2015": found[:1] for name, found in SCORES.items() if name.startswith(("nyud", "context"))}
SCORES["siftflow-fcn16s-2015"] = SCORES["siftflow-fcn16s"]
TASKS = {"voc": ("voc-fcn", None), "nyud": ("nyudv2", "trainval"), "siftflow": ("siftflow", "trainval")}


@pytest.mark.parametrize("name", RELEASED)
def test_a_release_recipe_is_its_solver(name):
    recipe, (rate, steps, stages, means) = RECIPES.get(name)(), RELEASED[name]
    optimizer = recipe.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.momentum) == ("sgd", rate, 0.99)
    assert (optimizer.weight_decay, optimizer.schedule, optimizer.accumulate) == (5e-4, "constant", 1)
    assert (optimizer.rate_factors, optimizer.decay_factors) == (("*/bias:2",), ("*/bias:0",))
    assert (recipe.loss.options, recipe.steps, recipe.stages) == ({"average": "none"}, steps, stages)
    assert (recipe.model.options.get("preprocessing"), recipe.init_weights) == (means, "imagenet")
    data = recipe.data
    assert (data.batch_size, data.crop, data.order) == (1, None, "draws")
    assert (data.name, data.split) == TASKS.get(name.split("-")[0], ("pascal-context", None))
    assert data.augment.options == {}


def test_alexnets_solver_is_unlike_the_others():
    recipe = RECIPES.get("voc-fcn-alexnet")()
    optimizer = recipe.optimizer
    assert (optimizer.learning_rate, optimizer.momentum, optimizer.accumulate) == (1e-4, 0.9, 20)
    assert (optimizer.rate_factors, optimizer.decay_factors) == (("score_fr/bias:2",), ("score_fr/bias:0",))
    assert (recipe.loss.options, recipe.steps) == ({}, 20 * 100_000)


@pytest.mark.parametrize(
    ("name", "rate", "fixed"),
    [
        ("voc-fcn32s-2015", 1e-4, None),
        ("voc-fcn16s-2015", 1e-6, "upscore16"),
        ("voc-fcn8s-2015", 1e-6, "upscore8"),
        ("voc-fcn-alexnet-2015", 1e-3, None),
        ("voc-fcn-googlenet", 5e-5, None),
        ("nyud-fcn32s-rgb-2015", 1e-4, None),
        ("nyud-fcn32s-rgbd-2015", 1e-4, None),
        ("nyud-fcn32s-hha-2015", 1e-4, None),
        ("nyud-fcn32s-rgb-hha-2015", 1e-6, None),
        ("siftflow-fcn32s-2015", 1e-4, None),
        ("siftflow-fcn16s-2015", 1e-6, "upscore16*"),
        ("context-fcn32s-2015", 1e-4, None),
        ("context-fcn16s-2015", 1e-6, "upscore16"),
        ("context-fcn8s-2015", 1e-6, "upscore8"),
    ],
)
def test_the_first_paper_took_20_images_to_an_update_and_learned_all_up_sampling_but_the_last(name, rate, fixed):
    recipe = RECIPES.get(name)()
    optimizer = recipe.optimizer
    assert (optimizer.learning_rate, optimizer.momentum, optimizer.accumulate) == (rate, 0.9, 20)
    assert (recipe.loss.options, optimizer.weight_decay) == ({}, 5e-4)
    assert optimizer.rate_factors == (("*/bias:2", f"{fixed}:0") if fixed else ("*/bias:2",))
    assert recipe.model.options.get("upsampling") == ("learned" if fixed else None)


def test_the_u_net_papers_recipe_does_what_the_paper_names():
    recipe = RECIPES.get("isbi2012-unet-paper")()
    augment = recipe.data.augment
    assert (recipe.optimizer.name, recipe.optimizer.momentum, recipe.data.batch_size) == ("sgd", 0.99, 1)
    assert (recipe.data.crop, recipe.model, recipe.average) == ((572, 572), ModelSpec("unet"), "rotations")
    assert augment.elastic == {"sigma": 10.0}  # on 3 x 3 points
    # Shift, rotation and grey values are named beside; mirroring is not.
    assert set(augment.options) == {"elastic", "shift", "rotation", "grey"}


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_names_a_network_and_recipes_that_are_registered(name):
    recipe = RECIPES.get(name)()
    assert recipe.name == name and recipe.model.name in NETWORKS.names()
    assert all(stage in RECIPES.names() for stage in recipe.stages)
    assert all(stage.endswith("-2015") == name.endswith("-2015") for stage in recipe.stages)


@pytest.mark.parametrize(
    "name", [name for name in RECIPES.names() if name.startswith(("voc", "nyud", "sift", "context"))]
)
def test_a_recipe_holds_the_scores_that_were_published_of_it(name):
    held = RECIPES.get(name)().published
    found = [tuple(round(100 * value, 1) for value in each.figures.values()) for each in held]
    assert found == SCORES.get(name, [])
    assert all("2016" not in each.source or "from memory" in each.source for each in held)


@pytest.mark.parametrize("name", RECIPES.names())
def test_a_recipes_words_and_fields_tell_the_same_scores(name):
    words, held = RECIPES.get(name).__doc__, RECIPES.get(name)().published
    for each in held:
        figures = each.figures
        if "mean_iu" in figures:
            told = [
                f"{100 * value:.1f}" for key, value in figures.items() if key in ("mean_iu", "geometric_pixel_accuracy")
            ]
        else:
            told = [f"{value:g}" for value in figures.values()]
        assert all(text in words for text in told), each
    if held and held[0].mean_iu:
        assert re.search(r"\d+\.\d", words).group() == f"{100 * held[0].mean_iu:.1f}"


@pytest.mark.parametrize(
    ("name", "dataset", "split", "count"),
    [
        ("voc-fcn8s", "voc-fcn", "val", 1),
        ("voc-fcn8s", "voc-fcn", "train", 0),
        ("voc-fcn8s", "voc2012", "val", 0),
        ("voc-fcn-googlenet", "voc-fcn", "val", 0),
        ("voc-fcn-googlenet", "voc2011", "val", 1),
        ("nyud-fcn32s-rgb", "nyudv2", "test", 2),
        ("siftflow-fcn32s", "siftflow", "test", 0),
        ("isbi2012-unet-paper", "isbi2012", "test", 0),  # the challenge's own labels are secret
    ],
)
def test_published_scores_stand_beside_ones_own_of_the_same_data_set_and_split_alone(name, dataset, split, count):
    assert len(RECIPES.get(name)().published_on(dataset, split)) == count
