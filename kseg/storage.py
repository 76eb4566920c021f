"""Files and folders that are whole or absent: written aside, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kseg.errors import EnvironmentFailure


@contextmanager
def aside(path: str | Path) -> Iterator[Path]:
    """A place beside `path` to write a file or folder to; renamed to `path` when the block ends well.

    The place keeps the name's ending, which some writers choose their format by. When the block
    fails nothing stays behind, and a file that was at `path` before is as it was.

    Raises:
      EnvironmentFailure: the disk is full, or the place can't be written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=".kseg-", dir=path.parent))
    try:
        with writing(path):
            yield room / path.name
            if (room / path.name).is_dir():
                (room / path.name).rename(path)
            else:
                os.replace(room / path.name, path)
    finally:
        shutil.rmtree(room, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the system's refusals while `path` is written into one sentence."""
    try:
        yield
    except EnvironmentFailure:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error.filename, str) and not Path(error.filename).is_relative_to(path.parent):
            reason += f": {error.filename}"  # another file, as one that was to be copied here
        raise EnvironmentFailure(
            f"{path}: can't be written ({reason}). Nothing half-written was left there. "
            "Free some space or choose another place."
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all."""
    with aside(path) as place:
        place.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def cache_folder() -> Path:
    """Where kseg keeps what it can make or fetch again: KSEG_HOME, else the platform's cache folder."""
    import platformdirs

    return Path(os.environ.get("KSEG_HOME") or platformdirs.user_cache_dir("kseg"))
