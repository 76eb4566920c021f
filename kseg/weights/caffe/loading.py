"""Loads Caffe's files into kseg's networks: into an existing one, or into the network that the file holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras

from kseg.errors import ConfigError, WeightsError
from kseg.layers import InputScaling
from kseg.models import build
from kseg.weights.caffe.caffemodel import read_caffemodel
from kseg.weights.caffe.recognition import own_preprocessing, recognised, renamed
from kseg.weights.fill import fill
from kseg.weights.load_report import LoadReport

_TRAINING_ONLY = ("loss1.", "loss2.")  # GoogLeNet's auxiliary classifiers


def load_caffemodel(model: keras.Model, path: str | Path) -> LoadReport:
    """Fills the layers of `model` with the weights that the file has under their names; logs a report.

    A layer whose shape differs, such as scores of another number of classes, keeps its initial values. A file of one
    stream fills every stream of the network. A colour network's file fills the first convolution of early fusion.

    Args:
      model: a network of kseg's.
      path: a .caffemodel (V0, V1 or V2) or .caffemodel.h5.

    Raises:
      WeightsError: the file can't be read, or fits no layer.
    """
    return fill(model, renamed(read_caffemodel(path))).logged(str(path), model.name)


def import_caffemodel(
    path: str | Path,
    *,
    network: str | None = None,
    preprocessing: InputScaling | Mapping[str, InputScaling] | str | None = "own",
) -> keras.Model:
    """The network in the file, with all its weights; logs a report.

    Network, backbone, widths, classes, heads, streams and up-sampling follow from the layers' names and shapes.

    Args:
      path: a .caffemodel (V0, V1 or V2) or .caffemodel.h5 of FCN's or U-Net's authors, or of VGG16, CaffeNet or
        GoogLeNet.
      network: the registered name of the network, if the one that kseg finds is wrong.
      preprocessing: the first layer's constants, as `kseg.build` takes them; "own" for those the network was trained
        with. They can't be told from a network of NYUDv2's 40 classes.

    Raises:
      WeightsError: the file can't be read, holds none of kseg's networks, or only a part of one.
    """
    source = renamed(read_caffemodel(path))
    try:
        name, options = recognised(source)
        if preprocessing == "own":
            preprocessing = own_preprocessing(name, options)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.what}", *error.fix) from error
    order = [layer for layer in source if layer in ("norm1", "pool1")]
    if name == "alexnet" and order == ["norm1", "pool1"]:
        raise WeightsError(
            f"{path}: this network normalises before it pools, as bvlc_alexnet does; kseg's alexnet, CaffeNet, pools "
            "first.",
            "Use bvlc_reference_caffenet, or load these weights into it all the same (load_caffemodel).",
        )
    try:
        model = build(network or name, preprocessing=preprocessing, **options)
    except ConfigError as error:
        if network:
            raise
        raise WeightsError(f"{path}: {error.what}", *error.fix) from error
    report = fill(model, source)
    extra = [layer for layer in report.unused if not layer.startswith(_TRAINING_ONLY)]
    if report.initial or report.refused or extra:
        raise WeightsError(
            f"{path}: looks like {network or name}, but does not fill it exactly.\n{report}\n",
            "Build the network that it is meant for, and load what fits (load_caffemodel).",
        )
    report.logged(str(path), model.name)
    return model
