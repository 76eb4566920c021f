"""Recipes, and the training that follows them. Names resolve on first use; no TensorFlow before `train` and `Run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kseg.lazy import lazy

if TYPE_CHECKING:
    from kseg.training import optimizers
    from kseg.training.recipe import RECIPES, Recipe
    from kseg.training.recipes import names
    from kseg.training.specs import (
        AugmentSpec,
        CheckpointSpec,
        DataSpec,
        LossSpec,
        ModelSpec,
        OptimizerSpec,
        PublishedSpec,
    )
    from kseg.training.trainer import Run, train
else:
    _SPECS = ("AugmentSpec", "CheckpointSpec", "DataSpec", "LossSpec", "ModelSpec", "OptimizerSpec", "PublishedSpec")
    __getattr__, __dir__ = lazy(
        __name__,
        {
            **dict.fromkeys(_SPECS, "kseg.training.specs"),
            "RECIPES": "kseg.training.recipe",
            "Recipe": "kseg.training.recipe",
            "Run": "kseg.training.trainer",
            "names": "kseg.training.recipes",
            "train": "kseg.training.trainer",
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
