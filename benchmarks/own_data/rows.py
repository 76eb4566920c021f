"""The rows of the comparison: one for each work, system, seed and number of minutes, in benchmarks/results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kseg.storage import aside

RESULTS = Path(__file__).resolve().parents[1] / "results"
KEY = ("work", "system", "seed", "minutes")

Row = dict[str, Any]


def results_file(kind: str) -> Path:
    """The file for the results of a kind of processor."""
    return RESULTS / f"own-data-{kind}.json"


def rows_of(path: Path) -> list[Row]:
    """The rows that a file holds; none where there is no file."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def has(path: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether a row of the same work, system, seed and minutes is there."""
    return any(_key(row) == _key(wanted) for row in rows_of(path))


def append(path: Path, machine: Mapping[str, Any], row: Row) -> None:
    """Adds a row to a file, which is whole at any time; it replaces a row of the same key."""
    rows = [old for old in rows_of(path) if _key(old) != _key(row)]
    text = json.dumps({"machine": dict(machine), "rows": [*rows, row]}, indent=1)
    with aside(path) as new:
        new.write_text(text + "\n", encoding="utf-8")


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)
