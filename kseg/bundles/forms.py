"""A network in other programs' forms: ONNX, LiteRT, OpenVINO. Each is compared with `predict` before it is kept.

All take `images` (N, H, W, C) as they are stored, or one input for each stream, and give `mask` and `scores`, or those
of each head. Borders, scaling, average and threshold are inside, as in a bundle.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kseg.bundles.graph import input_kind, named, whole_image
from kseg.bundles.verification import FLOOR, VerificationFailed, made_images
from kseg.errors import EnvironmentFailure, ExportError, in_a_line
from kseg.inference import Predictor, parts_of, predict, predictor
from kseg.inference.averaging import averaged
from kseg.inference.graphs import class_ids
from kseg.layers import Average
from kseg.storage import aside

OPSET = 17  # of ONNX
Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Form:
    """Another program's form.

    Attributes:
      ending: of its file.
      packages: what is needed, as pip names it: to import, and to install.
      write: from the bundle with one signature, to the file.
      runner: what computes with the file: from arrays by name to arrays by name.
    """

    ending: str
    packages: Mapping[str, str]
    write: Callable[[Path, Path, str], None]
    runner: Callable[[Path], Run]


@dataclass(frozen=True)
class Written:
    """A file in another form, and how well it agrees.

    Attributes:
      path: the file.
      agreement: the least share of equal pixels over the images, 0..1.
      score_difference: the largest difference of a score.
    """

    path: Path
    agreement: float
    score_difference: float


def write_form(
    model: keras.Model,
    base: str | Path,
    *,
    name: str,
    form: str,
    average: Average | None = None,
    precision: str = "float32",
) -> Written:
    """Writes `model` as BASE/NAME.onnx, .tflite or .xml (with .bin beside it), completely or not at all.

    Args:
      model: a network of kseg's.
      base: a folder.
      name: of the file.
      form: one of FORMS.
      average: the average that the graph computes; None for the network's own.
      precision: float32; or mixed_float16, for weights of 16 bits in litert and openvino.

    Raises:
      ExportError: the file exists, the network can't be written so, or the form has no such precision.
      VerificationFailed: its masks are not those of `predict`. Nothing is left.
      EnvironmentFailure: a package is missing, or the disk is full.
    """
    kind = FORMS[form]
    for module, package in kind.packages.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise EnvironmentFailure(f"{package} is not installed.", f"pip install 'kseg[{form}]'") from error
    if precision not in (("float32",) if form == "onnx" else ("float32", "mixed_float16")):
        raise ExportError(f"{form} is not written in {precision}.", "Leave the precision out.")
    path = Path(base) / f"{name}{kind.ending}"
    if path.exists():
        raise ExportError(f"{path}: this exists.", "Choose another name, or move it away.")
    network = predictor(model)
    held = network.outer_average(average)
    with tempfile.TemporaryDirectory(prefix="kseg-") as place, aside(path) as temporary:
        core = Path(place, "core")
        _write_core(model, network, held, core)
        try:
            kind.write(core, temporary, precision)
        except Exception as error:
            raise ExportError(f"{model.name}: it can't be written as {form} ({in_a_line(error, 300)}).") from error
        agreement, difference = _compared(kind.runner(temporary), network, held, model)
        if agreement < FLOOR and precision == "float32":
            raise VerificationFailed(f"{form}: only {agreement:.3%} of the pixels of an image are as in predict.")
        beside = temporary.with_suffix(".bin")
        if form == "openvino":
            beside.replace(path.with_suffix(".bin"))
    return Written(path, agreement, difference)


def _write_core(model: keras.Model, network: Predictor, average: Average, folder: Path) -> None:
    """A SavedModel with one signature, which converters read: plain layers, no files, no strings."""
    one_pass, kind = whole_image(model), input_kind(model)
    takes = [
        tf.TensorSpec((None, None, None, channels), kind, name=stream or "images")
        for stream, channels in network.streams.items()
    ]

    @tf.autograph.experimental.do_not_convert
    def both(*images: tf.Tensor) -> dict[str, tf.Tensor]:
        joined = tf.concat([tf.cast(each, tf.float32) for each in images], axis=-1)
        parts = parts_of(averaged(joined, one_pass, average), network.heads)
        masks = {
            named("mask", head): tf.cast(class_ids(part, network.readings[head]), tf.int32)
            for head, part in parts.items()
        }
        return {**masks, **{named("scores", head): tf.identity(part) for head, part in parts.items()}}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", both, input_signature=takes)
    archive.write_out(str(folder), verbose=False)


def _compared(run: Run, network: Predictor, average: Average, model: keras.Model) -> tuple[float, float]:
    """The least share of equal pixels of an image, and the largest difference of a score."""
    from kseg.inference import predict_scores

    least, most = 1.0, 0.0
    for streams in made_images(network.streams, np.dtype(input_kind(model).as_numpy_dtype)):
        found = run({stream or "images": image[None] for stream, image in streams.items()})
        image = streams.get("", streams)
        masks, scores = predict(network, image, average=average), predict_scores(network, image, average=average)
        for head in network.heads:
            mask, score = (each[head] if head else each for each in (masks, scores))
            least = min(least, float((found[named("mask", head)][0] == mask).mean()))
            most = max(most, float(np.abs(found[named("scores", head)][0] - score).max()))
    return least, most


def _write_onnx(core: Path, path: Path, precision: str) -> None:
    to_onnx(core, path, OPSET)


def to_onnx(core: Path, path: Path, opset: int) -> None:
    """Writes a SavedModel's only signature as ONNX, with the names of its inputs and outputs."""
    import tf2onnx

    loaded = tf.saved_model.load(str(core))
    call = loaded.signatures["serving_default"]
    takes = list(call.structured_input_signature[1].values())

    def ordered(*images: tf.Tensor) -> dict[str, tf.Tensor]:
        return call(**{spec.name: image for spec, image in zip(takes, images, strict=True)})

    function = tf.function(ordered, input_signature=takes, autograph=False)
    tf2onnx.convert.from_function(function, input_signature=takes, opset=opset, output_path=str(path))


def _run_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, dict(images)), strict=True))


def _write_litert(core: Path, path: Path, precision: str) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(core), signature_keys=["serving_default"])
    if precision == "mixed_float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())


def _run_litert(path: Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    return lambda images: Interpreter(model_path=str(path)).get_signature_runner("serving_default")(**images)


def _write_openvino(core: Path, path: Path, precision: str) -> None:
    import openvino

    openvino.save_model(openvino.convert_model(str(core)), str(path), compress_to_fp16=precision == "mixed_float16")


def _run_openvino(path: Path) -> Run:
    import openvino

    compiled = openvino.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(images: Arrays) -> Arrays:
        found = compiled(dict(images))
        return {next(iter(each.get_names())): found[each] for each in compiled.outputs}

    return run


FORMS: dict[str, Form] = {
    "onnx": Form(".onnx", {"tf2onnx": "tf2onnx", "onnxruntime": "onnxruntime"}, _write_onnx, _run_onnx),
    "litert": Form(".tflite", {"ai_edge_litert": "ai-edge-litert"}, _write_litert, _run_litert),
    "openvino": Form(".xml", {"openvino": "openvino"}, _write_openvino, _run_openvino),
}
"""The forms by name."""
