"""A bundle through TensorFlow's C API, as a server in C++ loads it.

`python -m kseg.bundles.c_api BUNDLE REQUESTS ANSWERS` never imports TensorFlow's Python. REQUESTS is a file of
PredictRequest messages, each behind its length in 8 bytes. ANSWERS gets a PredictResponse for each; where a call
failed, its only output is "error". The program prints the signatures as JSON, and then the seconds that each call took.

Source of the functions: tensorflow/c/c_api.h.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import DataError, EnvironmentFailure
from kseg.serving.messages import KINDS, NUMBERS, STRING, array_of, new, parsed, signature_facts, tensors

_POINTER, _TEXT, _NUMBER, _SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t


class _Output(ctypes.Structure):
    _fields_ = [("operation", _POINTER), ("index", _NUMBER)]


class _Buffer(ctypes.Structure):
    _fields_ = [("data", _POINTER), ("length", _SIZE), ("free", _POINTER)]


class _String(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint8 * 24)]


# Name: what it gives, what it takes
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_NewStatus": (_POINTER, []),
    "TF_GetCode": (_NUMBER, [_POINTER]),
    "TF_Message": (_TEXT, [_POINTER]),
    "TF_NewGraph": (_POINTER, []),
    "TF_NewSessionOptions": (_POINTER, []),
    "TF_NewBuffer": (ctypes.POINTER(_Buffer), []),
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        [_POINTER, _POINTER, _TEXT, ctypes.POINTER(_TEXT), _NUMBER, _POINTER, ctypes.POINTER(_Buffer), _POINTER],
    ),
    "TF_GraphOperationByName": (_POINTER, [_POINTER, _TEXT]),
    "TF_AllocateTensor": (_POINTER, [_NUMBER, ctypes.POINTER(ctypes.c_int64), _NUMBER, _SIZE]),
    "TF_TensorData": (_POINTER, [_POINTER]),
    "TF_TensorType": (_NUMBER, [_POINTER]),
    "TF_TensorByteSize": (_SIZE, [_POINTER]),
    "TF_NumDims": (_NUMBER, [_POINTER]),
    "TF_Dim": (ctypes.c_int64, [_POINTER, _NUMBER]),
    "TF_DeleteTensor": (None, [_POINTER]),
    "TF_StringInit": (None, [_POINTER]),
    "TF_StringCopy": (None, [_POINTER, _TEXT, _SIZE]),
    "TF_StringGetDataPointer": (_POINTER, [_POINTER]),
    "TF_StringGetSize": (_SIZE, [_POINTER]),
    "TF_StringDealloc": (None, [_POINTER]),
    "TF_SessionRun": (
        None,
        [_POINTER, _POINTER, ctypes.POINTER(_Output), ctypes.POINTER(_POINTER), _NUMBER]
        + [ctypes.POINTER(_Output), ctypes.POINTER(_POINTER), _NUMBER, _POINTER, _NUMBER, _POINTER, _POINTER],
    ),
}


class CBundle:
    """A loaded bundle.

    Args:
      folder: the folder of a version.

    Attributes:
      signatures: the Signature messages by name.

    Raises:
      EnvironmentFailure: TensorFlow's libraries are not there.
      DataError: the bundle can't be loaded.
    """

    def __init__(self, folder: str | Path) -> None:
        self._library = _library()
        self._status, self._graph = self._library.TF_NewStatus(), self._library.TF_NewGraph()
        buffer = self._library.TF_NewBuffer()
        self._session = self._library.TF_LoadSessionFromSavedModel(
            self._library.TF_NewSessionOptions(),
            None,
            str(folder).encode(),
            (_TEXT * 1)(b"serve"),
            1,
            self._graph,
            buffer,
            self._status,
        )
        self._check(str(folder))
        graph = parsed("MetaGraph", ctypes.string_at(buffer.contents.data, buffer.contents.length))
        self.signatures = {name: each for name, each in graph.signature_def.items() if not name.startswith("__")}

    def __call__(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What a signature gives.

        Raises:
          DataError: there is no such signature, an input is missing, or the call failed.
        """
        if signature not in self.signatures:
            raise DataError(f"There is no signature {signature!r}; there are {', '.join(sorted(self.signatures))}.")
        facts = self.signatures[signature]
        if set(inputs) != set(facts.inputs):
            raise DataError(f"{signature} takes {', '.join(sorted(facts.inputs))}, but {', '.join(inputs)} was given.")
        fed = [self._place(facts.inputs[name].name) for name in inputs]
        names = sorted(facts.outputs)
        places = [self._place(facts.outputs[name].name) for name in names]
        given = [self._tensor(array) for array in inputs.values()]
        found = (_POINTER * len(names))()
        try:
            self._library.TF_SessionRun(
                self._session,
                None,
                (_Output * len(fed))(*fed),
                (_POINTER * len(given))(*given),
                len(given),
                (_Output * len(places))(*places),
                found,
                len(places),
                None,
                0,
                None,
                self._status,
            )
            self._check(signature)
            return {name: self._array(pointer) for name, pointer in zip(names, found, strict=True)}
        finally:
            for pointer in (*given, *found):
                if pointer:
                    self._library.TF_DeleteTensor(pointer)

    def _place(self, name: str) -> _Output:
        operation, _, index = name.partition(":")
        return _Output(self._library.TF_GraphOperationByName(self._graph, operation.encode()), int(index or 0))

    def _tensor(self, array: np.ndarray) -> int:
        is_text = array.dtype.kind == "O"
        kind, size = (STRING, 24 * array.size) if is_text else (NUMBERS[array.dtype], array.nbytes)
        lengths = (ctypes.c_int64 * array.ndim)(*array.shape)
        made = self._library.TF_AllocateTensor(kind, lengths, array.ndim, size)
        place = self._library.TF_TensorData(made)
        if is_text:
            for number, data in enumerate(array.ravel().tolist()):
                at = place + 24 * number
                self._library.TF_StringInit(at)
                self._library.TF_StringCopy(at, data, len(data))
        elif size:
            ctypes.memmove(place, np.ascontiguousarray(array).ctypes.data, size)
        return made

    def _array(self, pointer: int) -> np.ndarray:
        library = self._library
        shape = [library.TF_Dim(pointer, axis) for axis in range(library.TF_NumDims(pointer))]
        kind, place = library.TF_TensorType(pointer), library.TF_TensorData(pointer)
        if kind == STRING:
            found = np.empty(int(np.prod(shape)), object)
            for number in range(len(found)):
                at = place + 24 * number
                size = library.TF_StringGetSize(at)
                found[number] = ctypes.string_at(library.TF_StringGetDataPointer(at), size)
            return found.reshape(shape)
        data = ctypes.string_at(place, library.TF_TensorByteSize(pointer))
        return np.frombuffer(data, KINDS[kind]).reshape(shape)

    def _check(self, what: str) -> None:
        if self._library.TF_GetCode(self._status):
            raise DataError(f"{what}: {self._library.TF_Message(self._status).decode('utf-8', 'replace')}")


