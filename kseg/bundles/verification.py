"""Whether a bundle does on a server what `predict` does here: the gate that a bundle passes before it leaves.

Its graph is searched for operations that a server lacks or that give other answers each time. Every signature is called
through TensorFlow's C API, as a server in C++ does, in a process that never imports TensorFlow's Python. The masks are
compared with those of `predict`, the warm-up requests are replayed, and a damaged image must spoil only its own answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from kseg.bundles.apart import VerificationFailed, in_c, in_python
from kseg.bundles.graph import BYTES, MASK, PROBABILITIES, SCORES, named
from kseg.bundles.warm_up import FILE, png_of, request_of
from kseg.errors import WeightsError, in_a_line
from kseg.folders import FACTS
from kseg.inference import Predictor, load, predict
from kseg.layers import Average
from kseg.serving.messages import array_of, parsed
from kseg.storage import write_json

FLOOR = 0.999  # the least share of equal pixels
SIZES = ((37, 53), (128, 96), (211, 300), (256, 256))  # height and width of the images that are made
LEGACY = "KSEG_LEGACY_PYTHON"
# Beginnings of the names of operations that a bundle must not have.
FORBIDDEN = {
    "PyFunc": "calls Python",
    "EagerPyFunc": "calls Python",
    "StatelessRandom": "is random",
    "Random": "is random",
    "Multinomial": "is random",
    "XlaLaunch": "needs XLA",
    "XlaCall": "needs XLA",
    "ReadFile": "reads files",
    "WriteFile": "writes files",
    "MatchingFiles": "reads folders",
    "PrintV2": "prints",
}


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what was found.

    Attributes:
      passed: whether everything is as it must be.
      agreement: the least share of equal pixels over the images, 0..1.
      problems: what is wrong, in sentences.
      compared_with: what the masks were compared with.
      images: (height, width) of each image.
      score_difference: the largest difference of a score from that of `predict`.
      precision: what the graph computes in.
      operations: how many the graph has.
      signatures: inputs and outputs of each.
      request_bytes, answer_bytes: of the largest image by signature, as they go over gRPC.
      seconds: the quickest call for the largest image by signature, through the C API.
      warm_up: how many warm-up requests were replayed.
      legacy: the other TensorFlow that loaded the bundle, and the share of equal pixels there; None where none was
        named.
    """

    passed: bool
    agreement: float
    problems: Sequence[str]
    compared_with: str
    images: Sequence[tuple[int, int]]
    score_difference: float
    precision: str
    operations: int
    signatures: Mapping[str, Any]
    request_bytes: Mapping[str, int]
    answer_bytes: Mapping[str, int]
    seconds: Mapping[str, float]
    warm_up: int
    legacy: Mapping[str, Any] | None = None

    def check(self) -> None:
        """Raises VerificationFailed with the problems, if there are any."""
        if not self.passed:
            raise VerificationFailed(f"The bundle was verified and must not be served: {' '.join(self.problems)}")

    def __str__(self) -> str:
        sizes = ", ".join(f"{height} x {width}" for height, width in self.images)
        lines = [
            f"verified: {len(self.signatures)} signatures through the C API on {len(self.images)} images ({sizes}); "
            f"{self.agreement:.4%} of the pixels as {self.compared_with} has them, at least; {self.warm_up} warm-up "
            f"requests; {self.operations:,} operations, none that a server lacks",
        ]
        if self.legacy:
            lines.append(f"TensorFlow {self.legacy['versions']}: {self.legacy['agreement']:.4%} of the pixels")
        return "\n".join([*lines, *self.problems])


def verify(bundle: str | Path, *, images: Sequence[Any] | None = None) -> Verification:
    """Verifies a bundle where it lies, against the same bundle in Python, and writes verify.json into it.

    Args:
      bundle: the folder of a version.
      images: as in `verify_bundle`.

    Raises:
      WeightsError: there is no bundle that kseg can load.
    """
    network = load(bundle)
    if not isinstance(network, Predictor):
        raise WeightsError(f"{bundle}: this is no bundle.", "Export it first.")
    return verify_bundle(Path(bundle), network, compared_with="the bundle in Python", images=images)


