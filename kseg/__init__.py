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
        recipes,
        reports,
        serving,
        training,
        weights,
    )
    from kseg.bundles import export
    from kseg.inference.load import load
    from kseg.inference.objects import objects
    from kseg.inference.prediction import predict
    from kseg.inference.predictor import predictor
    from kseg.instances import object_table
    from kseg.models import build
    from kseg.pipeline import batches
    from kseg.recipes import Recipe
    from kseg.reports.evaluate import evaluate
    from kseg.runs.trainer import train

    __version__: str
else:
    _resolve, __dir__ = lazy(
        __name__,
        {
            "Recipe": "kseg.recipes",
            "batches": "kseg.pipeline",
            "build": "kseg.models",
            "evaluate": "kseg.reports",
            "export": "kseg.bundles",
            "load": "kseg.inference",
            "object_table": "kseg.instances",
            "objects": "kseg.inference.objects",
            "predict": "kseg.inference",
            "predictor": "kseg.inference",
            "train": "kseg.runs.trainer",
        },
    )

    _WITHOUT_TENSORFLOW = (
        "Recipe",
        "check",
        "datasets",
        "doctor",
        "errors",
        "geometry",
        "images",
        "instances",
        "metrics",
        "object_table",
        "pictures",
        "recipes",
        "serving",
        "training",
    )

    def __getattr__(name):
        if name == "__version__":
            from importlib import metadata

            return metadata.version("kseg")
        if name in __all__ and name not in _WITHOUT_TENSORFLOW:
            _start_tensorflow()
        return _resolve(name)

    def _start_tensorflow():
        """Imports TensorFlow without its notes, unless it is imported already or Keras has another backend."""
        import os
        import sys

        if "tensorflow" not in sys.modules and os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
            from kseg.device import without_notes

            with without_notes():
                import tensorflow  # noqa: F401


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
    "object_table",
    "objectives",
    "objects",
    "pictures",
    "pipeline",
    "predict",
    "predictor",
    "recipes",
    "reports",
    "serving",
    "train",
    "training",
    "weights",
]
