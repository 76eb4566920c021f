"""The layers that Keras lacks.

What the weights depend on is part of the saved network, so training, prediction and export can't differ. A file saved
with these layers loads with plain Keras after `import kseg.layers`.
"""

from kseg.layers.maps import (
    CaffePooling2D,
    CropTo,
    GroupedConv2D,
    LocalResponseNormalization,
    ProductConv2D,
    ScaleChannels,
)
from kseg.layers.mean_probability import MeanProbability
from kseg.layers.reading import AVERAGES, Average, ReadScores, ScoreReading, check_average, readings_of, with_reading
from kseg.layers.scaling import SCALINGS, InputScaling, ScaleInput
from kseg.layers.size import SizeCheck, check_size
from kseg.layers.upsampling import Bilinear, BilinearUpsampling, bilinear_kernel
from kseg.layers.warp import dense_image_warp

__all__ = [
    "AVERAGES",
    "Average",
    "SCALINGS",
    "Bilinear",
    "BilinearUpsampling",
    "CaffePooling2D",
    "CropTo",
    "GroupedConv2D",
    "InputScaling",
    "LocalResponseNormalization",
    "MeanProbability",
    "ProductConv2D",
    "ScaleChannels",
    "ReadScores",
    "ScaleInput",
    "ScoreReading",
    "SizeCheck",
    "bilinear_kernel",
    "check_average",
    "check_size",
    "dense_image_warp",
    "readings_of",
    "with_reading",
]
