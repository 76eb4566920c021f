"""Reads pickles of tensors with a small interpreter that runs no code of theirs.

A pickle is a program. The interpreter knows the few instructions that `torch.save` writes. It replaces each known name
that the program asks for by a harmless function, and refuses every other name.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from kseg.errors import WeightsError, in_a_line

_SAVE_AGAIN = "Save it again with torch.save."
_MOST_AXES, _LARGEST = 8, 1 << 48
_TYPES = {
    "FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16, "LongStorage": np.int64, "IntStorage": np.int32, "ShortStorage": np.int16,
    "CharStorage": np.int8, "ByteStorage": np.uint8, "BoolStorage": np.bool_,
}  # fmt: skip
_PLAIN = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINSTRING",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
}  # fmt: skip


class Storage(NamedTuple):
    """An array of numbers of one type, with its key in the file."""

    key: str
    dtype: np.dtype
    size: int


class Stored(NamedTuple):
    """A tensor as the pickle describes it: a part of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Name(NamedTuple):
    """A name that a pickle asks for."""

    name: str


def _stored(storage: Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> Stored:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or len(shape) != len(strides) or len(shape) > _MOST_AXES:
        raise ValueError("no tensor of a storage")
    if not all(isinstance(number, int) and 0 <= number < _LARGEST for number in numbers):
        raise ValueError(f"no offset and shape of a tensor: {numbers}")
    return Stored(storage, offset, tuple(shape), tuple(strides))


def _nothing(*_: Any) -> None:
    return None


# The function for each name; numpy's names are those of the scores in pytorch-fcn's checkpoints
_MAKERS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": lambda *_: {},
    "torch._utils _rebuild_tensor": _stored,
    "torch._utils _rebuild_tensor_v2": _stored,
    "torch._utils _rebuild_parameter": lambda data, *_: data,
    "torch.nn.parameter Parameter": lambda data, *_: data,
    "numpy.core.multiarray scalar": _nothing,
    "numpy._core.multiarray scalar": _nothing,
    "numpy dtype": _nothing,
    "_codecs encode": _nothing,
}


def unpickled(data: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """The value of the next pickle in a stream, and the storages it names; no code of it is run."""
    interpreter = _Interpreter()
    for code, argument, position in pickletools.genops(data):
        if code.name == "STOP":
            return interpreter.stack.pop(), interpreter.storages
        try:
            interpreter.step(code.name, argument)
        except WeightsError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{code.name} at byte {position} of the pickle: {in_a_line(error)}") from error
    raise ValueError("the pickle has no end")


class _Interpreter:
    """Reads a pickle of plain values, dictionaries, lists, tuples and tensors, instruction by instruction."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def step(self, code: str, argument: Any) -> None:
        """Carries out one instruction, by its name in pickletools."""
        stack = self.stack
        if code in _PLAIN:
            stack.append(argument)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code]())
        elif code in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif code == "MARK":
            self.marks.append(len(stack))
        elif code in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self._fold(len(stack) - int(code[-1]))
        elif code == "TUPLE":
            self._fold(self.marks.pop())
        elif code in ("APPEND", "APPENDS"):
            values = self._above(code == "APPENDS", 1)
            list.extend(stack[-1], values)
        elif code in ("SETITEM", "SETITEMS"):
            values = self._above(code == "SETITEMS", 2)
            if not all(isinstance(key, (str, int)) for key in values[::2]):  # other keys may be slow to hash
                raise ValueError("keys that are neither names nor numbers")
            dict.update(stack[-1], zip(values[::2], values[1::2], strict=True))
        elif code == "GLOBAL":
            stack.append(_Name(_allowed(argument)))
        elif code == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif code == "REDUCE":
            arguments = stack.pop()
            stack.append(_MAKERS[stack.pop().name](*arguments))
        elif code == "BUILD":
            stack.pop()  # versions and hooks, which are not needed
        elif code != "PROTO":
            raise WeightsError(f"the pickle has the instruction {code}, which torch.save does not write.", _SAVE_AGAIN)

    def _above(self, marked: bool, count: int) -> list[Any]:
        """Removes and returns the values above the last mark, or the last `count` values."""
        start = self.marks.pop() if marked else len(self.stack) - count
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def _fold(self, start: int) -> None:
        """Replaces the values from `start` on by a tuple of them."""
        if start < 0:
            raise IndexError("too few values")
        self.stack[start:] = [tuple(self.stack[start:])]

    def _storage(self, key: Any) -> Storage:
        """The storage of a persistent id: ("storage", type, key, device, size[, view])."""
        kind, storage_type, name, _, size, *view = key
        if kind != "storage" or not isinstance(size, int) or any(part is not None for part in view):
            raise WeightsError(f"the pickle names {kind!r} {name!r} in an unknown way.", _SAVE_AGAIN)
        dtype = np.dtype(_TYPES[storage_type.name.removeprefix("torch ")])
        return self.storages.setdefault(str(name), Storage(str(name), dtype, size))


def _allowed(name: str) -> str:
    """The name, "module name", if a file of weights may ask for it.

    Raises:
      WeightsError: it may not.
    """
    if name not in _MAKERS and name.removeprefix("torch ") not in _TYPES:
        raise WeightsError(
            f"the pickle asks for {name.replace(' ', '.')}, which no file of weights needs; no code of it was run.",
            "Save the network's state_dict() alone.",
        )
    return name
