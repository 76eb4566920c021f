"""The commands `peers`, `gpu` and `table`."""

from __future__ import annotations

import argparse
import datetime
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import processor, table
from benchmarks.peers.runner import GPU_SYSTEMS, SYSTEMS, Runner
from benchmarks.peers.works import Work, gpu_works, small, works

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    numbers = [int(name) for name in _names(text)]
    if not numbers or min(numbers) < 1:
        raise ValueError
    return numbers


def parser() -> argparse.ArgumentParser:
    """The options of all commands."""
    whole = argparse.ArgumentParser(prog="python -m benchmarks", description="kseg beside other libraries.")
    commands = whole.add_subparsers(dest="command", required=True)
    peers = commands.add_parser("peers", help="on this processor, beside PyTorch, ONNX Runtime and OpenVINO")
    gpu = commands.add_parser("gpu", help="on a GPU, through Keras' JAX backend, beside PyTorch")
    for each in (peers, gpu):
        each.add_argument("--only", type=_names, metavar="WORK,...", help="these works; all if left out")
        each.add_argument("--batch", type=_numbers, metavar="N,...", help="images at once")
        each.add_argument("--precision", type=_names, metavar="NAME,...", default=list(PRECISIONS[:2]))
        each.add_argument("--system", type=_names, metavar="NAME,...", help="these systems; all if left out")
        each.add_argument("--json", type=Path, metavar="FILE", help="the rows, as a list")
        each.add_argument("--table", type=Path, metavar="FILE.md", help="keep the rows, and write all tables there")
    peers.add_argument("--rounds", type=int, default=5, help="turns of each system; their median counts")
    peers.add_argument("--imitate", choices=sorted(processor.SETTINGS), help="use only this processor's instructions")
    peers.add_argument("--quick", action="store_true", help="small networks, to try the benchmark itself")
    gpu.add_argument("--sizes", choices=("full", "small"), default="full", help="small to try it without a GPU")
    page = commands.add_parser("table", help="write the tables of benchmarks/results again")
    page.add_argument("page", type=Path, metavar="FILE.md")
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 1 if a result is wrong or there is none."""
    whole = parser()
    given = whole.parse_args(arguments)
    if given.command == "table":
        table.write_tables(given.page)
        return 0
    if given.command == "gpu":
        return _gpu(whole, given)
    if given.quick and given.table:
        whole.error("--quick makes no figures to keep: leave --table out.")
    if given.imitate:
        os.environ[processor.IMITATE] = given.imitate
    chosen = _chosen(whole, "system", given.system, SYSTEMS)
    runner = Runner(chosen, rounds=given.rounds, say=_say)
    machine = processor.machine(runner.threads)
    return _measure(whole, given, runner, works(), given.quick, (1, 4), machine, f"peers-{machine['kind']}")


def _gpu(whole: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    card = processor.card()
    if not card and given.table:
        whole.error("There is no GPU here, so there are no figures to keep: leave --table out.")
    if not card and given.sizes == "full":
        whole.error("There is no GPU here. --sizes small tries the benchmark on the processor.")
    # On a GPU both libraries compute float32 in TF32, which keeps 10 bits of each number.
    how: dict[str, Any] = {"device": "cuda", "epsilon": 2.0**-11} if card else {}
    chosen = _chosen(whole, "system", given.system, GPU_SYSTEMS)
    runner = Runner(chosen, threads=len(os.sched_getaffinity(0)), say=_say, **how)
    machine = {**processor.machine(runner.threads), "card": card}
    name = "gpu-" + "-".join(card.lower().split())
    return _measure(whole, given, runner, gpu_works(), given.sizes == "small", (1, 8), machine, name)


def _chosen(whole: argparse.ArgumentParser, what: str, asked: Sequence[str] | None, known: Mapping[str, Any]) -> dict:
    """Those that were asked for by name, all if none was; an unknown name ends the program."""
    for name in asked or ():
        if name not in known:
            whole.error(f"There is no {what} {name!r}; there are {', '.join(known)}.")
    return {name: known[name] for name in asked or known}


def _measure(
    whole: argparse.ArgumentParser,
    given: argparse.Namespace,
    runner: Runner,
    known: Mapping[str, Work],
    is_small: bool,
    batches: Sequence[int],
    machine: dict[str, Any],
    name: str,
) -> int:
    asked = _chosen(whole, "work", given.only, known)
    _chosen(whole, "precision", given.precision, dict.fromkeys(PRECISIONS))
    date = datetime.date.today().isoformat()
    print(table.described(machine), f"Date: {date}", sep="\n", flush=True)
    for work in asked.values():
        work = small(work) if is_small else work
        runner.run(work, given.batch or ([work.batch] if work.batch else batches), given.precision)
        _store(given, runner, machine, name, date)  # a run takes hours, and may be broken off
    print("", table.terminal_table(runner.rows), sep="\n")
    _print_reasons(runner)
    return 1 if runner.faults or not runner.rows else 0


def _store(given: argparse.Namespace, runner: Runner, machine: dict[str, Any], name: str, date: str) -> None:
    """Writes the rows so far where they were asked for; a run with a wrong result is not kept."""
    if given.json:
        given.json.write_text(json.dumps(runner.rows, indent=1) + "\n", encoding="utf-8")
    if given.table and not runner.faults:
        table.keep(name, machine, runner.rows, date)
        table.write_tables(given.table)


def _print_reasons(runner: Runner) -> None:
    for (system, reason), title in runner.reasons.items():
        print(f"No row for {system}: {reason} (first at {title})")
    for fault in runner.faults:
        print(f"WRONG: {fault}")


def _say(line: str) -> None:
    print(f"  {line}", flush=True)