def _library() -> ctypes.CDLL:
    """TensorFlow's C library from the installed package, which is not imported."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentFailure("TensorFlow is not installed here.", "pip install tensorflow")
    folder = Path(next(iter(spec.submodule_search_locations)))
    ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"), mode=ctypes.RTLD_GLOBAL)
    for name, (gives, takes) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = gives, takes
    return library


def framed(messages: list[Any]) -> bytes:
    """Messages, each behind its length."""
    parts = [each.SerializeToString() for each in messages]
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def unframed(data: bytes) -> Iterator[bytes]:
    """The messages of `framed`."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[at + 8 : at + 8 + length]
        at += 8 + length


def main(folder: str, requests: str, answers: str) -> int:
    """Does all requests of a file."""
    bundle = CBundle(folder)
    print(json.dumps({name: signature_facts(each) for name, each in bundle.signatures.items()}), flush=True)
    found, times = [], []
    for data in unframed(Path(requests).read_bytes()):
        request = parsed("PredictRequest", data)
        start = time.perf_counter()
        try:
            arrays = {name: array_of(each) for name, each in request.inputs.items()}
            outputs = bundle(request.model_spec.signature_name, arrays)
        except DataError as error:
            outputs = {"error": np.array([str(error).encode()], object)}
        times.append(time.perf_counter() - start)
        found.append(new("PredictResponse", outputs=tensors(outputs)))
    Path(answers).write_bytes(framed(found))
    print(json.dumps(times), flush=True)
    return 0 if "tensorflow" not in sys.modules else 3


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
