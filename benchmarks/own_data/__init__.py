"""kseg beside nnU-Net v2 and a plain U-Net of segmentation_models_pytorch: the same images, cores and minutes."""
