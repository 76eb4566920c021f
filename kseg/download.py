"""Files from the network: an interrupted download is resumed; a file is verified before it gets its name."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from kseg.errors import EnvironmentFailure
from kseg.log import LOG, progress_bar
from kseg.storage import write_json, writing

_PIECE_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_ATTEMPTS = 5
_WAIT_S = 1.0


class _Failed(Exception):
    """One source did not give the file; the next one is tried."""


class _BrokenOff(_Failed):
    """The connection ended before the end of the file; another request resumes there."""


def fetch(
    addresses: Sequence[str],
    target: str | Path,
    *,
    size_bytes: int | None = None,
    digest: str | None = None,
    page: str | None = None,
) -> Path:
    """Fetches a file, unless `target` exists and has the right size and digest.

    An incomplete download lies beside it as `NAME.part`; a later call resumes it. KSEG_MIRROR (a base address or a
    folder) is tried before `addresses`, under the target's name. With KSEG_OFFLINE=1 only such a folder is tried.

    Args:
      addresses: http(s) addresses of the same file, tried in this order; none for a file that only a mirror or the user
        can provide.
      target: where the file is written.
      size_bytes: its size if known; a download of another size is stopped.
      digest: "sha256:HEX" if known; sha1 and md5 are possible, too, and so are the first digits alone.
      page: the web page with the file, if not the first address; for the error message.

    Returns:
      `target`.

    Raises:
      EnvironmentFailure: no source gave the file, or it gave another file (which is removed); the message tells the
        answer of each source, which file to provide and where to put it. Or the disk is full.
    """
    target = Path(target)
    if target.exists() and mismatch(target, size_bytes, digest) is None:
        return target
    part = target.with_name(target.name + ".part")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for source in _sources(target.name, addresses):
        try:
            _copy(source, part) if isinstance(source, Path) else _receive(source, part, size_bytes)
            wrong = mismatch(part, size_bytes, digest)
            if wrong:
                _remove(part)
                raise _Failed(f"it gave another file, which was removed: {wrong}")
            with writing(target):
                os.replace(part, target)
            _remove(part)
            return target
        except _Failed as error:
            failures.append(f"{source}: {error}.")
    raise _failure(target, failures, page or "".join(addresses[:1]), described(size_bytes, digest))


def mismatch(path: Path, size_bytes: int | None, digest: str | None) -> str | None:
    """A phrase that says how the file differs from its known size and digest; None if it does not differ."""
    found = path.stat().st_size
    if size_bytes is not None and found != size_bytes:
        return f"expected {size_bytes:,} bytes, found {found:,}"
    if digest is not None:
        kind, expected = digest.split(":")
        computed = digest_of(path, kind)
        if not computed.startswith(expected):
            return f"expected {kind} {expected}, found {computed} ({found:,} bytes)"
    return None


def digest_of(path: str | Path, kind: str = "sha256") -> str:
    """The file's digest in lower-case hexadecimal; `kind` is one of hashlib's names."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def described(size_bytes: int | None, digest: str | None) -> str:
    """Size and digest as a phrase."""
    size = "size unknown" if size_bytes is None else f"{size_bytes:,} bytes"
    return f"{size}, {'digest unknown' if digest is None else digest.replace(':', ' ')}"


def _offline() -> bool:
    return os.environ.get("KSEG_OFFLINE", "0") not in ("", "0")


def _sources(name: str, addresses: Sequence[str]) -> Iterator[str | Path]:
    """The mirror, then the addresses; no address when offline."""
    mirror = os.environ.get("KSEG_MIRROR")
    if mirror and not _is_web(mirror):
        yield Path(mirror) / name
    if _offline():
        return
    if mirror and _is_web(mirror):
        yield f"{mirror.rstrip('/')}/{quote(name)}"
    yield from addresses


def _is_web(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https")


def _failure(target: Path, failures: Sequence[str], origin: str, facts: str) -> EnvironmentFailure:
    sentences = [f"{target.name}: could not be fetched."]
    if _offline():
        sentences.append("KSEG_OFFLINE is set: no address was tried.")
    sentences += failures
    part = target.with_name(target.name + ".part")
    if part.exists():
        sentences.append(f"The incomplete download is kept in {part}: the same command resumes it.")
    source = f" from {origin}" if origin else ""
    fetch = "Or fetch" if failures else "Fetch"
    return EnvironmentFailure(
        " ".join(sentences), f"{fetch} the file{source} ({facts}) by other means and put it at {target}."
    )


def _copy(source: Path, part: Path) -> None:
    if not source.is_file():
        raise _Failed("the mirror's folder has no such file")
    _remove(part)
    with writing(part.with_suffix("")):
        shutil.copyfile(source, part)


def _receive(address: str, part: Path, size_bytes: int | None) -> None:
    """Downloads `address` to `part`, with a new request after each interruption."""
    if not _is_web(address):
        raise _Failed("only http and https addresses are fetched")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _ask(address, part, size_bytes)
        except _BrokenOff:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_WAIT_S * attempt)
        else:
            return


