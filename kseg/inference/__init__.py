"""From a network to predictions and scores."""

from kseg.inference.averaging import AVERAGES, Average
from kseg.inference.evaluate import evaluate, measures_for, usual_measures
from kseg.inference.load import FACTS, find_bundle, load, presets, resolved
from kseg.inference.predictor import (
    SEGMENTS,
    Predictor,
    call_joined,
    geometry_of,
    heads_of,
    parts_of,
    precision_of,
    predictor,
    say_above_bar,
    streams_of,
    white_of,
)
from kseg.inference.report import Report
from kseg.inference.tiles import predict, predict_scores, probabilities

__all__ = [
    "AVERAGES",
    "FACTS",
    "SEGMENTS",
    "Average",
    "Predictor",
    "Report",
    "call_joined",
    "evaluate",
    "find_bundle",
    "geometry_of",
    "heads_of",
    "load",
    "measures_for",
    "parts_of",
    "precision_of",
    "predict",
    "predict_scores",
    "predictor",
    "presets",
    "probabilities",
    "resolved",
    "say_above_bar",
    "streams_of",
    "usual_measures",
    "white_of",
]
