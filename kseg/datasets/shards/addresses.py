"""Bytes of files on a disk or at an address (gs://...).

An address is read through tf.io.gfile, as `data pack` writes it: TensorFlow, which no other data set needs, is imported
when the first one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kseg.errors import EnvironmentFailure, in_a_line


def is_address(place: str | Path | None) -> bool:
    """Whether `place` is named with a scheme, as gs://, and not as a disk's path."""
    return "://" in str(place or "")


def join(folder: str | Path, name: str) -> str:
    """The file or folder `name` in `folder`."""
    return f"{str(folder).rstrip('/')}/{name}" if is_address(folder) else str(Path(folder) / name)


def size_of(path: str) -> int | None:
    """The bytes of a file, None where there is no such file.

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
    """Turns what the system or tf.io.gfile refuse into one sentence, but for a file that is not there."""
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
        raise EnvironmentFailure(
            f"{path}: can't be read ({reason}).", "Is the disk whole, the address right?"
        ) from error
