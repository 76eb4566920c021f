"""A network as a BioImage.IO model, for deepImageJ, ilastik, napari and QuPath (the extra `bioimageio`).

The weights are ONNX and a SavedModel of the network alone: they take grey levels or colours as they are stored, as
float32, at the sizes that the network takes, and give probabilities. The programs cut images into tiles by the sizes
and the halo that stand in the description.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.bundles.forms import to_onnx
from kseg.bundles.verification import made_images
from kseg.errors import EnvironmentFailure, ExportError, in_a_line
from kseg.folders import path_of
from kseg.geometry import Geometry
from kseg.images import write_image
from kseg.inference import computing_in, predictor
from kseg.pictures import drawn_classes
from kseg.storage import aside

PAPERS = {
    "unet": ("Ronneberger, Fischer, Brox: U-Net (MICCAI 2015)", "10.1007/978-3-319-24574-4_28"),
    "fcn": ("Shelhamer, Long, Darrell: Fully Convolutional Networks (PAMI 2017)", "10.1109/TPAMI.2016.2572683"),
}
OPSET = 17
INPUT, OUTPUT = "images", "probabilities"
SHOWN = 512  # pixels: the longest side of the cover


def write_bioimageio(
    model: keras.Model,
    base: str | Path,
    *,
    name: str,
    licence: str | None,
    authors: Sequence[str] = (),
    run: str | Path | None = None,
) -> Path:
    """Writes `model` as BASE/NAME.zip, completely or not at all, and tests it with bioimageio.core.

    Args:
      model: a network with one stream and one head, which tiles fit (a margin is known).
      base: a folder.
      name: of the model, and of the file.
      licence: the SPDX identifier of the weights' licence, as CC-BY-4.0. kseg does not guess it: it depends on the data
        and on you.
      authors: the names of those who trained it.
      run: the run folder or preset that the network comes from, whose model card it gets.

    Raises:
      ExportError: there is no licence, the file exists, the network does not fit, or the test by bioimageio.core fails.
      EnvironmentFailure: bioimageio.core is not installed, or the disk is full.
    """
    if not licence:
        raise ExportError("BioImage.IO needs the licence of the weights.", "Name it: --license CC-BY-4.0, for example.")
    network = predictor(model)
    if set(network.streams) != {""} or set(network.heads) != {""} or network.geometry.margin is None:
        raise ExportError(
            f"{model.name}: BioImage.IO takes networks with one input, one output and a known margin.",
            "Export it as a bundle.",
        )
    try:
        from bioimageio.core import test_model
        from bioimageio.spec import save_bioimageio_package
    except ImportError as error:
        raise EnvironmentFailure("bioimageio.core is not installed.", "pip install 'kseg[bioimageio]'") from error
    path = Path(base) / f"{name}.zip"
    if path.exists():
        raise ExportError(f"{path}: this exists.", "Choose another name, or move it away.")
    with tempfile.TemporaryDirectory(prefix="kseg-") as place, aside(path) as temporary:
        folder = Path(place)
        _write_weights(model, folder)
        _write_tests(model, folder)
        card = path_of(str(run)) / "MODEL_CARD.md" if run is not None else None
        if card is not None and card.is_file():
            shutil.copyfile(card, folder / "README.md")
        else:
            (folder / "README.md").write_text(f"# {name}\n\nA {model.name} by kseg.\n", encoding="utf-8")
        try:
            described = _described(model, folder, name, licence, authors)
            save_bioimageio_package(described, output_path=temporary)
            tested = [test_model(temporary, weight_format=kind) for kind in ("onnx", "tensorflow_saved_model_bundle")]
        except Exception as error:
            raise ExportError(f"{name}: no BioImage.IO model can be made ({in_a_line(error, 300)}).") from error
        failed = [each for each in tested if each.status != "passed"]
        if failed:
            raise ExportError(f"{name}: bioimageio.core's test failed: {in_a_line(failed[0].format(), 600)}")
    return path


def _write_weights(model: keras.Model, folder: Path) -> None:
    """The network alone, from (N, H, W, C) float32 to (N, H', W', K) float32."""
    channels = model.input.shape[-1]
    takes = [tf.TensorSpec((None, None, None, channels), tf.float32, name=INPUT)]

    @tf.autograph.experimental.do_not_convert
    def shares(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT: tf.nn.softmax(model(images, training=False))}

    archive = keras.export.ExportArchive()
    archive.track(model)
    with computing_in(model, "float32"):
        archive.add_endpoint("serving_default", shares, input_signature=takes)
        archive.write_out(str(folder / "saved_model"), verbose=False)
    to_onnx(folder / "saved_model", folder / "weights.onnx", OPSET)
    shutil.make_archive(str(folder / "saved_model"), "zip", folder / "saved_model")


def _write_tests(model: keras.Model, folder: Path) -> None:
    """An input with its output, and a picture of both."""
    network = predictor(model)
    *_, streams = made_images(network.streams, np.dtype(np.uint8))
    image = streams[""].astype(np.float32) * (1 if network.white is None else network.white / 255)
    geometry = network.geometry
    side = geometry.next_input(256 + 2 * geometry.border)
    image = np.pad(image, [(0, max(0, side - length)) for length in image.shape[:2]] + [(0, 0)], mode="symmetric")
    image = image[:side, :side]
    found = tf.nn.softmax(network(image[None])).numpy()
    np.save(folder / "test_input.npy", image[None])
    np.save(folder / "test_output.npy", found)
    reading = network.readings[""]
    names = reading.names(found.shape[-1])
    border = (side - found.shape[1]) // 2
    cut = image[border : border + found.shape[1], border : border + found.shape[2]]
    drawn = drawn_classes(cut.clip(0, 255).astype(np.uint8), found[0].argmax(-1).astype(np.uint8), names)
    write_image(folder / "cover.png", drawn[:SHOWN, :SHOWN])


def _described(model: keras.Model, folder: Path, name: str, licence: str, authors: Sequence[str]) -> Any:
    """The description, with the sizes and the halo of the network's own geometry."""
    from bioimageio.spec.model import v0_5 as spec

    network = predictor(model)
    geometry, reading = network.geometry, network.readings[""]
    classes = [_identifier(each, number) for number, each in enumerate(reading.names(network.heads[""]))]
    channels = network.streams[""]
    colours = {1: ["grey"], 3: ["red", "green", "blue"]}.get(channels, [f"channel{each}" for each in range(channels)])
    size = spec.ParameterizedSize(min=_least_tile(geometry), step=geometry.steps)
    loss = 2 * geometry.border
    image = spec.InputTensorDescr(
        id=spec.TensorId(INPUT),
        description="grey levels or colours, as they are stored",
        axes=[
            spec.BatchAxis(),
            *(spec.SpaceInputAxis(id=spec.AxisId(axis), size=size) for axis in "yx"),
            spec.ChannelAxis(channel_names=[spec.Identifier(each) for each in colours]),
        ],
        test_tensor=spec.FileDescr(source=folder / "test_input.npy"),
        data=spec.IntervalOrRatioDataDescr(type="float32", range=(0, network.white)),
    )

    def space(axis: str) -> Any:
        reference = spec.SizeReference(tensor_id=spec.TensorId(INPUT), axis_id=spec.AxisId(axis), offset=-loss)
        halo = 0 if loss else geometry.margin
        if halo:
            return spec.SpaceOutputAxisWithHalo(id=spec.AxisId(axis), size=reference, halo=halo)
        return spec.SpaceOutputAxis(id=spec.AxisId(axis), size=reference)

    shares = spec.OutputTensorDescr(
        id=spec.TensorId(OUTPUT),
        description="the probability of each class",
        axes=[
            spec.BatchAxis(),
            *(space(axis) for axis in "yx"),
            spec.ChannelAxis(channel_names=[spec.Identifier(each) for each in classes]),
        ],
        test_tensor=spec.FileDescr(source=folder / "test_output.npy"),
        data=spec.IntervalOrRatioDataDescr(type="float32", range=(0, 1)),
    )
    family = "unet" if model.name.startswith("unet") else "fcn"
    text, doi = PAPERS[family]
    opset = spec.OnnxWeightsDescr(source=folder / "weights.onnx", opset_version=OPSET, parent=None)
    saved = spec.TensorflowSavedModelBundleWeightsDescr(
        source=folder / "saved_model.zip",
        tensorflow_version=spec.Version(metadata.version("tensorflow")),
        parent="onnx",
    )
    return spec.ModelDescr(
        name=name,
        description=f"Classes {', '.join(reading.names(network.heads['']))}, by a {model.name} trained with kseg."[
            :1024
        ],
        authors=[spec.Author(name=each) for each in authors],
        cite=[spec.CiteEntry(text=text, doi=spec.Doi(doi))],
        license=spec.LicenseId(licence),
        documentation=spec.FileDescr(source=folder / "README.md"),
        covers=[spec.FileDescr(source=folder / "cover.png")],
        tags=["segmentation", "semantic-segmentation", family],
        inputs=[image],
        outputs=[shares],
        weights=spec.WeightsDescr(onnx=opset, tensorflow_saved_model_bundle=saved),
    )


def _least_tile(geometry: Geometry) -> int:
    """The smallest tile whose middle does not depend on its edges, at a size that the network takes."""
    return geometry.next_input(2 * (geometry.margin or 0) + 2 * geometry.border + 1)


def _identifier(text: str, number: int) -> str:
    """A class's name as an identifier."""
    found = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in text).strip("_")
    return found if found.isidentifier() else f"class_{number}"
