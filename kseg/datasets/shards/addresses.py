"""Reads bytes of files on a disk or at an address (gs://...).

Addresses are read with tf.io.gfile, with which `kseg data pack` writes them. No other data set needs TensorFlow, so it
is imported at the first address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kseg.errors import EnvironmentFailure, in_a_line


def is_address(path: str | Path | None) -> bool:
    """Whether `path` has a scheme, as gs://, and is not on a disk."""
    return "://" in str(path or "")


def join(folder: str | Path, name: str) -> str:
    """The file or folder `name` in `folder`."""
    return f"{str(folder).rstrip('/')}/{name}" if is_address(folder) else str(Path(folder) / name)


def size_of(path: str) -> int | None:
    """The size of a file in bytes; None where there is no such file.

    Raises:
      EnvironmentFailure: it can't be reached.
    """
    try:
        with _reachable(path):
            if not is_address(path):
                return Path(path).stat().st_size if Path(path).is_file() else None
            found = _gfile().stat(path)
            return None if found.is_directory else found.length
    except FileNotFoundError:
        return None


def read_bytes(path: str, start: int = 0, count: int = -1) -> bytes:
    """Up to `count` bytes of a file from `start` on; all of them where `count` is -1.

    Raises:
      FileNotFoundError: there is no such file.
      EnvironmentFailure: it can't be reached or read.
    """
    with _reachable(path), _gfile().GFile(path, "rb") if is_address(path) else open(path, "rb") as file:
        file.seek(start)
        return file.read(count)


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


@contextmanager
def _reachable(path: str) -> Iterator[None]:
    """Turns errors of the system and of tf.io.gfile into EnvironmentFailure; for a missing file FileNotFoundError."""
    refusals: tuple[type[Exception], ...] = (OSError,)
    missing: tuple[type[Exception], ...] = (FileNotFoundError,)
    if is_address(path):
        from tensorflow import errors

        refusals, missing = (OSError, errors.OpError), (errors.NotFoundError,)
    try:
        yield
    except missing as error:
        raise FileNotFoundError(path) from error
    except refusals as error:
        reason = in_a_line(getattr(error, "strerror", None) or str(getattr(error, "message", error)), 200)
        what = f"{path}: can't be read ({reason})."
        raise EnvironmentFailure(what, "Is the disk whole, the address right?") from error
