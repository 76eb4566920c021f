"""One file per paper or task; importing them registers them."""

from kseg.recipes.recipe import RECIPES
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

__all__ = [
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
