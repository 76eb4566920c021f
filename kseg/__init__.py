"""FCN and U-Net as Keras networks: trained, scored, exported. Names resolve on first use."""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "build": "kseg.models",
    "load": "kseg.inference",
    "predict": "kseg.inference",
    "predictor": "kseg.inference",
    "evaluate": "kseg.inference",
    "batches": "kseg.pipeline",
    "train": "kseg.training.trainer",
    "export": "kseg.bundles",
}
_ROOMS = (
    "callbacks",
    "check",
    "datasets",
    "errors",
    "geometry",
    "images",
    "inference",
    "instances",
    "layers",
    "metrics",
    "models",
    "objectives",
    "pictures",
    "pipeline",
    "training",
    "weights",
)

__all__ = [*_PLACES, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"kseg.{name}")
    raise AttributeError(f"kseg has no {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
