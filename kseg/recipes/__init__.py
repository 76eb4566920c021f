"""Recipes: what a training is, one file per paper or task. Importing the room registers them; no TensorFlow yet."""

from kseg.recipes import (
    camvid_fcn,
    context_fcn,
    ctc_unet,
    demo,
    isbi2012_unet,
    isbi2012_unet_paper,
    nyud_fcn,
    own_unet,
    siftflow_fcn,
    voc_fcn,
)
from kseg.recipes.recipe import RECIPES, Recipe
from kseg.recipes.specs import AugmentSpec, DataSpec, LossSpec, ModelSpec, PublishedSpec
from kseg.training.specs import CheckpointSpec, OptimizerSpec

__all__ = [
    "RECIPES",
    "AugmentSpec",
    "CheckpointSpec",
    "DataSpec",
    "LossSpec",
    "ModelSpec",
    "OptimizerSpec",
    "PublishedSpec",
    "Recipe",
    "camvid_fcn",
    "context_fcn",
    "ctc_unet",
    "demo",
    "isbi2012_unet",
    "isbi2012_unet_paper",
    "names",
    "nyud_fcn",
    "own_unet",
    "siftflow_fcn",
    "voc_fcn",
]


def names() -> list[str]:
    """The recipes that `kseg.train` takes, by name."""
    return RECIPES.names()
