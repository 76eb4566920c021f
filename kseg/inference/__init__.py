"""From a network to predictions and scores."""

from kseg.inference.averaging import AVERAGES, Average
from kseg.inference.evaluate import Report, evaluate
from kseg.inference.load import FACTS, find_bundle, load, presets, resolved
from kseg.inference.predictor import Predictor, geometry_of, predictor
from kseg.inference.tiles import predict, predict_scores, probabilities

__all__ = [
    "AVERAGES",
    "FACTS",
    "Average",
    "Predictor",
    "Report",
    "evaluate",
    "find_bundle",
    "geometry_of",
    "load",
    "predict",
    "predict_scores",
    "predictor",
    "presets",
    "probabilities",
    "resolved",
]