def _ask(address: str, part: Path, size_bytes: int | None) -> None:
    """Makes one request: for the rest if `part` holds the beginning of this file, else for all of it."""
    known = _remembered(part)
    start = part.stat().st_size if known.get("address") == address else 0
    if start and start == known.get("total"):
        return
    headers = {"User-Agent": "kseg"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if known.get("tag"):
            headers["If-Range"] = known["tag"]
    try:
        answer = _OPENER.open(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 416:
                raise _Failed(f"HTTP {error.code} {error.reason}") from error
            _remove(part)  # the server's file is shorter than the part, so it is another file by now
            raise _BrokenOff("the file has changed since") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Failed(f"no answer ({getattr(error, 'reason', None) or error})") from error
    with answer:
        first, total = _extent(answer)
        if first and (first != start or total != (known.get("total") or total)):
            _remove(part)
            raise _BrokenOff("the file has changed since")
        if size_bytes is not None and total not in (None, size_bytes):
            _remove(part)
            raise _Failed(f"it offers another file: expected {size_bytes:,} bytes, offered {total:,}")
        tag = answer.headers.get("ETag", "W/")
        if tag.startswith("W/"):  # a weak tag may stay the same when bytes change
            tag = answer.headers.get("Last-Modified", "")
        write_json(_memory(part), {"address": address, "total": total, "tag": tag})
        _write(answer, part, first, total if size_bytes is None else size_bytes)


def _extent(answer: Any) -> tuple[int, int | None]:
    """The answer's first byte within the file, and the size of the whole file if the server tells it."""
    if answer.status == 206:
        span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        first = span.partition("-")[0]
        return int(first) if first.isdigit() else -1, int(total) if total.isdigit() else None
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _write(answer: Any, part: Path, start: int, total: int | None) -> None:
    """Writes the answer's body from byte `start` on; the file must then have exactly `total` bytes, if known."""
    target, size = part.with_suffix(""), start
    with writing(target):
        stream = part.open("r+b" if start else "wb", buffering=0)
    with stream, _progress(target.name, start, total) as advance:
        stream.seek(start)
        while True:
            try:
                piece = answer.read(_PIECE_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenOff(f"broke off after {size:,} bytes ({error})") from error
            if not piece:
                break
            size += len(piece)
            if total is not None and size > total:
                _remove(part)
                raise _Failed(f"it sent more than the {total:,} bytes expected, and was cut off")
            rest = memoryview(piece)
            while rest:
                with writing(target):
                    rest = rest[stream.write(rest) :]
            advance(len(piece))
    if total is not None and size < total:
        raise _BrokenOff(f"broke off after {size:,} of {total:,} bytes")


@contextmanager
def _progress(name: str, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line per tenth elsewhere. Gives a function that takes the number of new bytes."""
    if sys.stderr.isatty() and total:
        with progress_bar(name, length=total) as bar:
            bar.update(start)
            yield bar.update
        return
    step, size = max((total or 0) // 10, 10 * _PIECE_BYTES), start

    def advance(count: int) -> None:
        nonlocal size
        before, size = size, size + count
        if size // step > before // step or size == total:
            whole = f" of {total / 1e6:.1f}" if total else ""
            LOG.info(f"{name}: {size / 1e6:.1f}{whole} MB")

    yield advance


def _remove(part: Path) -> None:
    """Removes the part and the facts that are kept beside it."""
    part.unlink(missing_ok=True)
    _memory(part).unlink(missing_ok=True)


def _memory(part: Path) -> Path:
    """The file beside the part that holds its address, the size of the whole, and the server's tag of this version."""
    return part.with_name(part.name + ".json")


def _remembered(part: Path) -> dict[str, Any]:
    try:
        known = json.loads(_memory(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if part.exists() and isinstance(known, dict) else {}


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only."""

    def redirect_request(self, request: Any, stream: Any, code: int, message: str, headers: Any, address: str) -> Any:
        if not _is_web(address):
            raise urllib.error.URLError(f"redirected to {address}, which is not a web address")
        return super().redirect_request(request, stream, code, message, headers, address)


_OPENER = urllib.request.build_opener(_WebOnly)
