"""A stand-in for TensorFlow Serving on 127.0.0.1: the documented REST and gRPC protocol around loaded bundles.

It is not TensorFlow Serving, of which no program could be had where kseg was made. It answers what the server's public
source says (shared docs, section 11), and can be told to fail in the ways in which servers fail.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc
import numpy as np

from kseg.serving.messages import KINDS, STRING, array_of, new, parsed, tensors

HTTP = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503}
NAMES = {
    **{number: f"DT_{kind.name.upper()}" for number, kind in KINDS.items()},
    1: "DT_FLOAT",
    2: "DT_DOUBLE",
    10: "DT_BOOL",
    19: "DT_HALF",
    STRING: "DT_STRING",
}
_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata|:predict)?$", re.IGNORECASE)


class Refusal(Exception):
    """An error that the server answers: a code of gRPC and a text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass
class Fault:
    """How requests fail; each number counts down, and the request after is answered.

    Attributes:
      busy: requests that are answered with 503 or UNAVAILABLE.
      many: with 429 or RESOURCE_EXHAUSTED.
      dropped: whose connection is closed without an answer.
      half: whose answer breaks off.
      junk: whose answer is no JSON, or no message.
      failed: with 500 or INTERNAL.
      slow: seconds that every answer is late.
    """

    busy: int = 0
    many: int = 0
    dropped: int = 0
    half: int = 0
    junk: int = 0
    failed: int = 0
    slow: float = 0.0
    seen: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def take(self) -> str:
        """The fault of this request; "" for none."""
        with self.lock:
            self.seen += 1
            for name in ("busy", "many", "dropped", "half", "junk", "failed"):
                if getattr(self, name) > 0:
                    setattr(self, name, getattr(self, name) - 1)
                    return name
        return ""


