"""The messages of TensorFlow and TensorFlow Serving, without their packages.

Only the fields that kseg reads or writes are declared; others are skipped. Numbers and types of fields are those of
tensorflow/core/framework, tensorflow/core/protobuf and tensorflow_serving/apis. Enumerations are read as numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from kseg.errors import DataError

# A line per message; a field is NUMBER NAME TYPE. "*" before a type: repeated; "%": a map from text to it.
_DECLARED = """
Dim: 1 size int64
TensorShape: 2 dim *Dim, 3 unknown_rank bool
Tensor: 1 dtype int32, 2 tensor_shape TensorShape, 4 tensor_content bytes, 13 half_val *int32, 5 float_val *float,
  6 double_val *double, 7 int_val *int32, 8 string_val *bytes, 10 int64_val *int64, 11 bool_val *bool,
  16 uint32_val *uint32, 17 uint64_val *uint64
TensorInfo: 1 name string, 2 dtype int32, 3 tensor_shape TensorShape
Signature: 1 inputs %TensorInfo, 2 outputs %TensorInfo, 3 method_name string
MetaGraph: 5 signature_def %Signature
Version: 1 value int64
ModelSpec: 1 name string, 2 version Version, 3 signature_name string, 4 version_label string
PredictRequest: 1 model_spec ModelSpec, 2 inputs %Tensor, 3 output_filter *string
PredictResponse: 1 outputs %Tensor, 2 model_spec ModelSpec
PredictLog: 1 request PredictRequest
PredictionLog: 6 predict_log PredictLog
GetModelStatusRequest: 1 model_spec ModelSpec
Status: 1 error_code int32, 2 error_message string
ModelVersionStatus: 1 version int64, 2 state int32, 3 status Status
GetModelStatusResponse: 1 model_version_status *ModelVersionStatus
Any: 1 type_url string, 2 value bytes
GetModelMetadataRequest: 1 model_spec ModelSpec, 2 metadata_field *string
GetModelMetadataResponse: 1 model_spec ModelSpec, 2 metadata %Any
SignatureMap: 1 signature_def %Signature
"""
_SCALARS = ("double", "float", "int64", "uint64", "int32", "bool", "string", "bytes", "uint32")
STRING = 7  # TensorFlow's number of the type
KINDS: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint8),
    5: np.dtype(np.int16),
    6: np.dtype(np.int8),
    9: np.dtype(np.int64),
    10: np.dtype(np.bool_),
    17: np.dtype(np.uint16),
    19: np.dtype(np.float16),
    22: np.dtype(np.uint32),
    23: np.dtype(np.uint64),
}
"""TensorFlow's types by number (types.proto)."""
NUMBERS = {kind: number for number, kind in KINDS.items()}
MOST_VALUES = 2**31  # of a tensor


def _made() -> dict[str, type[Any]]:
    """The classes of all messages, in a pool of their own, so that TensorFlow's can be beside them."""
    file = descriptor_pb2.FileDescriptorProto(name="kseg.proto", package="kseg", syntax="proto3")
    for line in _DECLARED.replace("\n  ", " ").strip().splitlines():
        name, _, declared = line.partition(": ")
        made = file.message_type.add(name=name)
        for each in declared.split(", "):
            number, called, kind = each.split()
            field = made.field.add(name=called, number=int(number), label=3 if kind[0] in "*%" else 1)
            plain = kind.lstrip("*%")
            if kind[0] == "%":
                inner = made.nested_type.add(name="".join(word.capitalize() for word in called.split("_")) + "Entry")
                inner.options.map_entry = True
                inner.field.add(name="key", number=1, label=1, type=9)
                inner.field.add(name="value", number=2, label=1, type=11, type_name=f".kseg.{plain}")
                plain = f"{name}.{inner.name}"
            if plain in _SCALARS:
                field.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{plain.upper()}")
            else:
                field.type, field.type_name = 11, f".kseg.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles(["kseg.proto"], pool)


_CLASSES = _made()
Message = message.Message


def new(name: str, /, **fields: Any) -> Any:
    """A message of the declared kind."""
    return _CLASSES[f"kseg.{name}"](**fields)


def parsed(name: str, data: bytes) -> Any:
    """The message in some bytes.

    Raises:
      DataError: they are no such message.
    """
    try:
        return _CLASSES[f"kseg.{name}"].FromString(data)
    except message.DecodeError as error:
        raise DataError(f"These bytes are no {name} of TensorFlow.") from error


def tensor(array: np.ndarray) -> Any:
    """A Tensor with the numbers of an array, or with bytes from an array of objects."""
    made = new("Tensor")
    made.tensor_shape.dim.extend(new("Dim", size=length) for length in array.shape)
    if array.dtype.kind == "O":
        made.dtype = STRING
        made.string_val.extend(array.ravel().tolist())
    else:
        made.dtype = NUMBERS[array.dtype]
        made.tensor_content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return made


def array_of(given: Any) -> np.ndarray:
    """The array in a Tensor; of objects (bytes) where it holds strings.

    Raises:
      DataError: its values do not fit its type or its shape.
    """
    shape = [each.size for each in given.tensor_shape.dim]
    count = 1
    for length in shape:
        count *= length
    if any(length < 0 for length in shape) or count > MOST_VALUES:
        raise DataError(f"A tensor of the shape {shape}.")
    if given.dtype == STRING:
        found = np.empty(len(given.string_val), object)
        found[:] = list(given.string_val)
    elif given.dtype not in KINDS:
        raise DataError(f"A tensor of TensorFlow's type {given.dtype}, which is not read here.")
    else:
        found = _values(given, KINDS[given.dtype])
    if len(found) == 1 and count > 1:  # TensorFlow writes equal values once
        found = np.repeat(found, count)
    if len(found) != count:
        raise DataError(f"A tensor of the shape {shape} with {len(found):,} values.")
    return found.reshape(shape)


def _values(given: Any, kind: np.dtype) -> np.ndarray:
    """(values,): the numbers of a Tensor, from its bytes or listed one by one."""
    if given.tensor_content:
        if len(given.tensor_content) % kind.itemsize:
            raise DataError(f"A tensor of type {kind} with {len(given.tensor_content):,} bytes.")
        return np.frombuffer(given.tensor_content, kind.newbyteorder("<")).astype(kind)
    if kind == np.float16:
        return np.array(given.half_val, np.int64).astype(np.uint16).view(np.float16)
    fields = {"f4": "float", "f8": "double", "i8": "int64", "u4": "uint32", "u8": "uint64", "b1": "bool"}
    listed = getattr(given, f"{fields.get(kind.str[1:], 'int')}_val")
    return np.array(listed, np.float64 if kind.kind == "f" else object).astype(kind)


def tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Tensors by name."""
    return {name: tensor(array) for name, array in arrays.items()}


def signature_facts(signature: Any) -> dict[str, dict[str, tuple[str, tuple[int, ...] | None]]]:
    """The inputs and the outputs of a Signature: each one's type and its shape, in which -1 is any length."""

    def facts(infos: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...] | None]]:
        found = {}
        for name, info in sorted(infos.items()):
            shape = None if info.tensor_shape.unknown_rank else tuple(each.size for each in info.tensor_shape.dim)
            kind = "string" if info.dtype == STRING else KINDS[info.dtype].name if info.dtype in KINDS else "unknown"
            found[name] = (kind, shape)
        return found

    return {"inputs": facts(signature.inputs), "outputs": facts(signature.outputs)}
