"""The rows of results: one for each measured training, in files of benchmarks/results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kseg.storage import aside

RESULTS = Path(__file__).resolve().parent / "results"

Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    """The rows that a file holds; none where there is no file."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def has(path: Path, wanted: Mapping[str, Any], key: Sequence[str]) -> bool:
    """Whether there is a row with the same values of the fields `key`."""
    return any(_same(row, wanted, key) for row in rows_of(path))


def append(path: Path, machine: Mapping[str, Any], row: Row, key: Sequence[str]) -> None:
    """Adds a row to a file, which is whole at any time; it replaces a row with the same values of the fields `key`."""
    rows = [old for old in rows_of(path) if not _same(old, row, key)]
    text = json.dumps({"machine": dict(machine), "rows": [*rows, row]}, indent=1)
    with aside(path) as new:
        new.write_text(text + "\n", encoding="utf-8")


def _same(one: Mapping[str, Any], other: Mapping[str, Any], key: Sequence[str]) -> bool:
    return all(one[name] == other[name] for name in key)
