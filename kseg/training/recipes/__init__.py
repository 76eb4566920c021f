"""One file per paper or task; importing them registers them."""

from kseg.training.recipes import demo, isbi2012_unet, own_unet

__all__ = ["demo", "isbi2012_unet", "own_unet"]
