"""One file per paper or task; importing them registers them."""

from kseg.training.recipes import camvid_fcn, ctc_unet, demo, isbi2012_unet, isbi2012_unet_paper, own_unet

__all__ = ["camvid_fcn", "ctc_unet", "demo", "isbi2012_unet", "isbi2012_unet_paper", "own_unet"]
