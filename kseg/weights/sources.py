"""Every public file of weights: its address, size and digest.

Sizes and digests are those stated by the publishers, or by others who have the files; None if nobody states them. A
person must fetch Google Drive's files, since it answers programs with a page.

Source: facts of the FCN release, section 6.1.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from kseg.download import digest_of, fetch, mismatch
from kseg.errors import ConfigError, did_you_mean
from kseg.storage import cache_folder


@dataclass(frozen=True)
class Source:
    """A published file.

    Attributes:
      file: its name.
      what: what it contains, and what one must know of it.
      addresses: where it can be downloaded, the preferred one first; none if a person must fetch it.
      size_bytes: its size.
      digest: "KIND:HEX", at least the first digits.
      page: where a person finds it, if there is no address.
    """

    file: str
    what: str
    addresses: tuple[str, ...] = ()
    size_bytes: int | None = None
    digest: str | None = None
    page: str | None = None


def _read_table() -> dict[str, Source]:
    """The sources by name, from the table beside this module; addresses are separated by blanks."""
    table = Path(__file__).with_suffix(".csv").read_text(encoding="utf-8")
    return {
        row["name"]: Source(
            row["file"],
            row["what"],
            tuple(row["addresses"].split()),
            int(row["size_bytes"]) if row["size_bytes"] else None,
            row["digest"] or None,
            row["page"] or None,
        )
        for row in csv.DictReader(table.splitlines())
    }


SOURCES = _read_table()


def source(name: str) -> Source:
    """The source of that name.

    Raises:
      ConfigError: there is none; the message names the nearest.
    """
    if name not in SOURCES:
        raise ConfigError(f"There is no source of weights {name!r}.", did_you_mean(name, SOURCES))
    return SOURCES[name]


def path_in_cache(name: str) -> Path:
    """Where the source's file lies in the cache, after a download or put there by hand."""
    return cache_folder() / "weights" / source(name).file


def fetched(name: str) -> Path:
    """The source's file in the cache; it is downloaded if it is not there.

    Raises:
      ConfigError: no such source.
      EnvironmentFailure: it could not be downloaded; the message says which file to bring and where to put it.
    """
    wanted = source(name)
    size_bytes, digest = wanted.size_bytes, wanted.digest
    return fetch(wanted.addresses, path_in_cache(name), size_bytes=size_bytes, digest=digest, page=wanted.page)


def same_file(name: str, path: str | Path) -> bool:
    """Whether the file is this source's, by its digest."""
    wanted = source(name)
    return wanted.digest is not None and mismatch(Path(path), wanted.size_bytes, wanted.digest) is None


def recognised(path: str | Path) -> str | None:
    """The name of the source that a file is, by its digest; None if no source has this digest."""
    path, found = Path(path), dict[str, str]()
    for name, wanted in SOURCES.items():
        if wanted.digest is None or wanted.size_bytes not in (None, path.stat().st_size):
            continue
        kind, digits = wanted.digest.split(":")
        if kind not in found:
            found[kind] = digest_of(path, kind)
        if found[kind].startswith(digits):
            return name
    return None


@dataclass(frozen=True)
class Verdict:
    """Whether a file is a published one, and a sentence on it."""

    right: bool
    text: str


def verified(path: str | Path) -> Verdict:
    """Whether the file is a published one: by its digest, or by name and size if no digest was published."""
    path = Path(path)
    name = recognised(path)
    if name is not None:
        kind, digits = str(SOURCES[name].digest).split(":")
        return Verdict(True, f"{path}: {name}, whole ({kind} {digits}...): {SOURCES[name].what}.")
    own = f"{path.stat().st_size:,} bytes, sha256 {digest_of(path)}"
    for name, wanted in SOURCES.items():
        if wanted.file == path.name:
            wrong = mismatch(path, wanted.size_bytes, wanted.digest)
            if wrong is not None:
                return Verdict(False, f"{path}: not the {name} that was published: {wrong}. Fetch it again.")
            return Verdict(True, f"{path}: has the name of {name}, for which no digest was published; it has {own}.")
    return Verdict(False, f"{path}: no published file that kseg knows ({own}). `kseg weights list` names them.")
