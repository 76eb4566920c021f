"""Recipes, and the training that follows them. Names resolve on first use; no TensorFlow before `train` and `Run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kseg.lazy import lazy

if TYPE_CHECKING:
    from kseg.training import optimizers
    from kseg.recipes.recipe import RECIPES, Recipe
    from kseg.recipes import names
    from kseg.recipes.specs import (
        AugmentSpec,
        CheckpointSpec,
        DataSpec,
        LossSpec,
        ModelSpec,
        OptimizerSpec,
        PublishedSpec,
    )
    from kseg.runs.trainer import Run, train
else:
    _SPECS = ("AugmentSpec", "CheckpointSpec", "DataSpec", "LossSpec", "ModelSpec", "OptimizerSpec", "PublishedSpec")
    __getattr__, __dir__ = lazy(
        __name__,
        {
            **dict.fromkeys(_SPECS, "kseg.recipes.specs"),
            "RECIPES": "kseg.recipes.recipe",
            "Recipe": "kseg.recipes.recipe",
            "Run": "kseg.runs.trainer",
            "names": "kseg.recipes",
            "train": "kseg.runs.trainer",
        },
    )

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
    "Run",
    "names",
    "optimizers",
    "train",
]