def verify_bundle(
    folder: Path,
    network: Predictor | keras.Model,
    *,
    average: Average | None = None,
    compared_with: str = "predict",
    images: Sequence[Any] | None = None,
) -> Verification:
    """Verifies a bundle against a network, and writes verify.json into its folder.

    Args:
      folder: that of a version.
      network: what the bundle was made from.
      average: what its graph averages over.
      compared_with: what `network` is, in words.
      images: (H, W, C) in the type that the bundle takes, or dicts of them by stream; None for made ones.
    """
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    kind = np.dtype(facts["dtype"])
    given = [_streams(each) for each in images] if images is not None else list(made_images(facts["streams"], kind))
    found = _Work(folder, facts, given)
    operations = found.search()
    found.call()
    agreement, difference = found.compare(network, average)
    warm_up = found.replay()
    legacy = found.in_other_tensorflow(os.environ.get(LEGACY))
    if agreement < FLOOR:
        found.problems.append(f"Only {agreement:.3%} of the pixels of an image are as in {compared_with}.")
    result = Verification(
        passed=not found.problems,
        agreement=agreement,
        problems=found.problems,
        compared_with=compared_with,
        images=[next(iter(each.values())).shape[:2] for each in given],
        score_difference=difference,
        precision=facts["precision"],
        operations=operations,
        signatures=found.signatures,
        request_bytes=found.request_bytes,
        answer_bytes=found.answer_bytes,
        seconds=found.seconds,
        warm_up=warm_up,
        legacy=legacy,
    )
    write_json(folder / "verify.json", asdict(result))
    return result


def _streams(image: Any) -> dict[str, np.ndarray]:
    return dict(image) if isinstance(image, Mapping) else {"": np.asarray(image)}


