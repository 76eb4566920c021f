"""Results as text: on the terminal, in benchmarks/results, and in docs/speed.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"
BEGIN, END = "<!-- tables: begin (made by `python -m benchmarks table`) -->", "<!-- tables: end -->"
COLUMNS = ("seconds", "of kseg's", "peak MB", "first call s", "agreement")

Row = dict[str, Any]


def key(row: Row) -> tuple[str, int, str]:
    """What is compared with each other."""
    return row["work"], row["batch"], row["precision"]


def grouped(rows: Iterable[Row]) -> dict[tuple[str, int, str], dict[str, Row]]:
    """The rows of each work, batch and precision by system."""
    found: dict[tuple[str, int, str], dict[str, Row]] = {}
    for row in rows:
        found.setdefault(key(row), {})[row["system"]] = row
    return found


def fastest_peer(systems: Mapping[str, Row]) -> Row | None:
    """The quickest row that is not kseg's."""
    return min((row for name, row in systems.items() if name != "kseg"), key=lambda row: row["seconds"], default=None)


def described(machine: Mapping[str, Any]) -> str:
    """The machine in a few lines."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = []
    if machine.get("card"):
        lines += [f"GPU: {machine['card']}"]
    flags = ", ".join(machine["flags"]) or "none of those that matter"
    lines += [f"Processor: {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads used"]
    lines += [f"Flags: {flags}", f"Versions: {versions}"]
    if machine["imitated"]:
        imitated = f"IMITATED: the libraries were told to use {machine['imitated']} at most; the processor has more"
        lines = [imitated, "ONNX Runtime can't be told, and has more instructions here than the others", *lines]
    return "\n".join(lines)


def terminal_table(rows: Sequence[Row]) -> str:
    """All rows, with the time relative to kseg's. The quickest peer has a star."""
    lines = []
    for (work, batch, precision), systems in grouped(rows).items():
        lines += ["", f"{work}, batch {batch}, {precision}", f"  {'':<16}" + "".join(f"{one:>14}" for one in COLUMNS)]
        own, best = systems.get("kseg"), fastest_peer(systems)
        for name, row in systems.items():
            ratio = f"{row['seconds'] / own['seconds']:.2f}" if own else ""
            same = "" if row["agreement"] is None else f"{row['agreement']:.5f}"
            cells = (f"{row['seconds']:.4f}", ratio, f"{row['peak_mb']:.0f}", f"{row['first_call_s']:.1f}", same)
            choice = ", ".join(row["choice"].values())
            mark = "*" if row is best else " "
            lines.append(f"{mark} {name:<16}" + "".join(f"{cell:>14}" for cell in cells) + f"  {choice}".rstrip())
        if own and best:
            lines.append(f"  kseg takes {own['seconds'] / best['seconds']:.2f} of {best['system']}'s time")
    return "\n".join(lines).strip()


def keep(name: str, machine: Mapping[str, Any], rows: Iterable[Row], date: str) -> Path:
    """Adds rows to a file of benchmarks/results; they replace those of the same work, system, precision and batch."""
    path = RESULTS / f"{name}.json"
    old = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    merged = {(*key(row), row["system"]): row for row in old}
    merged |= {(*key(row), row["system"]): {**row, "date": date} for row in rows}
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": dict(machine), "rows": list(merged.values())}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def write_tables(page: Path) -> None:
    """Replaces the part of a Markdown page between the two marks by the tables of all results that are kept.

    Raises:
      ValueError: the page lacks a mark.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{page}: the lines {BEGIN!r} and {END!r} must be there once, in this order.")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{_all_tables(RESULTS)}\n{END}{after}", encoding="utf-8")


def _all_tables(folder: Path) -> str:
    """A section for each kind of processor, and for each GPU."""
    sections = [_section(path) for path in sorted(folder.glob("peers-*.json"))]
    cards = [_section(path) for path in sorted(folder.glob("gpu-*.json"))]
    sections += cards or ["### On a GPU\n\nNo figures of a GPU exist yet: `python -m benchmarks gpu` makes them.\n"]
    return "\n".join(sections)


def _section(path: Path) -> str:
    found = json.loads(path.read_text(encoding="utf-8"))
    machine, rows = found["machine"], found["rows"]
    systems = list(dict.fromkeys(row["system"] for row in rows))
    dates = sorted({row["date"] for row in rows})
    head = ["work", "batch", "precision", *systems, "kseg / fastest peer", "kseg: peak MB", "first call", "agreement"]
    lines = [f"### {machine.get('card') or machine['kind']}", "", *_paragraph(machine, dates), ""]
    lines += ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    for (work, batch, precision), by_system in grouped(rows).items():
        own, best = by_system.get("kseg"), fastest_peer(by_system)
        times = []
        for name in systems:
            row = by_system.get(name)
            time = f"{row['seconds']:.3f}" if row else ""
            times.append(f"**{time}**" if row and row is best else time)
        ratio = f"{own['seconds'] / best['seconds']:.2f}" if own and best else ""
        kseg = [f"{own['peak_mb']:.0f}", f"{own['first_call_s']:.1f}", _share(own["agreement"])] if own else [""] * 3
        lines.append("| " + " | ".join([work, str(batch), precision, *times, ratio, *kseg]) + " |")
    return "\n".join([*lines, ""])


def _share(agreement: float | None) -> str:
    return "" if agreement is None else f"{agreement:.4f}"


def _paragraph(machine: Mapping[str, Any], dates: Sequence[str]) -> list[str]:
    """The machine and the dates, a sentence a line."""
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return [f"{line}." for line in described(machine).splitlines()] + [f"Measured: {when}."]
