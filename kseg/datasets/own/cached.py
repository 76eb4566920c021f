"""Keeps in the cache folder what is found by reading many files, until one of them changes."""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kseg.errors import EnvironmentFailure
from kseg.storage import cache_folder, write_text

_JUST_NOW_S = 2  # seconds; the coarsest clock of a file system, which can't tell two changes within it apart


def remembered(files: Iterable[Path], options: Any, find: Callable[[], Any]) -> Any:
    """The result of `find`, which is called only the first time for the same `files` and `options`.

    A file is the same while its path, its size and the times of its last change are. Where nothing can be kept, or what
    was kept is damaged, `find` is called.

    Args:
      files: all that `find` reads.
      options: what else the result depends on, as JSON takes it; name `find` and the form of its result in it.
      find: returns what JSON holds, with lists in place of tuples.
    """
    try:
        paths = sorted({path.absolute() for path in files})
        states = [(path, path.stat()) for path in paths]
    except OSError:
        return find()  # its error says more
    state = [(str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns) for path, found in states]
    key = hashlib.sha256(json.dumps([options, state]).encode()).hexdigest()
    path = cache_folder() / "remembered" / f"{key}.txt"
    with suppress(OSError, ValueError):
        checksum, text = path.read_text(encoding="utf-8").split(" ", 1)
        if checksum == _checksum(text):
            return json.loads(text)
    result = find()
    if max(found.st_mtime for _, found in states) < time.time() - _JUST_NOW_S:
        text = json.dumps(result)
        with suppress(EnvironmentFailure):
            write_text(path, f"{_checksum(text)} {text}")
    return result


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
