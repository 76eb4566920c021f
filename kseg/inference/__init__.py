"""From a network to predictions."""

from kseg.inference.averaging import pixels_read
from kseg.inference.load import FACTS, find_bundle, load, presets, resolved
from kseg.inference.precision import PRECISIONS, computing_in, precision_of, set_precision, settled_precision
from kseg.inference.predictor import (
    SEGMENTS,
    Predictor,
    call_joined,
    geometry_of,
    heads_of,
    parts_of,
    predictor,
    say_above_bar,
    streams_of,
    white_of,
)
from kseg.inference.tiles import predict, predict_scores, probabilities

__all__ = [
    "FACTS",
    "PRECISIONS",
    "SEGMENTS",
    "Predictor",
    "call_joined",
    "computing_in",
    "find_bundle",
    "geometry_of",
    "heads_of",
    "load",
    "parts_of",
    "pixels_read",
    "precision_of",
    "predict",
    "predict_scores",
    "predictor",
    "presets",
    "probabilities",
    "resolved",
    "say_above_bar",
    "set_precision",
    "settled_precision",
    "streams_of",
    "white_of",
]
