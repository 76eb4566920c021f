"""PASCAL VOC as the FCN papers trained: on SBD's 8,498 training images, scored on 736 of VOC 2011 (seg11valid).

`python cli.py train --recipe NAME --data-dir DIR`, with both archives under DIR. None of them was run at full width,
which takes a GPU, ImageNet weights and days. At an eighth of the width each overfits the samples
(benchmarks/overfit_samples.py). The scores below are the mean IU on seg11valid in percent, of the release's own weights
(from its README).

At full width on two slow cores with AVX2, in float32, on samples of 500 x 375 (`--dry-run`), a step of FCN-32s, 16s and
8s takes 13.7, 18.7 and 14.4 s, and up to 5.7 GiB for the three in one process. FCN-8s at once takes 12.5 s, FCN-AlexNet
2.3 s and 2.0 GiB, FCN-GoogLeNet 1.6 s and 1.2 GiB.
"""

from dataclasses import replace
from functools import partial

from kseg.recipes.fcn_release import first_paper, learned, released, whole_images
from kseg.recipes.recipe import RECIPES, Recipe
from kseg.recipes.specs import LossSpec, ModelSpec, PublishedSpec

DATA = whole_images("voc-fcn")
README = "README of the release"
_release = partial(PublishedSpec, f"{README}; other than mean IU: PAMI 2016, from memory", "voc-fcn", "val", 736)
_first = partial(PublishedSpec, "CVPR 2015", "voc-fcn", "val", 736)


@RECIPES.register("voc-fcn32s")
def voc_fcn32s() -> Recipe:
    """FCN-32s on PASCAL VOC from VGG16, as released: 63.6 published."""
    published = (_release(0.636, 0.905, 0.765, 0.835),)
    return released("voc-fcn32s", ModelSpec("fcn32s"), DATA, rate=1e-10, published=published)


@RECIPES.register("voc-fcn16s")
def voc_fcn16s() -> Recipe:
    """FCN-16s on PASCAL VOC, after voc-fcn32s, as released: 65.0 published."""
    published, stages = (_release(0.650, 0.910, 0.781, 0.843),), ("voc-fcn32s",)
    return released("voc-fcn16s", ModelSpec("fcn16s"), DATA, rate=1e-12, stages=stages, published=published)


@RECIPES.register("voc-fcn8s")
def voc_fcn8s() -> Recipe:
    """FCN-8s on PASCAL VOC, after voc-fcn32s and voc-fcn16s, as released: 65.5 published, 67.2 on VOC 2012 test."""
    published, stages = (_release(0.655, 0.912, 0.776, 0.845),), ("voc-fcn16s",)
    return released("voc-fcn8s", ModelSpec("fcn8s"), DATA, rate=1e-14, stages=stages, published=published)


@RECIPES.register("voc-fcn8s-atonce")
def voc_fcn8s_atonce() -> Recipe:
    """FCN-8s on PASCAL VOC in one go from VGG16, as released: 65.4 published."""
    model, published = ModelSpec("fcn8s-atonce"), (_release(0.654, 0.911, 0.785, 0.844),)
    return released("voc-fcn8s-atonce", model, DATA, rate=1e-10, steps=300_000, published=published)


@RECIPES.register("voc-fcn-alexnet")
def voc_fcn_alexnet() -> Recipe:
    """FCN-AlexNet on PASCAL VOC from CaffeNet, as released: 48.0 published.

    Unlike the others: the loss is a mean over the pixels, 20 images make an update (a step is an image), and the bias
    of score_fr alone has twice the rate and no decay.
    """
    recipe = released("voc-fcn-alexnet", ModelSpec("fcn32s", backbone="alexnet"), DATA, rate=1e-4, steps=2_000_000)
    optimizer = recipe.optimizer.replaced(
        momentum=0.9,
        accumulate=20,
        rate_factors=("score_fr/bias:2",),
        decay_factors=("score_fr/bias:0",),
    )
    published = (PublishedSpec(README, "voc-fcn", "val", 736, mean_iu=0.480),)
    return replace(recipe, loss=LossSpec(), optimizer=optimizer, epoch_steps=80_000, published=published)


@RECIPES.register("voc-fcn-googlenet")
def voc_fcn_googlenet() -> Recipe:
    """FCN-GoogLeNet on PASCAL VOC; the paper of 2015 alone has it: 42.5 published, on VOC 2011's own val.

    That training ran on the 1,112 images of VOC 2011 (`--dataset voc2011`). The steps here are 175 epochs of them.
    """
    network = ModelSpec("fcn32s", backbone="googlenet", preprocessing="googlenet")
    recipe = released("voc-fcn-googlenet", network, DATA, rate=5e-5)
    published = (PublishedSpec("CVPR 2015", "voc2011", "val", 1111, mean_iu=0.425),)
    return first_paper(recipe, rate=5e-5, steps=TABLE_1, published=published)


TABLE_1 = 175 * 1112  # the paper's table 1: at least 175 epochs of VOC 2011 train


@RECIPES.register("voc-fcn32s-2015")
def voc_fcn32s_2015() -> Recipe:
    """FCN-32s on PASCAL VOC from VGG16 as in the paper of 2015: 59.4 published.

    The steps are the 175 epochs of the 1,112 images of VOC 2011. The paper does not say how long it trained on SBD.
    """
    recipe = replace(voc_fcn32s(), name="voc-fcn32s-2015", published=(_first(0.594, 0.891, 0.733, 0.814),))
    return first_paper(recipe, rate=1e-4, steps=TABLE_1)


@RECIPES.register("voc-fcn16s-2015")
def voc_fcn16s_2015() -> Recipe:
    """FCN-16s on PASCAL VOC, after voc-fcn32s-2015, at a hundredth of its rate: 62.4 published.

    All its up-sampling but the last is learned, as in 2015.
    """
    published = (_first(0.624, 0.900, 0.757, 0.830),)
    recipe = replace(voc_fcn16s(), name="voc-fcn16s-2015", stages=("voc-fcn32s-2015",), published=published)
    return learned(first_paper(recipe, rate=1e-6, steps=TABLE_1), last="upscore16")


@RECIPES.register("voc-fcn8s-2015")
def voc_fcn8s_2015() -> Recipe:
    """FCN-8s on PASCAL VOC, after voc-fcn16s-2015: 62.7 published, 62.2 on VOC 2012 test.

    The paper gives it no other rate than FCN-16s. All its up-sampling but the last is learned.
    """
    published = (_first(0.627, 0.903, 0.759, 0.832),)
    recipe = replace(voc_fcn8s(), name="voc-fcn8s-2015", stages=("voc-fcn16s-2015",), published=published)
    return learned(first_paper(recipe, rate=1e-6, steps=TABLE_1), last="upscore8")


@RECIPES.register("voc-fcn-alexnet-2015")
def voc_fcn_alexnet_2015() -> Recipe:
    """FCN-AlexNet on PASCAL VOC from CaffeNet as in the paper of 2015: 48.0 published; its rate is 0.001."""
    recipe = replace(voc_fcn32s(), name="voc-fcn-alexnet-2015", model=ModelSpec("fcn32s", backbone="alexnet"))
    return first_paper(recipe, rate=1e-3, steps=TABLE_1, published=(_first(0.480),))
