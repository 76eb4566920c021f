"""Files and folders that are either complete or absent: written beside their target, then renamed; so are archives."""

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

from kseg.errors import DataError, EnvironmentFailure, in_a_line

_MOST_MEMBERS = 1_000_000
_FETCH_AGAIN = "This is not the published archive, and nothing was unpacked. Remove it and fetch it again."


@contextmanager
def aside(path: str | Path) -> Iterator[Path]:
    """A temporary path to write a file or folder to; it is renamed to `path` when the block ends without an error.

    The temporary path has the same name, since some writers choose the format by its ending. If the block fails,
    nothing new remains, and an earlier file at `path` is unchanged.

    Raises:
      EnvironmentFailure: the disk is full, or `path` can't be written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".kseg-", dir=path.parent))
    try:
        with writing(path):
            yield temporary / path.name
            if (temporary / path.name).is_dir():
                (temporary / path.name).rename(path)
            else:
                os.replace(temporary / path.name, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError in the block, which writes `path`, into an EnvironmentFailure that names `path`."""
    try:
        yield
    except EnvironmentFailure:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error.filename, str) and not Path(error.filename).is_relative_to(path.parent):
            reason += f": {error.filename}"  # another file, such as one that is copied to `path`
        raise EnvironmentFailure(
            f"{path}: can't be written ({reason}). No partial file was left there.",
            "Free some space or choose another place.",
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` as UTF-8, completely or not at all."""
    with aside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, completely or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def cache_folder() -> Path:
    """The folder for files that kseg can make or fetch again: KSEG_HOME, else the platform's cache folder."""
    import platformdirs

    return Path(os.environ.get("KSEG_HOME") or platformdirs.user_cache_dir("kseg"))


def unpack(archive: str | Path, folder: str | Path, *, most_bytes: int | None = None) -> list[str]:
    """Unpacks a .zip, .tar, .tar.gz or .tgz into `folder`, completely or not at all.

    Only plain files and folders within `folder` are written, never a link or a device. No file is replaced.

    Args:
      archive: the file; its ending says its kind.
      folder: the target; it may already hold other files, and folders with names from the archive.
      most_bytes: the most that may be unpacked; by default a gigabyte plus 64 times the archive's own size.

    Returns:
      The names of the files and folders at the archive's top level, sorted.

    Raises:
      DataError: the archive is damaged, or a member leads out of the folder, is not a plain file, or is too large.
      EnvironmentFailure: the disk is full, the folder can't be written, or a file of that name exists.
    """
    archive, folder = Path(archive), Path(folder)
    left = (1 << 30) + 64 * archive.stat().st_size if most_bytes is None else most_bytes
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".kseg-", dir=folder))
    try:
        with writing(folder):
            _write_members(archive, temporary, left)
            for path in temporary.rglob("*"):
                target = folder / path.relative_to(temporary)
                if target.exists() and not (path.is_dir() and target.is_dir()):
                    raise EnvironmentFailure(f"{target}: this exists already.", "Move it away, and unpack again.")
            top = sorted(path.name for path in temporary.iterdir())
            _move_into(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return top


def _write_members(archive: Path, folder: Path, left: int) -> None:
    """Writes the archive's members to the empty `folder`, at most `left` bytes."""
    try:
        for number, (name, content) in enumerate(_members(archive)):
            path = folder / _inside(archive, name)
            if number == _MOST_MEMBERS:
                raise DataError(f"{archive}: more than {_MOST_MEMBERS:,} files.", _FETCH_AGAIN)
            (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
            if content is None:
                continue
            with path.open("xb") as file:
                while piece := content.read(1 << 20):
                    left -= len(piece)
                    if left < 0:
                        raise DataError(f"{archive}: {name} and the files before it are too large.", _FETCH_AGAIN)
                    file.write(piece)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(f"{archive}: {name} is in it twice.", _FETCH_AGAIN) from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, RuntimeError) as error:
        raise DataError(
            f"{archive}: damaged, or not a .zip or .tar archive ({in_a_line(error)}).", "Fetch it again."
        ) from error


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Name and content of each member, in the archive's order; None for a folder."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise DataError(f"{archive}: {entry.filename} is a link or a device.", _FETCH_AGAIN)
                if entry.is_dir():
                    yield entry.filename, None
                else:
                    with packed.open(entry) as content:
                        yield entry.filename, content
        return
    with archive.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as tape:
        for member in tape:
            if not (member.isdir() or member.isreg()) or member.issparse():
                raise DataError(f"{archive}: {member.name} is a link, a device or a sparse file.", _FETCH_AGAIN)
            yield member.name, tape.extractfile(member)


def _inside(archive: Path, name: str) -> PurePosixPath:
    """A member's path within the archive; archives that were written on Windows have backslashes."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or re.match("[A-Za-z]:", name):
        raise DataError(f"{archive}: {name!r} leads out of the folder.", _FETCH_AGAIN)
    return path


def _move_into(source: Path, target: Path) -> None:
    """Moves the content of `source` into `target`; folders with the same name are merged."""
    for path in list(source.iterdir()):
        if (target / path.name).is_dir():
            _move_into(path, target / path.name)
        else:
            path.rename(target / path.name)
