"""Loads any file of weights, whose kind its content tells: into an existing network, or into the file's own."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import keras

from kseg.errors import ConfigError, Setting, WeightsError, in_a_line
from kseg.folders import BEST_NETWORK, keras_file
from kseg.layers import InputScaling
from kseg.models import NETWORKS, build
from kseg.weights.caffe.caffemodel import START, other_kind
from kseg.weights.caffe.loading import import_caffemodel, load_caffemodel
from kseg.weights.caffe.recognition import own_preprocessing, recognised
from kseg.weights.hdf5 import open_hdf5
from kseg.weights.keras_files import load_keras_applications, read_keras_applications
from kseg.weights.layouts import Tensor
from kseg.weights.load_report import LoadReport
from kseg.weights.sources import fetched
from kseg.weights.sources import recognised as published
from kseg.weights.torch.torch_file import open_torch
from kseg.weights.torch.torchvision import layers_of, load_torchvision
from kseg.weights.transplants import transplant

_TAKEN = "Name a .caffemodel or .caffemodel.h5, keras.applications' .h5, PyTorch's .pth, a .keras file or a run folder."
Kind = Literal["caffemodel", "keras_applications", "torchvision", "keras"]
# The classifier by the beginning of its first layer's name, longer beginnings first
_IMAGENET = {"conv1_1": "vgg16-keras", "conv1.7x7_s2": "googlenet", "conv1": "caffenet"}


def kind_of(path: str | Path) -> Kind:
    """The kind of a file, by its content; a run folder counts as its `.keras` file.

    Raises:
      WeightsError: there is no such file, it is broken, or of a kind that has no weights.
    """
    path = Path(path)
    if keras_file(path):
        return "keras"
    if not path.is_file():
        found = f"a folder without {BEST_NETWORK}" if path.is_dir() else "there is no such file"
        raise WeightsError(f"{path}: {found}.", _TAKEN)
    with path.open("rb") as stream:
        start = stream.read(START)
    if start.startswith(b"\x89HDF"):
        with open_hdf5(path) as datasets:
            return "caffemodel" if any(name.startswith("data/") for name in datasets) else "keras_applications"
    if start.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise WeightsError(f"{path}: broken zip archive ({in_a_line(error)}).", "Fetch it again.") from error
        if "config.json" in names:
            return "keras"
        if any(name.endswith("data.pkl") for name in names):
            return "torchvision"
        raise WeightsError(f"{path}: a zip archive that holds no network.", _TAKEN)
    if start.startswith(b"\x80\x02"):
        return "torchvision"
    if other := other_kind(start):
        raise WeightsError(f"{path}: no weights but {other}.", _TAKEN)
    return "caffemodel"


def load_weights(model: keras.Model, path: str | Path) -> LoadReport:
    """Fills `model` with the weights of a file of any kind; logs a report.

    Args:
      model: a network.
      path: a .caffemodel or .caffemodel.h5, keras.applications' .h5, a .pth, a .keras file, or a run folder.

    Raises:
      WeightsError: the file can't be read, or has nothing for this network.
    """
    kind = kind_of(path)
    if kind == "caffemodel":
        return load_caffemodel(model, path)
    if kind == "keras_applications":
        return load_keras_applications(model, path)
    return load_torchvision(model, path) if kind == "torchvision" else transplant(path, model)


def initial_weights(model: keras.Model, what: str | Path | Mapping[str, Path]) -> LoadReport | None:
    """Fills `model` with the weights that it starts from; logs a report. None for no weights.

    Args:
      model: a network with fresh weights.
      what: "none"; "imagenet", the classifier of its backbone, from the cache or downloaded; a file of weights, a
        `.keras` file or a run folder; or by stream a `.keras` file or run folder each.

    Raises:
      ConfigError: no ImageNet classifier is known for the network.
      EnvironmentFailure: it could not be downloaded; the message says which file to bring and where to put it.
      WeightsError: the file can't be read, or has nothing for this network.
    """
    if what == "none":
        return None
    if isinstance(what, Mapping):
        return transplant(what, model)
    if what != "imagenet":
        return load_weights(model, what)
    return load_weights(model, fetched(classifier_of(model)))


def classifier_of(model: keras.Model) -> str:
    """The name, in `sources`, of the ImageNet classifier from which the backbone of `model` comes.

    Raises:
      ConfigError: none is known.
    """
    names = [layer.name for layer in model.layers if layer.weights]
    found = next((name for start, name in _IMAGENET.items() if any(n.startswith(start) for n in names)), None)
    if found is None:
        raise ConfigError(f"{model.name}: there are no ImageNet weights for it.", "Give a file of weights, or none.")
    return found


def import_weights(
    path: str | Path, *, network: str | None = None, preprocessing: InputScaling | str | None = "own"
) -> keras.Model:
    """The network in a file, with its weights; logs a report.

    Args:
      path: as in `load_weights`, except `.keras` files.
      network: a registered name, if the file is for another network or can't tell it; then a file that is not Caffe's
        may fill it in part.
      preprocessing: the first layer's constants, as `kseg.build` takes them.

    Raises:
      WeightsError: the file can't be read, is of no network of kseg's, or does not fill it.
    """
    kind = kind_of(path)
    if kind == "caffemodel":
        return import_caffemodel(path, network=network, preprocessing=preprocessing)
    if kind == "keras":
        raise WeightsError(
            f"{path}: this is a network already.",
            *("Evaluate, predict and export take it unchanged; train takes it as ", Setting("init_weights"), "."),
        )
    with _as_caffe(path, kind) as source:
        try:
            found, options = recognised(source)
            found = network or _settled(path, found, kind)
            if preprocessing == "own" and "score_fr" in source:
                preprocessing = own_preprocessing(found, options)
        except WeightsError as error:
            raise WeightsError(f"{path}: {error.what}", *error.fix) from error
    if network and "score_fr" not in source and network not in ("vgg16", "alexnet", "googlenet"):
        options.pop("classes", None)  # those of the classifier
        options.pop("input_shape", None)
    known = inspect.signature(NETWORKS.get(found)).parameters
    model = build(found, preprocessing=preprocessing, **{key: value for key, value in options.items() if key in known})
    report = load_weights(model, path)
    if network is None and (report.initial or report.refused):
        raise WeightsError(
            f"{path}: looks like {found}, but does not fill it.\n{report}\n",
            *("Name the network that it is for (", Setting("network"), "): it then takes what fits."),
        )
    return model


@contextmanager
def _as_caffe(path: str | Path, kind: Kind) -> Iterator[Mapping[str, Sequence[Tensor]]]:
    """The file's layers with the shapes they would have in Caffe's. Of Keras' tensors only the shapes can be used."""
    if kind == "torchvision":
        with open_torch(path) as tensors:
            yield layers_of(tensors)
        return
    with read_keras_applications(path) as source:
        yield {name: [_sized(tensor) for tensor in tensors] for name, tensors in source.items()}


def _sized(tensor: Tensor) -> Tensor:
    """A tensor in Caffe's order of axes; its numbers stay in Keras' order."""
    return Tensor((*tensor.shape[:-3:-1], *tensor.shape[:-2]), tensor.read, "caffe")


def _settled(path: str | Path, found: str, kind: Kind) -> str:
    """The network's name. pytorch-fcn's FCN-8s looks like its at-once form, whose two factors are not in the file.

    Raises:
      WeightsError: it could be either; the message does not name the file.
    """
    if kind == "torchvision" and found == "fcn8s":
        known = {"voc-fcn8s-pth": "fcn8s", "voc-fcn8s-atonce-pth": "fcn8s-atonce"}
        name = published(path)
        if name not in known:
            raise WeightsError(
                "FCN-8s or its at-once form; a .pth can't tell.",
                *("Give ", Setting("network", "fcn8s"), " or ", Setting("network", "fcn8s-atonce"), "."),
            )
        return known[name]
    return found
