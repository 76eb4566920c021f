"""NYUDv2 as the FCN papers trained: on the 795 frames of trainval, scored on the 654 of test, in 40 classes.

`python cli.py train --recipe NAME --data-dir DIR`. None of them was run at full width, which takes a GPU, ImageNet
weights and days. At an eighth of the width each overfits the samples (benchmarks/overfit_samples.py). There is no val,
so the last network counts. The scores below are the mean IU on test in percent, from the paper of 2015 (in brackets,
from memory, that of 2016).

At full width on two slow cores with AVX2, in float32 (`--dry-run`), a step of rgb, rgbd or hha takes 16 to 18 s and up
to 5.4 GiB; a step of rgb-hha takes 54 s and 8.3 GiB.

The paper of 2015 does not say for how long it trained. Here it is the 175 epochs of its table 1.
"""

from functools import partial

from kseg.recipes.fcn_release import first_paper, released, whole_images
from kseg.recipes.recipe import RECIPES, Recipe
from kseg.recipes.specs import ModelSpec, PublishedSpec

_2015 = partial(PublishedSpec, "CVPR 2015", "nyudv2", "test", 654)
_2016 = partial(PublishedSpec, "PAMI 2016, from memory", "nyudv2", "test", 654)


def _nyud(view: str, model: ModelSpec, *, rate: float = 1e-10, **fields) -> Recipe:
    data = whole_images("nyudv2", split="trainval", view=view)
    return released(f"nyud-fcn32s-{view}", model, data, rate=rate, epoch_steps=2000, **fields)


@RECIPES.register("nyud-fcn32s-rgb")
def nyud_fcn32s_rgb() -> Recipe:
    """FCN-32s on NYUDv2's colour images, as released: 29.2 published (2016: 31.6)."""
    published = _2015(0.292, 0.600, 0.422, 0.439), _2016(0.316, 0.618, 0.447, 0.460)
    return _nyud("rgb", ModelSpec("fcn32s", preprocessing="nyud-rgb"), published=published)


@RECIPES.register("nyud-fcn32s-rgbd")
def nyud_fcn32s_rgbd() -> Recipe:
    """FCN-32s on NYUDv2's colour and depth together, as released: 30.5 published (2016: 31.7)."""
    published = _2015(0.305, 0.615, 0.424, 0.455), _2016(0.317, 0.621, 0.448, 0.463)
    return _nyud("rgbd", ModelSpec("fcn32s-rgbd"), published=published)


@RECIPES.register("nyud-fcn32s-hha")
def nyud_fcn32s_hha() -> Recipe:
    """FCN-32s on NYUDv2's HHA, as released: 24.2 published (2016: 25.2)."""
    published = _2015(0.242, 0.571, 0.352, 0.404), _2016(0.252, 0.583, 0.357, 0.417)
    return _nyud("hha", ModelSpec("fcn32s", preprocessing="nyud-hha"), published=published)


@RECIPES.register("nyud-fcn32s-rgb-hha")
def nyud_fcn32s_rgb_hha() -> Recipe:
    """FCN-32s on NYUDv2's colour and HHA, fused late, after the two apart, as released: 32.8 published (2016: 33.3)."""
    stages = ("nyud-fcn32s-rgb", "nyud-fcn32s-hha")
    published = _2015(0.328, 0.643, 0.449, 0.480), _2016(0.333, 0.653, 0.440, 0.486)
    model = ModelSpec("fcn32s", streams=("rgb", "hha"))
    return _nyud("rgb-hha", model, rate=1e-12, stages=stages, published=published)


def _first(recipe: Recipe, *, rate: float = 1e-4, stages: tuple[str, ...] = ()) -> Recipe:
    name, published = f"{recipe.name}-2015", recipe.published[:1]
    return first_paper(recipe, name=name, rate=rate, steps=175 * 795, stages=stages, published=published)


@RECIPES.register("nyud-fcn32s-rgb-2015")
def nyud_fcn32s_rgb_2015() -> Recipe:
    """FCN-32s on NYUDv2's colour images as in the paper of 2015: 29.2 published."""
    return _first(nyud_fcn32s_rgb())


@RECIPES.register("nyud-fcn32s-rgbd-2015")
def nyud_fcn32s_rgbd_2015() -> Recipe:
    """FCN-32s on NYUDv2's colour and depth together as in the paper of 2015: 30.5 published."""
    return _first(nyud_fcn32s_rgbd())


@RECIPES.register("nyud-fcn32s-hha-2015")
def nyud_fcn32s_hha_2015() -> Recipe:
    """FCN-32s on NYUDv2's HHA as in the paper of 2015: 24.2 published."""
    return _first(nyud_fcn32s_hha())


@RECIPES.register("nyud-fcn32s-rgb-hha-2015")
def nyud_fcn32s_rgb_hha_2015() -> Recipe:
    """FCN-32s on NYUDv2's colour and HHA, fused late, after the two apart, as in the paper of 2015: 32.8 published.

    The paper gives no rate for it: a hundredth, as for FCN-16s, which also goes on from a trained network.
    """
    return _first(nyud_fcn32s_rgb_hha(), rate=1e-6, stages=("nyud-fcn32s-rgb-2015", "nyud-fcn32s-hha-2015"))
