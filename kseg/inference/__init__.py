"""From a network to predictions."""

from kseg.inference.averaging import pixels_read
from kseg.inference.load import load
from kseg.inference.precision import PRECISIONS, computing_in, precision_of, set_precision, settled_precision
from kseg.inference.prediction import predict, predict_scores, probabilities
from kseg.inference.predictor import Predictor, predictor
from kseg.inference.signature import (
    SEGMENTS,
    call_joined,
    geometry_of,
    heads_of,
    parts_of,
    reason_of_call,
    streams_of,
    white_of,
)

__all__ = [
    "PRECISIONS",
    "SEGMENTS",
    "Predictor",
    "call_joined",
    "computing_in",
    "geometry_of",
    "heads_of",
    "load",
    "parts_of",
    "pixels_read",
    "precision_of",
    "predict",
    "predict_scores",
    "predictor",
    "probabilities",
    "reason_of_call",
    "set_precision",
    "settled_precision",
    "streams_of",
    "white_of",
]
