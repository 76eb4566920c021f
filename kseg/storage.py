"""Files and folders that are whole or absent: written aside, then renamed; archives unpacked the same way."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from kseg.errors import DataError, EnvironmentFailure

_MOST_MEMBERS = 1_000_000
_OTHER = "The published archive holds none such; nothing was unpacked. Remove it and fetch it again."


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


def unpack(archive: str | Path, folder: str | Path, *, most_bytes: int | None = None) -> list[str]:
    """Unpacks a .zip, .tar, .tar.gz or .tgz into `folder`, whole or not at all; gives what it holds at the top.

    What is written is plain files and folders within `folder`, never a link or a device, and nothing is replaced.

    Args:
      archive: the file; its ending says its kind.
      folder: where to; it may hold other things already, also folders of the archive's names.
      most_bytes: how much it may hold; by default a gigabyte and 64 times the archive's own size.

    Raises:
      DataError: the archive is damaged, or holds what leads out of the folder, is no plain file, or is too much.
      EnvironmentFailure: the disk is full, the place can't be written, or a file of that name is there.
    """
    archive, folder = Path(archive), Path(folder)
    left = (1 << 30) + 64 * archive.stat().st_size if most_bytes is None else most_bytes
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=".kseg-", dir=folder))
    try:
        with writing(folder):
            _write_members(archive, room, left)
            for path in room.rglob("*"):
                place = folder / path.relative_to(room)
                if place.exists() and not (path.is_dir() and place.is_dir()):
                    raise EnvironmentFailure(f"{place}: this is there already. Move it away, and unpack again.")
            top = sorted(path.name for path in room.iterdir())
            _move_into(room, folder)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return top


def _write_members(archive: Path, room: Path, left: int) -> None:
    """Writes what the archive holds, at most `left` bytes of it, to the empty folder `room`."""
    try:
        for number, (name, content) in enumerate(_members(archive)):
            place = room / _inside(archive, name)
            if number == _MOST_MEMBERS:
                raise DataError(f"{archive}: more than {_MOST_MEMBERS:,} files. {_OTHER}")
            (place if content is None else place.parent).mkdir(parents=True, exist_ok=True)
            if content is None:
                continue
            with place.open("xb") as file:
                while piece := content.read(1 << 20):
                    left -= len(piece)
                    if left < 0:
                        raise DataError(f"{archive}: {name} and what comes before it are too much. {_OTHER}")
                    file.write(piece)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(f"{archive}: {name} is in it twice. {_OTHER}") from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, RuntimeError) as error:
        raise DataError(f"{archive}: damaged, or no archive that is read ({error}). Fetch it again.") from error


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Name and content of each member, in the archive's order; None for a folder."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise DataError(f"{archive}: {entry.filename} is a link or a device. {_OTHER}")
                if entry.is_dir():
                    yield entry.filename, None
                else:
                    with packed.open(entry) as content:
                        yield entry.filename, content
        return
    with archive.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as tape:
        for member in tape:
            if not (member.isdir() or member.isreg()) or member.issparse():
                raise DataError(f"{archive}: {member.name} is a link, a device or a sparse file. {_OTHER}")
            yield member.name, tape.extractfile(member)


def _inside(archive: Path, name: str) -> PurePosixPath:
    """A member's path within the archive; one written on Windows has backslashes."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or re.match("[A-Za-z]:", name):
        raise DataError(f"{archive}: {name!r} leads out of the folder. {_OTHER}")
    return path


def _move_into(source: Path, target: Path) -> None:
    """Moves what is in `source` into `target`, folders into those of their name."""
    for path in list(source.iterdir()):
        place = target / path.name
        if place.is_dir():
            _move_into(path, place)
        else:
            path.rename(place)
