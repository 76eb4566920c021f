"""TensorFlow Serving's gRPC interface.

Source: tensorflow_serving/apis/{prediction_service,model_service}.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np

from kseg.errors import ConfigError, DataError
from kseg.serving.answers import BadAnswer, Unreachable, error_of
from kseg.serving.asked import Asked, Limits
from kseg.serving.messages import STRING, array_of, new, parsed, tensors

_PREDICTION, _MODELS = "/tensorflow.serving.PredictionService", "/tensorflow.serving.ModelService"
_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_LOST = ("connect", "Socket closed", "reset", "GOAWAY", "refused", "unreachable", "resolution")


class Grpc:
    """A server's gRPC address; several threads may use it at once.

    Args:
      url: grpc://host:8500, or grpcs://host:8500 for TLS.
      limits: of time, size and number.
      headers: sent with every request as metadata.
      ca: a file with the certificates that are trusted; None for the usual ones.
    """

    def __init__(self, url: str, limits: Limits, headers: Mapping[str, str], ca: str | None) -> None:
        parts = urlsplit(url)
        self._url, self._limits = url, limits
        self._headers = [(name.lower(), value) for name, value in headers.items()]
        options = [
            ("grpc.max_receive_message_length", limits.most_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),
        ]
        if parts.scheme == "grpcs":
            trusted = grpc.ssl_channel_credentials(Path(ca).read_bytes() if ca else None)
            self._channel = grpc.secure_channel(parts.netloc, trusted, options)
        else:
            if ca:
                raise ConfigError("ca is for an address with TLS.", "Use grpcs://.")
            self._channel = grpc.insecure_channel(parts.netloc, options)

    def predict(self, asked: Asked, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """The outputs of a signature by name.

        Raises:
          ServingError: as kseg.serving.answers has them.
        """
        request = new("PredictRequest", model_spec=_spec(asked), inputs=tensors(inputs), output_filter=outputs)
        found = self._asked(f"{_PREDICTION}/Predict", request, "PredictResponse")
        missing = set(outputs) - set(found.outputs)
        if missing or not found.outputs:
            raise BadAnswer(f"{self._url}: the answer lacks {', '.join(sorted(missing)) or 'outputs'}.")
        try:
            return {name: array_of(each) for name, each in found.outputs.items()}
        except DataError as error:
            raise BadAnswer(f"{self._url}: {error.what}") from error

    def status(self, asked: Asked) -> list[dict[str, Any]]:
        """The versions of a model: each one's version, state and error."""
        request = new("GetModelStatusRequest", model_spec=_spec(asked))
        found = self._asked(f"{_MODELS}/GetModelStatus", request, "GetModelStatusResponse")
        return [
            {
                "version": each.version,
                "state": _STATES.get(each.state, "UNKNOWN"),
                "error": each.status.error_message,
            }
            for each in found.model_version_status
        ]

    def signatures(self, asked: Asked) -> dict[str, dict[str, dict[str, str]]]:
        """The signatures of a model: the type of each input and output by name."""
        known = self._limits.signatures.get(asked.of_model)
        if known is None:
            request = new("GetModelMetadataRequest", model_spec=_spec(asked), metadata_field=["signature_def"])
            found = self._asked(f"{_PREDICTION}/GetModelMetadata", request, "GetModelMetadataResponse")
            if "signature_def" not in found.metadata:
                raise BadAnswer(f"{self._url}: the metadata have no signatures.")
            try:
                whole = parsed("SignatureMap", found.metadata["signature_def"].value)
            except DataError as error:
                raise BadAnswer(f"{self._url}: {error.what}") from error
            known = {
                name: {"inputs": _types(each.inputs), "outputs": _types(each.outputs)}
                for name, each in whole.signature_def.items()
            }
            self._limits.signatures[asked.of_model] = known
        return known

    def close(self) -> None:
        self._channel.close()

    def _asked(self, method: str, request: Any, answer: str) -> Any:
        """The message that a method answers.

        Raises:
          ServingError: it can't be reached, answers an error, or something that is no such message.
        """
        call = self._channel.unary_unary(method)
        data = request.SerializeToString()

        def once() -> tuple[bytes | None, str, str]:
            try:
                return call(data, timeout=self._limits.timeout, metadata=self._headers), "", ""
            except grpc.RpcError as error:
                code, words = error.code().name, error.details() or ""
                if code == "UNAVAILABLE" and any(word in words for word in _LOST):
                    raise Unreachable(
                        f"{self._url}: {words}.", "Is the server running, and is this its address?"
                    ) from error
                return None, code, words

        found, code, words = self._limits.tried(once, lambda got: (got[1], None))
        if found is None:
            raise error_of(code, self._url, words)
        try:
            return parsed(answer, found)
        except DataError as error:
            raise BadAnswer(f"{self._url}: {error.what}", "Is this TensorFlow Serving?") from error


def _spec(asked: Asked) -> Any:
    version = None if asked.version is None else new("Version", value=asked.version)
    return new(
        "ModelSpec", name=asked.model, signature_name=asked.signature, version=version, version_label=asked.label
    )


def _types(infos: Mapping[str, Any]) -> dict[str, str]:
    return {name: "DT_STRING" if info.dtype == STRING else str(info.dtype) for name, info in infos.items()}