def made_images(streams: Mapping[str, int], kind: np.dtype) -> Iterator[dict[str, np.ndarray]]:
    """Images with edges, slopes and noise, the same each time."""
    rng = np.random.default_rng(0)
    white = 1.0 if kind.kind == "f" else np.iinfo(kind).max
    for height, width in SIZES:
        rows, columns = np.mgrid[:height, :width]
        image = {}
        for stream, channels in streams.items():
            waves = [
                np.sin(rows / (7 + 3 * channel)) * np.cos(columns / (11 - channel % 5)) for channel in range(channels)
            ]
            level = 0.5 + 0.3 * np.stack(waves, -1) + 0.1 * rng.standard_normal((height, width, channels))
            level[(rows // 16 + columns // 24) % 5 == 0] *= 0.3
            image[stream] = (level.clip(0, 1) * white).astype(kind)
        yield image


@dataclass
class _Work:
    """The verification while it goes on."""

    folder: Path
    facts: Mapping[str, Any]
    images: Sequence[Mapping[str, np.ndarray]]
    problems: list[str] = field(default_factory=list)
    signatures: dict[str, Any] = field(default_factory=dict)
    request_bytes: dict[str, int] = field(default_factory=dict)
    answer_bytes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    answers: dict[tuple[str, int], dict[str, np.ndarray]] = field(default_factory=dict)

    def search(self) -> int:
        """Searches the graph for operations that it must not have; how many there are in all."""
        saved = saved_model_pb2.SavedModel.FromString((self.folder / "saved_model.pb").read_bytes())
        count, bad = 0, {}
        for meta_graph in saved.meta_graphs:
            functions = meta_graph.graph_def.library.function
            for nodes in (meta_graph.graph_def.node, *(each.node_def for each in functions)):
                count += len(nodes)
                for node in nodes:
                    for beginning, why in FORBIDDEN.items():
                        if node.op.startswith(beginning):
                            bad[node.op] = why
            if any("_XlaMustCompile" in each.attr and each.attr["_XlaMustCompile"].b for each in functions):
                bad["_XlaMustCompile"] = "needs XLA"
        self.problems += [f"Its graph has the operation {op}, which {why}." for op, why in sorted(bad.items())]
        return count

    @property
    def takes_files(self) -> bool:
        """Whether its images can be PNGs."""
        return self.facts["dtype"] != "float32" and all(each in (1, 3) for each in self.facts["streams"].values())

    def call(self) -> None:
        """Calls every signature for every image through the C API, and a damaged file beside a whole one."""
        calls: list[tuple[str, int]] = []
        requests = []
        for number, streams in enumerate(self.images):
            stored = {stream or "images": image[None] for stream, image in streams.items()}
            for signature in (MASK, SCORES, PROBABILITIES):
                calls.append((signature, number))
                requests.append(request_of("", signature, stored))
            if self.takes_files:
                files = {
                    name: np.array([png_of(image[0]), b"\x89PNG damaged"], object) for name, image in stored.items()
                }
                calls.append((BYTES, number))
                requests.append(request_of("", BYTES, files))
        self.signatures, answers, times = in_c(self.folder, requests)
        for key, request, answer, seconds in zip(calls, requests, answers, times, strict=True):
            outputs = {name: array_of(each) for name, each in answer.outputs.items()}
            if list(outputs) == ["error"]:
                self.problems.append(f"{key[0]} failed: {in_a_line(outputs['error'][0].decode(), 200)}")
                continue
            self.answers[key] = outputs
            sizes = request.ByteSize(), answer.ByteSize()
            if sizes[0] >= self.request_bytes.get(key[0], 0):
                self.request_bytes[key[0]], self.answer_bytes[key[0]] = sizes
                self.seconds[key[0]] = round(seconds, 4)
        self._check_contract()

    def _check_contract(self) -> None:
        """Checks that the signatures take and give what kseg promises."""
        heads, streams = self.facts["heads"], self.facts["streams"]
        stored = {
            stream or "images": [self.facts["dtype"], [-1, -1, -1, channels]] for stream, channels in streams.items()
        }
        encoded = {stream or "images": ["string", [-1]] for stream in streams}
        masks = {
            named("mask", head): ["uint8" if classes <= 256 else "int32", [-1, -1, -1]]
            for head, classes in heads.items()
        }
        files = {f"{named('mask', head)}_bytes": ["string", [-1]] for head in heads}
        wanted = {
            MASK: (stored, masks),
            SCORES: (stored, {named("scores", head): ["float32", [-1] * 3 + [count]] for head, count in heads.items()}),
            PROBABILITIES: (
                stored,
                {named("probabilities", head): ["float32", [-1] * 3 + [count]] for head, count in heads.items()},
            ),
            BYTES: (encoded, {**files, "height_width": ["int32", [-1, 2]], "error": ["string", [-1]]}),
        }
        for name, (inputs, outputs) in wanted.items():
            if name not in self.signatures:
                self.problems.append(f"It has no signature {name}.")
            elif self.signatures[name] != {"inputs": inputs, "outputs": outputs}:
                self.problems.append(f"Signature {name} takes or gives something else: {self.signatures[name]}.")

    def compare(self, network: Any, average: Average | None) -> tuple[float, float]:
        """The least share of equal pixels of an image, and the largest difference of a score."""
        from kseg.inference import predict_scores

        least, most = 1.0, 0.0
        options = {"average": average, "precision": self.facts["precision"]}
        for number, streams in enumerate(self.images):
            image = streams.get("", streams)
            expected, scores = predict(network, image, **options), predict_scores(network, image, **options)
            for head in self.facts["heads"]:
                mask, score = (each[head] if head else each for each in (expected, scores))
                found = self.answers.get((MASK, number), {}).get(named("mask", head))
                if found is None or found.shape[1:] != mask.shape:
                    least = 0.0
                    continue
                least = min(least, float((found[0] == mask).mean()))
                other = self.answers.get((SCORES, number), {}).get(named("scores", head))
                if other is not None:
                    most = max(most, float(np.abs(other[0] - score).max()))
                self._compare_files(number, head, found[0])
        return least, most

    def _compare_files(self, number: int, head: str, mask: np.ndarray) -> None:
        """Checks the answer to a file and to a damaged one beside it."""
        answer = self.answers.get((BYTES, number))
        if answer is None:
            return
        whole, damaged = answer[f"{named('mask', head)}_bytes"]
        errors = [each.decode() for each in answer["error"]]
        kind = tf.uint8 if mask.dtype == np.uint8 else tf.uint16
        if errors[0] or not np.array_equal(tf.io.decode_png(whole, dtype=kind).numpy()[..., 0], mask):
            self.problems.append(f"A PNG's mask is not that of its pixels. {errors[0]}".strip())
        if damaged or not errors[1] or answer["height_width"][1].any():
            self.problems.append("A damaged file has no error in its answer.")

    def replay(self) -> int:
        """Replays the warm-up; how many requests it has."""
        if not (self.folder / FILE).exists():
            self.problems.append("It has no warm-up requests.")
            return 0
        records = tf.data.TFRecordDataset(str(self.folder / FILE)).as_numpy_iterator()
        requests = [parsed("PredictionLog", each).predict_log.request for each in records]
        _, answers, _ = in_c(self.folder, requests)
        failed = [array_of(each.outputs["error"])[0].decode() for each in answers if list(each.outputs) == ["error"]]
        self.problems += [f"A warm-up request failed: {in_a_line(each, 200)}" for each in failed[:1]]
        return len(requests)

    def in_other_tensorflow(self, python: str | None) -> dict[str, Any] | None:
        """Loads the bundle in another interpreter's TensorFlow and compares its masks; None where none is named."""
        if not python:
            return None
        try:
            versions, masks = in_python(python, self.folder, self.images)
        except VerificationFailed as error:
            self.problems.append(str(error))
            return {"python": python, "versions": "unknown", "agreement": 0.0}
        agreement = min(
            float((masks[number][name] == mask).mean())
            for (signature, number), outputs in self.answers.items()
            for name, mask in outputs.items()
            if signature == MASK
        )
        if agreement < FLOOR:
            self.problems.append(f"In TensorFlow {versions} only {agreement:.3%} of the pixels are equal.")
        return {"python": python, "versions": versions, "agreement": agreement}
