"""One file per paper or task; importing them registers them."""

from kseg.training.recipes import (
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
    "nyud_fcn",
    "own_unet",
    "siftflow_fcn",
    "voc_fcn",
]
