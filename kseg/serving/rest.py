"""TensorFlow Serving's REST interface.

Source: the server's documentation of its RESTful API and its code (http_rest_api_handler.cc, json_tensor.cc).
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import urllib3

from kseg.errors import in_a_line
from kseg.serving.answers import OF_HTTP, BadAnswer, TimedOut, Unreachable, error_of
from kseg.serving.asked import Asked, Limits

_TYPES = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_HALF": np.float16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_INT16": np.int16,
    "DT_INT8": np.int8,
    "DT_UINT8": np.uint8,
    "DT_UINT16": np.uint16,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
}
_PART = 2**20  # bytes of an answer that are read at a time


class Rest:
    """A server's REST address. Connections are kept and used again, by several threads at once.

    Args:
      url: such as http://localhost:8501.
      limits: of time, size and number.
      headers: sent with every request.
      ca: a file with the certificates that are trusted; None for the system's.
    """

    def __init__(self, url: str, limits: Limits, headers: Mapping[str, str], ca: str | None) -> None:
        self._url, self._limits, self._headers = url.rstrip("/"), limits, dict(headers)
        context = ssl.create_default_context(cafile=ca) if url.startswith("https") else None
        self._pool = urllib3.PoolManager(maxsize=limits.at_once, ssl_context=context, retries=False)

    def predict(self, asked: Asked, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """The outputs of a signature by name.

        Raises:
          ServingError: as kseg.serving.answers has them.
        """
        body = json.dumps(
            {"signature_name": asked.signature, "inputs": {name: _written(each) for name, each in inputs.items()}}
        )
        found = self._asked("POST", f"{_path(asked)}:predict", body)
        answer = found.get("outputs") if isinstance(found, dict) else None
        if answer is None:
            raise BadAnswer(f"{self._url}: the answer has no outputs.", "Is this TensorFlow Serving?")
        kinds = self.signatures(asked).get(asked.signature, {}).get("outputs", {})
        if len(kinds) == 1:
            answer = {next(iter(kinds)): answer}
        if not isinstance(answer, dict) or not set(outputs) <= set(answer):
            missing = ", ".join(sorted(set(outputs) - set(answer))) if isinstance(answer, dict) else "all"
            raise BadAnswer(f"{self._url}: the answer lacks {missing or 'outputs'}.")
        return {name: self._read(answer[name], kinds.get(name)) for name in outputs or answer}

    def status(self, asked: Asked) -> list[dict[str, Any]]:
        """The versions of a model: each one's version, state and error."""
        found = self._asked("GET", _path(asked))
        try:
            return [
                {
                    "version": int(each["version"]),
                    "state": str(each["state"]),
                    "error": str(each.get("status", {}).get("error_message", "")),
                }
                for each in found["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadAnswer(f"{self._url}: no status ({in_a_line(error)}).", "Is this TensorFlow Serving?") from error

    def signatures(self, asked: Asked) -> dict[str, dict[str, dict[str, str]]]:
        """The signatures of a model: the type of each input and output by name."""
        known = self._limits.signatures.get(asked.of_model)
        if known is None:
            found = self._asked("GET", f"{_path(asked)}/metadata")
            try:
                known = {
                    name: {
                        end: {called: str(info["dtype"]) for called, info in each.get(end, {}).items()}
                        for end in ("inputs", "outputs")
                    }
                    for name, each in found["metadata"]["signature_def"]["signature_def"].items()
                }
            except (KeyError, TypeError, AttributeError) as error:
                raise BadAnswer(f"{self._url}: no metadata ({in_a_line(error)}).") from error
            self._limits.signatures[asked.of_model] = known
        return known

    def close(self) -> None:
        self._pool.clear()

    def _asked(self, method: str, path: str, body: str | None = None) -> Any:
        """The JSON that a path answers.

        Raises:
          ServingError: it can't be reached, answers an error or no JSON, or answers too much.
        """
        address = f"{self._url}{path}"

        def once() -> tuple[int, bytes, str | None]:
            try:
                answer = self._pool.request(
                    method,
                    address,
                    body=body,
                    headers={"Content-Type": "application/json", **self._headers} if body else self._headers,
                    timeout=urllib3.Timeout(total=self._limits.timeout),
                    preload_content=False,
                    redirect=False,
                )
                try:
                    return answer.status, self._whole(answer, address), answer.headers.get("Retry-After")
                finally:
                    answer.release_conn()
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                is_refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # to urllib3 a time-out, too
                if isinstance(error, urllib3.exceptions.TimeoutError) and not is_refused:
                    raise TimedOut(f"{address}: no answer within {self._limits.timeout:g} s.") from error
                why = in_a_line(error, 200)
                raise Unreachable(f"{address}: {why}.", "Is the server running, and is this its address?") from error

        status, data, _ = self._limits.tried(once, lambda got: (OF_HTTP.get(got[0], ""), got[2]))
        try:
            found = json.loads(data)
        except ValueError as error:
            if status == 200:
                raise BadAnswer(f"{address}: the answer is no JSON.", "Is this TensorFlow Serving?") from error
            found = {"error": data[:MOST_TEXT].decode("utf-8", "replace")}
        if status != 200:
            words = found.get("error", "") if isinstance(found, dict) else ""
            raise error_of(OF_HTTP.get(status, f"HTTP {status}"), address, str(words))
        return found

    def _whole(self, answer: Any, address: str) -> bytes:
        parts, size = [], 0
        for part in answer.stream(_PART):
            size += len(part)
            if size > self._limits.most_bytes:
                answer.close()
                raise BadAnswer(
                    f"{address}: the answer has more than {self._limits.most_bytes:,} bytes.", "Raise most_bytes."
                )
            parts.append(part)
        return b"".join(parts)

    def _read(self, value: Any, kind: str | None) -> np.ndarray:
        try:
            if kind == "DT_STRING":
                listed = [value] if not isinstance(value, list) else value
                found = np.empty(len(listed), object)
                found[:] = [_bytes(each) for each in listed]
                return found
            return np.asarray(value).astype(_TYPES[kind]) if kind in _TYPES else np.asarray(value)
        except (ValueError, TypeError, OverflowError) as error:
            raise BadAnswer(f"{self._url}: an output can't be read ({in_a_line(error)}).") from error


MOST_TEXT = 2000  # bytes of an answer without JSON that a message repeats


def _bytes(value: Any) -> bytes:
    """A string of the answer: in base 64 where its name ends in _bytes, else plain."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return str(value).encode()


def _path(asked: Asked) -> str:
    path = f"/v1/models/{quote(asked.model, safe='')}"
    if asked.version is not None:
        return f"{path}/versions/{asked.version}"
    return f"{path}/labels/{quote(asked.label, safe='')}" if asked.label is not None else path


def _written(array: np.ndarray) -> Any:
    if array.dtype == object:
        return [{"b64": base64.b64encode(each).decode("ascii")} for each in array.ravel()]
    return array.tolist()
