"""Weights people have: where they are published, and how they come into kseg's networks. Names resolve on first use."""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "Report": "kseg.weights.report",
    "import_caffemodel": "kseg.weights.imports",
    "import_weights": "kseg.weights.files",
    "initial_weights": "kseg.weights.initial",
    "load_caffemodel": "kseg.weights.imports",
    "load_keras_applications": "kseg.weights.keras_applications",
    "load_torchvision": "kseg.weights.torchvision",
    "load_weights": "kseg.weights.files",
    "transplant": "kseg.weights.transplants",
}

__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"kseg.weights has no {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
