"""The common parts of the trainings of the FCN papers.

Source: the FCN release's solver.prototxt files; Long, Shelhamer, Darrell, CVPR 2015, section 4.3.
"""

from dataclasses import replace

from kseg.recipes.recipe import Recipe
from kseg.recipes.specs import AugmentSpec, DataSpec, LossSpec, ModelSpec
from kseg.training.specs import OptimizerSpec


def whole_images(name: str, **options) -> DataSpec:
    """One whole image a step, drawn with replacement, as it is."""
    return DataSpec(name=name, batch_size=1, crop=None, order="draws", augment=AugmentSpec(), **options)


def released(name: str, model: ModelSpec, data: DataSpec, *, rate: float, steps: int = 100_000, **fields) -> Recipe:
    """A training of the release: a loss summed over pixels, momentum 0.99, and biases with twice the rate and no decay.

    `steps` are those that its scripts run. They ignore the max_iter of the solvers.
    """
    optimizer = OptimizerSpec(
        name="sgd",
        learning_rate=rate,
        momentum=0.99,
        schedule="constant",
        weight_decay=5e-4,
        rate_factors=("*/bias:2",),
        decay_factors=("*/bias:0",),
    )
    fields = {"init_weights": "imagenet", "epoch_steps": 4000, **fields}
    return Recipe(
        name, model=model, data=data, loss=LossSpec(average="none"), optimizer=optimizer, steps=steps, **fields
    )


def first_paper(recipe: Recipe, *, rate: float, steps: int, **fields) -> Recipe:
    """The training of 2015: 20 images to an update, momentum 0.9, the loss a mean over the pixels.

    The images differ in size: each is a step, and 20 steps' gradients are averaged.
    """
    optimizer = recipe.optimizer.replaced(learning_rate=rate, momentum=0.9, accumulate=20)
    return replace(recipe, loss=LossSpec(), optimizer=optimizer, steps=steps, **fields)


def learned(recipe: Recipe, *, last: str) -> Recipe:
    """With its up-sampling learned but for the layers `last`, which stay bilinear, as in the paper of 2015."""
    factors = (*recipe.optimizer.rate_factors, f"{last}:0")
    optimizer = recipe.optimizer.replaced(rate_factors=factors)
    return replace(recipe, model=recipe.model.replaced(upsampling="learned"), optimizer=optimizer)
