"""Files from the network: resumed where they broke off, verified, and there only when whole."""

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

import click

from kseg.errors import EnvironmentFailure
from kseg.storage import write_json, writing

_PIECE_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_ATTEMPTS = 5
_WAIT_S = 1.0


class _Failed(Exception):
    """One address did not give the file; the next is tried."""


class _BrokenOff(_Failed):
    """The connection ended within the file; asking again goes on where it ended."""


def fetch(
    addresses: Sequence[str],
    target: str | Path,
    *,
    size_bytes: int | None = None,
    digest: str | None = None,
    page: str | None = None,
) -> Path:
    """The file `target`, fetched unless it is there and right.

    What has come so far lies beside it as `NAME.part`, from which a later call goes on. KSEG_MIRROR (a base address or
    a folder) is asked for the target's name before `addresses`; with KSEG_OFFLINE=1 only a folder is.

    Args:
      addresses: http(s) addresses of one and the same file, the first preferred; none for a file that only a mirror or
        a person can bring.
      target: where it goes.
      size_bytes: its size where that is known; a server that sends another is cut off.
      digest: "sha256:HEX" where that is known (sha1 and md5 too, or the first digits alone).
      page: where a person finds it, if not at the first address.

    Raises:
      EnvironmentFailure: it could not be fetched, or another file came (which is removed); the message says what
        each address answered, which file to bring and where to put it. Or the disk is full.
    """
    target = Path(target)
    if target.exists() and mismatch(target, size_bytes, digest) is None:
        return target
    part = target.with_name(target.name + ".part")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for place in _places(target.name, addresses):
        try:
            _copy(place, part) if isinstance(place, Path) else _receive(place, part, size_bytes)
            wrong = mismatch(part, size_bytes, digest)
            if wrong:
                _remove(part)
                raise _Failed(f"another file came and was removed: {wrong}")
            with writing(target):
                os.replace(part, target)
            _remove(part)
            return target
        except _Failed as error:
            failures.append(f"{place}: {error}.")
    raise EnvironmentFailure(
        _complaint(target, failures, page or "".join(addresses[:1]), described(size_bytes, digest))
    )


def mismatch(path: Path, size_bytes: int | None, digest: str | None) -> str | None:
    """What differs between the file and its known size and digest, as a phrase; None where nothing does."""
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


def _places(name: str, addresses: Sequence[str]) -> Iterator[str | Path]:
    """Where to look, in turn: the mirror, then the addresses; no address when offline."""
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


def _complaint(target: Path, failures: Sequence[str], origin: str, facts: str) -> str:
    sentences = [f"{target.name}: could not be fetched."]
    if _offline():
        sentences.append("KSEG_OFFLINE is set: no address was asked.")
    sentences += failures
    kept = target.with_name(target.name + ".part")
    if kept.exists():
        sentences.append(f"What came so far is kept in {kept}: the same command goes on from there.")
    place = f" from {origin}" if origin else ""
    bring = "Or bring" if failures else "Bring"
    sentences.append(f"{bring} the file{place} ({facts}) by other means and put it at {target}.")
    return " ".join(sentences)


def _copy(source: Path, part: Path) -> None:
    if not source.is_file():
        raise _Failed("the mirror's folder has no such file")
    _remove(part)
    with writing(part.with_suffix("")):
        shutil.copyfile(source, part)


def _receive(address: str, part: Path, size_bytes: int | None) -> None:
    """The whole of what lies at `address` into `part`, asked again where it breaks off."""
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
    """One request: for the rest where a part of this very file is there, else for all of it."""
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
            _remove(part)  # nothing lies where the part ends: another file by now
            raise _BrokenOff("the file changed meanwhile") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Failed(f"no answer ({getattr(error, 'reason', None) or error})") from error
    with answer:
        first, total = _extent(answer)
        if first and (first != start or total != (known.get("total") or total)):
            _remove(part)
            raise _BrokenOff("the file changed meanwhile")
        if size_bytes is not None and total not in (None, size_bytes):
            _remove(part)
            raise _Failed(f"it offers another file: expected {size_bytes:,} bytes, offered {total:,}")
        tag = answer.headers.get("ETag", "W/")
        if tag.startswith("W/"):  # a weak one may stay the same when bytes change
            tag = answer.headers.get("Last-Modified", "")
        write_json(_memory(part), {"address": address, "total": total, "tag": tag})
        _write(answer, part, first, total if size_bytes is None else size_bytes)


def _extent(answer: Any) -> tuple[int, int | None]:
    """From which byte the answer goes on, and the size of the whole file where the server says it."""
    if answer.status == 206:
        span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        first = span.partition("-")[0]
        return int(first) if first.isdigit() else -1, int(total) if total.isdigit() else None
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _write(answer: Any, part: Path, start: int, total: int | None) -> None:
    """Writes the answer's body from byte `start` on; at the end there are exactly `total` bytes, where known."""
    place, there = part.with_suffix(""), start
    with writing(place):
        stream = part.open("r+b" if start else "wb", buffering=0)
    with stream, _progress(place.name, start, total) as advance:
        stream.seek(start)
        while True:
            try:
                piece = answer.read(_PIECE_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenOff(f"broke off after {there:,} bytes ({error})") from error
            if not piece:
                break
            there += len(piece)
            if total is not None and there > total:
                _remove(part)
                raise _Failed(f"it sent more than the {total:,} bytes expected, and was cut off")
            rest = memoryview(piece)
            while rest:
                with writing(place):
                    rest = rest[stream.write(rest) :]
            advance(len(piece))
    if total is not None and there < total:
        raise _BrokenOff(f"broke off after {there:,} of {total:,} bytes")


@contextmanager
def _progress(name: str, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line per tenth elsewhere; on standard error. Gives the function that is told each step."""
    if sys.stderr.isatty() and total:
        with click.progressbar(length=total, label=name, file=sys.stderr) as bar:
            bar.update(start)
            yield bar.update
        return
    step, there = max((total or 0) // 10, 10 * _PIECE_BYTES), start

    def advance(count: int) -> None:
        nonlocal there
        before, there = there, there + count
        if there // step > before // step or there == total:
            whole = f" of {total / 1e6:.1f}" if total else ""
            click.echo(f"{name}: {there / 1e6:.1f}{whole} MB", err=True)

    yield advance


def _remove(part: Path) -> None:
    """Removes the part and what was remembered of it."""
    part.unlink(missing_ok=True)
    _memory(part).unlink(missing_ok=True)


def _memory(part: Path) -> Path:
    """Where it is written whose part it is: address, size of the whole, the server's tag for this version."""
    return part.with_name(part.name + ".json")


def _remembered(part: Path) -> dict[str, Any]:
    try:
        known = json.loads(_memory(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if part.exists() and isinstance(known, dict) else {}


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone."""

    def redirect_request(self, request: Any, stream: Any, code: int, message: str, headers: Any, address: str) -> Any:
        if not _is_web(address):
            raise urllib.error.URLError(f"sent on to {address}, which is no web address")
        return super().redirect_request(request, stream, code, message, headers, address)


_OPENER = urllib.request.build_opener(_WebOnly)
