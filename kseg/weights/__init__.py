"""Published weights, and loaders that put them into kseg's networks. Names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kseg.lazy import lazy

if TYPE_CHECKING:
    from kseg.weights.caffe.loading import import_caffemodel, load_caffemodel
    from kseg.weights.files import import_weights, initial_weights, load_weights
    from kseg.weights.keras_files import load_keras_applications
    from kseg.weights.load_report import LoadReport
    from kseg.weights.torch.torchvision import load_torchvision
    from kseg.weights.transplants import transplant
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "LoadReport": "kseg.weights.load_report",
            "import_caffemodel": "kseg.weights.caffe.loading",
            "import_weights": "kseg.weights.files",
            "initial_weights": "kseg.weights.files",
            "load_caffemodel": "kseg.weights.caffe.loading",
            "load_keras_applications": "kseg.weights.keras_files",
            "load_torchvision": "kseg.weights.torch.torchvision",
            "load_weights": "kseg.weights.files",
            "transplant": "kseg.weights.transplants",
        },
    )

__all__ = [
    "LoadReport",
    "import_caffemodel",
    "import_weights",
    "initial_weights",
    "load_caffemodel",
    "load_keras_applications",
    "load_torchvision",
    "load_weights",
    "transplant",
]