class Loaded:
    """A bundle in this process: its signatures, called one after the other."""

    def __init__(self, folder: Path) -> None:
        from tensorflow import constant, saved_model
        from tensorflow.core.protobuf import saved_model_pb2

        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        whole = parsed("MetaGraph", saved.meta_graphs[0].SerializeToString())
        self.signatures = {name: each for name, each in whole.signature_def.items() if not name.startswith("__")}
        self._kept = saved_model.load(str(folder))
        self._constant, self._lock = constant, threading.Lock()

    def __call__(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        facts = self.signatures.get(signature)
        if facts is None:
            raise Refusal("INVALID_ARGUMENT", f'Serving signature name: "{signature}" not found in signature def')
        if set(inputs) != set(facts.inputs):
            raise Refusal(
                "INVALID_ARGUMENT", f"input size does not match signature: {len(inputs)}!={len(facts.inputs)}"
            )
        for name, array in inputs.items():
            wanted = facts.inputs[name]
            if (wanted.dtype == STRING) != (array.dtype == object) or (
                array.dtype != object and KINDS[wanted.dtype] != array.dtype
            ):
                raise Refusal("INVALID_ARGUMENT", f"input {name} has another type than {NAMES[wanted.dtype]}")
        try:
            call = self._kept.signatures[signature]
            given = {
                name: self._constant(array.tolist() if array.dtype == object else array)
                for name, array in inputs.items()
            }
            return {name: each.numpy() for name, each in call(**given).items()}
        except Exception as error:
            raise Refusal("INVALID_ARGUMENT", str(error)) from error


class StandIn:
    """The server. A context: its ports are open inside.

    Args:
      base: a folder with a folder of versions for each model.
      labels: by model, versions by label.

    Attributes:
      fault: how the next requests fail.
      rest, grpc: its addresses.
      requests: how many bytes of the bodies of requests came, one for each.
    """

    def __init__(self, base: str | Path, labels: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self.fault, self.requests = Fault(), []
        self._labels = labels or {}
        self._models = {
            folder.name: {int(each.name): Loaded(each) for each in folder.iterdir() if each.name.isdigit()}
            for folder in Path(base).iterdir()
        }

    def __enter__(self) -> StandIn:
        handler = type("Handler", (_Rest,), {"stand_in": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self._grpc = grpc.server(
            futures.ThreadPoolExecutor(8),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        self._grpc.add_generic_rpc_handlers((_Rpc(self),))
        port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self.rest, self.grpc = f"http://127.0.0.1:{self._http.server_port}", f"grpc://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(None)

    def found(self, name: str, version: int | None, label: str | None) -> tuple[int, Loaded]:
        """A version of a model.

        Raises:
          Refusal: it is not there.
        """
        versions = self._models.get(name)
        if label is not None:
            version = self._labels.get(name, {}).get(label)
            if version is None:
                raise Refusal("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
        if not versions or (version is not None and version not in versions):
            raise Refusal("NOT_FOUND", f"Servable not found for request: Specific({name}, {version})")
        chosen = max(versions) if version is None else version
        return chosen, versions[chosen]

    def versions(self, name: str, version: int | None) -> list[int]:
        """The versions that a status tells."""
        if name not in self._models:
            raise Refusal("NOT_FOUND", f"Could not find any versions of model {name}")
        return sorted(each for each in self._models[name] if version in (None, each))


class _Rest(BaseHTTPRequestHandler):
    """The REST interface."""

    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def do_GET(self) -> None:
        self._answer(self._told)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.stand_in.requests.append(length)
        self._answer(lambda: self._predicted(body))

    def _answer(self, work: Callable[[], Any]) -> None:
        fault = self.stand_in.fault.take()
        time.sleep(self.stand_in.fault.slow)
        if fault == "dropped":
            self.close_connection = True
            return
        status, extra = 200, {}
        if fault in ("busy", "many", "failed"):
            status = {"busy": 503, "many": 429, "failed": 500}[fault]
            found: Any = {"error": f"the stand-in is told to be {fault}"}
            extra = {"Retry-After": "0"} if fault == "many" else {}
        else:
            try:
                found = work()
            except Refusal as refusal:
                status, found = HTTP[refusal.code], {"error": refusal.text}
        data = b"<html>" if fault == "junk" else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "half":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        self.wfile.write(data)

    def _asked(self, end: str) -> tuple[str, int | None, str | None]:
        match = _PATH.match(self.path)
        if match is None or (match[4] or "") != end:
            raise Refusal("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
        return unquote(match[1]), int(match[2]) if match[2] else None, unquote(match[3]) if match[3] else None

    def _told(self) -> Any:
        if self.path.endswith("/metadata"):
            name, asked, label = self._asked("/metadata")
            version, bundle = self.stand_in.found(name, asked, label)
            signatures = {key: _signature(each) for key, each in bundle.signatures.items()}
            return {
                "model_spec": {"name": name, "signature_name": "", "version": str(version)},
                "metadata": {"signature_def": {"signature_def": signatures}},
            }
        name, asked, label = self._asked("")
        if label is not None:
            asked, _ = self.stand_in.found(name, None, label)
        return {
            "model_version_status": [
                {"version": str(each), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
                for each in self.stand_in.versions(name, asked)
            ]
        }

    def _predicted(self, body: bytes) -> Any:
        _, bundle = self.stand_in.found(*self._asked(":predict"))
        try:
            asked = json.loads(body)
        except ValueError as error:
            raise Refusal("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
        signature = asked.get("signature_name", "serving_default")
        facts = bundle.signatures.get(signature)
        if facts is None:
            raise Refusal("INVALID_ARGUMENT", f'Serving signature name: "{signature}" not found in signature def')
        columns = asked.get("inputs")
        if columns is None:
            raise Refusal("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key")
        if len(facts.inputs) == 1 and not (isinstance(columns, dict) and set(columns) == set(facts.inputs)):
            columns = {next(iter(facts.inputs)): columns}
        inputs = {name: _given(columns.get(name), info) for name, info in facts.inputs.items()}
        outputs = {name: _shown(name, array) for name, array in bundle(signature, inputs).items()}
        return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}


def _given(value: Any, info: Any) -> np.ndarray:
    if info.dtype == STRING:
        found = np.empty(len(value), object)
        try:
            found[:] = [base64.b64decode(each["b64"], validate=True) for each in value]
        except (TypeError, KeyError, ValueError) as error:
            raise Refusal("INVALID_ARGUMENT", "JSON Value: not formatted as base64 data") from error
        return found
    try:
        found, kind = np.asarray(value), KINDS[info.dtype]
        if kind.kind in "iu" and found.dtype.kind == "f":
            raise ValueError(f"is not of expected type: {kind}")
        return np.asarray(value, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refusal("INVALID_ARGUMENT", f"JSON Value: {error}") from error


def _shown(name: str, array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(each).decode()} for each in array.tolist()]
    return [each.decode() for each in array.tolist()]


def _signature(signature: Any) -> dict[str, Any]:
    def ends(infos: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {
                "dtype": NAMES[info.dtype],
                "tensor_shape": {
                    "dim": [{"size": str(each.size), "name": ""} for each in info.tensor_shape.dim],
                    "unknown_rank": info.tensor_shape.unknown_rank,
                },
                "name": info.name,
            }
            for name, info in infos.items()
        }

    return {
        "inputs": ends(signature.inputs),
        "outputs": ends(signature.outputs),
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


class _Rpc(grpc.GenericRpcHandler):
    """The gRPC interface."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def service(self, details: Any) -> Any:
        method = {
            "/tensorflow.serving.PredictionService/Predict": self._predict,
            "/tensorflow.serving.PredictionService/GetModelMetadata": self._metadata,
            "/tensorflow.serving.ModelService/GetModelStatus": self._status,
        }.get(details.method)
        return grpc.unary_unary_rpc_method_handler(self._answering(method)) if method else None

    def _answering(self, work: Callable[[bytes], Any]) -> Callable[[bytes, Any], bytes]:
        def answer(data: bytes, context: Any) -> bytes:
            stand_in = self._stand_in
            fault = stand_in.fault.take()
            stand_in.requests.append(len(data))
            time.sleep(stand_in.fault.slow)
            codes = {
                "busy": "UNAVAILABLE",
                "many": "RESOURCE_EXHAUSTED",
                "failed": "INTERNAL",
                "dropped": "UNAVAILABLE",
            }
            if fault in codes:
                text = "Socket closed" if fault == "dropped" else f"the stand-in is told to be {fault}"
                context.abort(grpc.StatusCode[codes[fault]], text)
            try:
                found = work(data).SerializeToString()
            except Refusal as refusal:
                context.abort(grpc.StatusCode[refusal.code], refusal.text)
            return b"\xff\xff" if fault == "junk" else found[: len(found) // 2] if fault == "half" else found

        return answer

    def _found(self, spec: Any) -> tuple[int, Loaded]:
        version = spec.version.value if spec.HasField("version") else None
        return self._stand_in.found(spec.name, version, spec.version_label or None)

    def _predict(self, data: bytes) -> Any:
        request = parsed("PredictRequest", data)
        version, bundle = self._found(request.model_spec)
        signature = request.model_spec.signature_name or "serving_default"
        outputs = bundle(signature, {name: array_of(each) for name, each in request.inputs.items()})
        wanted = list(request.output_filter) or list(outputs)
        if not set(wanted) <= set(outputs):
            raise Refusal("INVALID_ARGUMENT", f"output tensor alias not found in signature: {wanted}")
        spec = new(
            "ModelSpec", name=request.model_spec.name, version=new("Version", value=version), signature_name=signature
        )
        return new("PredictResponse", outputs=tensors({name: outputs[name] for name in wanted}), model_spec=spec)

    def _metadata(self, data: bytes) -> Any:
        request = parsed("GetModelMetadataRequest", data)
        _, bundle = self._found(request.model_spec)
        whole = new("SignatureMap", signature_def=bundle.signatures).SerializeToString()
        kind = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        return new("GetModelMetadataResponse", metadata={"signature_def": new("Any", type_url=kind, value=whole)})

    def _status(self, data: bytes) -> Any:
        spec = parsed("GetModelStatusRequest", data).model_spec
        version = spec.version.value if spec.HasField("version") else None
        if spec.version_label:
            version, _ = self._stand_in.found(spec.name, None, spec.version_label)
        versions = [
            new("ModelVersionStatus", version=each, state=30) for each in self._stand_in.versions(spec.name, version)
        ]
        return new("GetModelStatusResponse", model_version_status=versions)
