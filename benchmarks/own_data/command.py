"""The command: every work by every system with every seed, one after the other."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.own_data.processes import SystemFailure
from benchmarks.own_data.scores import scores
from benchmarks.own_data.systems import FOR_BRIGHT, PACKAGES, SYSTEMS, Training
from benchmarks.own_data.works import WORKS, Work, write
from benchmarks.peers import processor, table

KEY = ("work", "system", "seed", "minutes")  # of a row
BUSY = 0.5  # processes of others that want a core
VERSIONS = ("torch", "nnunetv2", "segmentation-models-pytorch", "scikit-image")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    whole = argparse.ArgumentParser(
        prog="python -m benchmarks.own_data", description="kseg beside nnU-Net v2 and a plain U-Net, in equal minutes."
    )
    whole.add_argument("shared", type=Path, metavar="DATA", help="the folder of dsb2018, ctc, camvid and isbi2012")
    whole.add_argument("--works", type=_names, metavar="NAME,...", default=list(WORKS), help="these works")
    whole.add_argument("--systems", type=_names, metavar="NAME,...", default=list(SYSTEMS), help="these systems")
    whole.add_argument("--minutes", type=float, default=5.0, help="of each training")
    whole.add_argument("--seeds", type=int, metavar="N", default=3, help="trainings with the seeds 0 to N - 1")
    whole.add_argument("--folder", type=Path, help="keep images, runs, logs and predictions there")
    whole.add_argument("--peers-python", metavar="PATH", default=sys.executable, help="the peers' interpreter")
    whole.add_argument("--json", type=Path, metavar="FILE", help="another file than that of benchmarks/results")
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparison; 1 if a system failed."""
    whole = parser()
    given = whole.parse_args(arguments)
    _check(whole, "work", given.works, WORKS)
    _check(whole, "system", given.systems, SYSTEMS)
    for name in given.systems:
        if not has_package(given.peers_python, PACKAGES.get(name)):
            whole.error(f"{given.peers_python} lacks {PACKAGES[name]}: pip install -e '.[compare]', or --peers-python.")
    machine = processor.machine(len(os.sched_getaffinity(0)))
    machine["versions"] |= _versions(given.peers_python)
    file = given.json or rows.RESULTS / f"own-data-{machine['kind']}.json"
    print(table.described(machine), f"Rows: {file}", sep="\n", flush=True)
    if os.getloadavg()[0] > BUSY:
        print("WARNING: other programs are running, which slows PyTorch down far more than TensorFlow.", flush=True)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="kseg-own-data-"))
    failed = 0
    try:
        for work in (WORKS[name] for name in given.works):
            failed += _run_work(given, work, folder.resolve(), file, machine)
    finally:
        if not given.folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def _run_work(given: argparse.Namespace, work: Work, folder: Path, file: Path, machine: dict[str, Any]) -> int:
    """Trains what has no row yet, a seed after the other; how many trainings failed."""
    failed = 0
    parts = work.read(given.shared)
    files = write(work, parts, folder / work.name / "files")
    for seed in range(given.seeds):
        for system in given.systems:
            row: rows.Row = {"work": work.name, "system": system, "seed": seed, "minutes": given.minutes}
            title = f"{work.name}, {system}, seed {seed}"
            if system in FOR_BRIGHT and not work.bright:
                print(f"{title}: left out, its objects are not brighter than the ground", flush=True)
                continue
            if rows.has(file, row, KEY):
                print(f"{title}: there is a row", flush=True)
                continue
            own = folder / work.name / f"{system}-{given.minutes:g}-minutes" / f"seed-{seed}"
            shutil.rmtree(own, ignore_errors=True)  # what an interrupted training left
            training = Training(work, files, given.minutes, seed, own, folder / work.name, given.peers_python)
            start, busy = time.monotonic(), os.getloadavg()[0]
            try:
                facts, found = SYSTEMS[system](training)
            except SystemFailure as failure:
                failed += 1
                print(f"{title}: {failure}", flush=True)
                continue
            row |= _rounded(facts) | {"scores": _rounded(scores(work, parts, found))}
            row |= {
                "load_before": round(busy, 2),
                "comparison": shlex.join(_asked(given)),
                "date": datetime.date.today().isoformat(),
            }
            rows.append(file, machine, row, KEY)
            print(f"{title}: {time.monotonic() - start:.0f} s, {facts['steps']} steps, {row['scores']}", flush=True)
    return failed


def has_package(python: str, package: str | None) -> bool:
    """Whether an interpreter finds a package; also if there is none to find."""
    if package is None:
        return True
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    try:
        return subprocess.run([python, "-c", code], check=False).returncode == 0
    except OSError:
        return False


def _versions(python: str) -> dict[str, str]:
    """The versions of the peers' packages that are there."""
    code = f"""
import importlib.metadata as m, json
found = {{}}
for name in {VERSIONS!r}:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))"""
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def _check(whole: argparse.ArgumentParser, what: str, asked: Sequence[str], known: Mapping[str, Any]) -> None:
    for name in asked:
        if name not in known:
            whole.error(f"There is no {what} {name!r}; there are {', '.join(known)}.")


def _asked(given: argparse.Namespace) -> list[str]:
    """The command that repeats this comparison, whatever else was asked for in this call."""
    asked = ["python", "-m", "benchmarks.own_data", "DATA", "--works", ",".join(given.works)]
    asked += ["--systems", ",".join(given.systems), "--minutes", f"{given.minutes:g}", "--seeds", str(given.seeds)]
    return asked


def _rounded(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(one, 4) if isinstance(one, float) else one for name, one in facts.items()}
