"""SIFT Flow as the FCN papers trained: 2,486 images of trainval, scored on the 200 of test, two heads.

`python cli.py train --recipe NAME --data-dir DIR`. None of them was run at full width, which takes a GPU, ImageNet
weights and days. At an eighth of the width each overfits the samples (benchmarks/overfit_samples.py). There is no val,
so the last network counts. The scores below are in percent: the mean IU of the 30 semantic classes of test, and the
pixel accuracy of the geometric classes.

At full width on two slow cores with AVX2, in float32, a step takes 8.5 to 17 s and up to 5.3 GiB (`--dry-run`).

The paper of 2015 trains FCN-16s only, and does not say for how long. Here it is the 175 epochs of its table 1.
"""

from kseg.recipes.fcn_release import first_paper, learned, released, whole_images
from kseg.recipes.recipe import RECIPES, Recipe
from kseg.recipes.specs import ModelSpec, PublishedSpec


def _siftflow(network: str, *published: PublishedSpec, rate: float, **fields) -> Recipe:
    model, data = ModelSpec(network, preprocessing="siftflow"), whole_images("siftflow", split="trainval")
    return released(f"siftflow-{network}", model, data, rate=rate, epoch_steps=2000, published=published, **fields)


@RECIPES.register("siftflow-fcn32s")
def siftflow_fcn32s() -> Recipe:
    """FCN-32s on SIFT Flow from VGG16, as released; no score was published."""
    return _siftflow("fcn32s", rate=1e-10)


@RECIPES.register("siftflow-fcn16s")
def siftflow_fcn16s() -> Recipe:
    """FCN-16s on SIFT Flow, after siftflow-fcn32s, as released: 39.5 and 94.3 published in 2015."""
    published = PublishedSpec("CVPR 2015", "siftflow", "test", 200, 0.395, 0.852, 0.517, 0.761, 0.943)
    return _siftflow("fcn16s", published, rate=1e-12, stages=("siftflow-fcn32s",))


@RECIPES.register("siftflow-fcn8s")
def siftflow_fcn8s() -> Recipe:
    """FCN-8s on SIFT Flow, after the two before, as released: 41.2 and 94.6 published in 2016, as remembered.

    Its rate is 1e-12, where the other tasks' FCN-8s have 1e-14.
    """
    published = PublishedSpec("PAMI 2016, from memory", "siftflow", "test", 200, 0.412, 0.859, 0.539, 0.772, 0.946)
    return _siftflow("fcn8s", published, rate=1e-12, stages=("siftflow-fcn16s",))


STEPS = 175 * 2486


@RECIPES.register("siftflow-fcn32s-2015")
def siftflow_fcn32s_2015() -> Recipe:
    """FCN-32s on SIFT Flow from VGG16 as in the paper of 2015, which gives no score of it."""
    return first_paper(siftflow_fcn32s(), name="siftflow-fcn32s-2015", rate=1e-4, steps=STEPS)


@RECIPES.register("siftflow-fcn16s-2015")
def siftflow_fcn16s_2015() -> Recipe:
    """FCN-16s on SIFT Flow, after siftflow-fcn32s-2015, as in the paper of 2015: 39.5 and 94.3 published.

    Its rate is a hundredth; all its up-sampling but the last is learned.
    """
    fields = {"name": "siftflow-fcn16s-2015", "stages": ("siftflow-fcn32s-2015",)}
    return learned(first_paper(siftflow_fcn16s(), rate=1e-6, steps=STEPS, **fields), last="upscore16*")
