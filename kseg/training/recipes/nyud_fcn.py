"""NYUDv2 as the FCN papers trained: on the 795 frames of trainval, scored on the 654 of test, in 40 classes.

`python cli.py train --recipe NAME --data-dir DIR`. None was run here at full width: that takes a GPU, ImageNet weights,
and days. At an eighth of the width each overfits the samples: benchmarks/overfit_samples.py. There is no val: the last
network counts. The scores below: mean IU on test in percent, of the paper of 2015 (of 2016, as remembered).
"""

from kseg.training.recipe import RECIPES, Recipe
from kseg.training.recipes.released import released, whole_images
from kseg.training.specs import ModelSpec


def _nyud(view: str, model: ModelSpec, *, rate: float = 1e-10, **fields) -> Recipe:
    data = whole_images("nyudv2", split="trainval", view=view)
    return released(f"nyud-fcn32s-{view}", model, data, rate=rate, epoch_steps=2000, **fields)


@RECIPES.register("nyud-fcn32s-rgb")
def nyud_fcn32s_rgb() -> Recipe:
    """FCN-32s on NYUDv2's colour images, as released: 29.2 published (2016: 31.6)."""
    return _nyud("rgb", ModelSpec("fcn32s", preprocessing="nyud-rgb"))


@RECIPES.register("nyud-fcn32s-rgbd")
def nyud_fcn32s_rgbd() -> Recipe:
    """FCN-32s on NYUDv2's colour and depth together, as released: 30.5 published (2016: 31.7)."""
    return _nyud("rgbd", ModelSpec("fcn32s-rgbd"))


@RECIPES.register("nyud-fcn32s-hha")
def nyud_fcn32s_hha() -> Recipe:
    """FCN-32s on NYUDv2's HHA, as released: 24.2 published (2016: 25.2)."""
    return _nyud("hha", ModelSpec("fcn32s", preprocessing="nyud-hha"))


@RECIPES.register("nyud-fcn32s-rgb-hha")
def nyud_fcn32s_rgb_hha() -> Recipe:
    """FCN-32s on NYUDv2's colour and HHA, fused late, after the two apart, as released: 32.8 published (2016: 33.3)."""
    stages = ("nyud-fcn32s-rgb", "nyud-fcn32s-hha")
    return _nyud("rgb-hha", ModelSpec("fcn32s", streams=("rgb", "hha")), rate=1e-12, stages=stages)
