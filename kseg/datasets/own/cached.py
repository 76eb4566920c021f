"""What took a look at every file to find, kept in the cache folder for as long as the files stay as they are."""

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

_JUST_NOW_S = 2  # the coarsest clock of a file system: a file changed again within it may look the same


def remembered(files: Iterable[Path], options: Any, find: Callable[[], Any]) -> Any:
    """What `find` gives, without calling it where it was called for the same `files` and `options` before.

    A file counts as the same by its path, its size and the times of its last change. What is kept is small, stands in
    the cache folder, and is not believed where it is damaged. Where nothing can be kept, `find` is called each time.

    Args:
      files: all that `find` looks at.
      options: what else the result depends on, as JSON takes it; name `find` and the form of its result in it.
      find: gives what JSON holds, lists for tuples.
    """
    try:
        paths = sorted({path.absolute() for path in files})
        states = [(path, path.stat()) for path in paths]
    except OSError:
        return find()  # which says it better
    state = [(str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns) for path, found in states]
    key = hashlib.sha256(json.dumps([options, state]).encode()).hexdigest()
    place = cache_folder() / "remembered" / f"{key}.txt"
    with suppress(OSError, ValueError):
        checksum, text = place.read_text(encoding="utf-8").split(" ", 1)
        if checksum == _checksum(text):
            return json.loads(text)
    result = find()
    if max(found.st_mtime for _, found in states) < time.time() - _JUST_NOW_S:
        text = json.dumps(result)
        with suppress(EnvironmentFailure):
            write_text(place, f"{_checksum(text)} {text}")
    return result


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
