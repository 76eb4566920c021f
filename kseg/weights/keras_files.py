"""Reads files of Keras: networks (`.keras`), and keras.applications' VGG16, an HDF5 file with a group per layer.

VGG16's numbers come from the VGG team's Caffe model: BGR, 0 to 255, mean subtracted. They fit kseg's networks
unchanged. Source: facts of the FCN release, section 1.4; keras.applications.vgg16.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from kseg.errors import Setting, WeightsError, in_a_line
from kseg.weights.fill import fill
from kseg.weights.hdf5 import open_hdf5, rows
from kseg.weights.layouts import Tensor
from kseg.weights.load_report import LoadReport

FULL = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
NAMES = {
    **{f"block{block}_conv{number}": f"conv{block}_{number}" for block in range(1, 6) for number in range(1, 4)},
    "fc1": "fc6",
    "fc2": "fc7",
    "predictions": "fc8",
}


def read_keras_file(path: Path) -> keras.Model:
    """The network in a `.keras` file.

    Raises:
      WeightsError: it can't be loaded.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("no zip archive, which .keras files are")
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise WeightsError(
            f"{path}: this file can't be loaded ({in_a_line(error)}).",
            "Is it whole, and written by Keras 3? If it has layers of your own, import their module first (",
            Setting("plugin"),
            ").",
        ) from error


def load_keras_applications(model: keras.Model, path: str | Path) -> LoadReport:
    """Fills `model` with keras.applications' VGG16 from an HDF5 file; logs a report.

    Args:
      model: a network with VGG16's layer names, as `vgg16` and the FCNs with it.
      path: `vgg16_weights_tf_dim_ordering_tf_kernels.h5`, the `_notop` one, or a file of the same layout.

    Raises:
      WeightsError: the file is broken, has no VGG16 of keras.applications in it, or fits no layer.
    """
    with read_keras_applications(path) as source:
        report = fill(model, source)
    if "fc6" not in source and any(name.startswith("fc6") for name in report.initial):
        report.notes.append(
            f"{Path(path).name} has no fully connected layers; {FULL} has them (`kseg weights fetch vgg16-keras`)."
        )
    return report.logged(str(path), model.name)


@contextmanager
def read_keras_applications(path: str | Path) -> Iterator[dict[str, list[Tensor]]]:
    """The tensors of each layer, by kseg's names, kernel before bias; they can be read within the `with` block.

    Raises:
      WeightsError: the file is broken, or has no VGG16 of keras.applications in it.
    """
    with open_hdf5(path) as datasets:
        source: dict[str, list[Tensor]] = {}
        for path_in_file, dataset in datasets.items():
            layer = next((part for part in path_in_file.split("/") if part in NAMES), None)
            if layer is not None and dataset.shape and not path_in_file.startswith("optimizer"):
                tensors = source.setdefault(NAMES[layer], [])
                tensors.append(Tensor(dataset.shape, rows(dataset), "keras"))
                tensors.sort(key=lambda tensor: -len(tensor.shape))  # the kernel has more axes than the bias
        if "conv1_1" not in source:
            raise WeightsError(
                f"{path}: no VGG16 of keras.applications: no layer block1_conv1, but {', '.join(list(datasets)[:3])}.",
                "Is it the right file?",
            )
        yield source
