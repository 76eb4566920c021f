"""PASCAL-Context as the FCN papers trained: 4,998 images, scored on 5,105, 59 classes and the background as a 60th.

`python cli.py train --recipe NAME --data-dir DIR`. None of them was run at full width, which takes a GPU, ImageNet
weights and days. At an eighth of the width each overfits the samples (benchmarks/overfit_samples.py). The scores below
are the mean IU on val in percent, from the paper of 2015 and (from memory) that of 2016.

At full width on two slow cores with AVX2, in float32, a step takes 14 to 15 s and up to 6.0 GiB (`--dry-run`).

The paper of 2015 does not say for how long it trained. Here it is the 175 epochs of its table 1.
"""

from functools import partial

from kseg.recipes.fcn_release import first_paper, learned, released, whole_images
from kseg.recipes.recipe import RECIPES, Recipe
from kseg.recipes.specs import ModelSpec, PublishedSpec

_2015 = partial(PublishedSpec, "arXiv 1411.4038v2", "pascal-context", "val", 5105)
_2016 = partial(PublishedSpec, "PAMI 2016, from memory", "pascal-context", "val", 5105)


def _context(network: str, *published: PublishedSpec, rate: float, **fields) -> Recipe:
    model, data = ModelSpec(network, preprocessing="context"), whole_images("pascal-context")
    return released(
        f"context-{network}", model, data, rate=rate, steps=400_000, epoch_steps=8000, published=published, **fields
    )


@RECIPES.register("context-fcn32s")
def context_fcn32s() -> Recipe:
    """FCN-32s on PASCAL-Context from VGG16, as released: 31.8 published (2016: 36.7)."""
    published = _2015(0.318, 0.638, 0.427, 0.483), _2016(0.367, 0.655, 0.491, 0.509)
    return _context("fcn32s", *published, rate=1e-10)


@RECIPES.register("context-fcn16s")
def context_fcn16s() -> Recipe:
    """FCN-16s on PASCAL-Context, after context-fcn32s, as released: 34.8 published (2016: 38.4)."""
    published = _2015(0.348, 0.657, 0.462, 0.507), _2016(0.384, 0.669, 0.513, 0.523)
    return _context("fcn16s", *published, rate=1e-12, stages=("context-fcn32s",))


@RECIPES.register("context-fcn8s")
def context_fcn8s() -> Recipe:
    """FCN-8s on PASCAL-Context, after the two before, as released: 35.1 published (2016: 39.1)."""
    published = _2015(0.351, 0.659, 0.465, 0.510), _2016(0.391, 0.675, 0.523, 0.530)
    return _context("fcn8s", *published, rate=1e-14, stages=("context-fcn16s",))


def _first(recipe: Recipe, *, rate: float, **fields) -> Recipe:
    name, published = f"{recipe.name}-2015", recipe.published[:1]
    return first_paper(recipe, name=name, rate=rate, steps=175 * 4998, published=published, **fields)


@RECIPES.register("context-fcn32s-2015")
def context_fcn32s_2015() -> Recipe:
    """FCN-32s on PASCAL-Context from VGG16 as in the paper of 2015: 31.8 published."""
    return _first(context_fcn32s(), rate=1e-4)


@RECIPES.register("context-fcn16s-2015")
def context_fcn16s_2015() -> Recipe:
    """FCN-16s on PASCAL-Context, after context-fcn32s-2015, at a hundredth of its rate: 34.8 published.

    All its up-sampling but the last is learned, as in 2015.
    """
    return learned(_first(context_fcn16s(), rate=1e-6, stages=("context-fcn32s-2015",)), last="upscore16")


@RECIPES.register("context-fcn8s-2015")
def context_fcn8s_2015() -> Recipe:
    """FCN-8s on PASCAL-Context, after context-fcn16s-2015: 35.1 published.

    The paper gives it no other rate than FCN-16s. All its up-sampling but the last is learned.
    """
    return learned(_first(context_fcn8s(), rate=1e-6, stages=("context-fcn16s-2015",)), last="upscore8")
