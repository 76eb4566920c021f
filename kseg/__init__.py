"""FCN and U-Net as Keras networks: trained, scored, exported. Names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kseg.lazy import lazy

if TYPE_CHECKING:
    from kseg import (
        callbacks,
        check,
        datasets,
        doctor,
        errors,
        geometry,
        images,
        inference,
        instances,
        layers,
        metrics,
        models,
        objectives,
        pictures,
        pipeline,
        training,
        weights,
    )
    from kseg.bundles import export
    from kseg.inference.evaluate import evaluate
    from kseg.inference.load import load
    from kseg.inference.predictor import predictor
    from kseg.inference.tiles import predict
    from kseg.models import build
    from kseg.pipeline import batches
    from kseg.training import Recipe
    from kseg.training.trainer import train

    __version__: str
else:
    _resolve, __dir__ = lazy(
        __name__,
        {
            "Recipe": "kseg.training",
            "batches": "kseg.pipeline",
            "build": "kseg.models",
            "evaluate": "kseg.inference",
            "export": "kseg.bundles",
            "load": "kseg.inference",
            "predict": "kseg.inference",
            "predictor": "kseg.inference",
            "train": "kseg.training.trainer",
        },
    )

    def __getattr__(name):
        if name == "__version__":
            from importlib import metadata

            return metadata.version("kseg")
        return _resolve(name)


__all__ = [
    "Recipe",
    "__version__",
    "batches",
    "build",
    "callbacks",
    "check",
    "datasets",
    "doctor",
    "errors",
    "evaluate",
    "export",
    "geometry",
    "images",
    "inference",
    "instances",
    "layers",
    "load",
    "metrics",
    "models",
    "objectives",
    "pictures",
    "pipeline",
    "predict",
    "predictor",
    "train",
    "training",
    "weights",
]
