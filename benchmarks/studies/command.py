"""The command: every training of every study, one after the other."""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import rows
from benchmarks.own_data.processes import SystemFailure
from benchmarks.peers import processor, table
from benchmarks.studies.lists import STUDIES

KEY = ("study", "arm", "seed")  # of a row


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    whole = argparse.ArgumentParser(prog="python -m benchmarks.studies", description="What a setting changes.")
    whole.add_argument("shared", type=Path, metavar="DATA", help="the folder of camvid, dsb2018, isbi2012 and nyudv2")
    whole.add_argument("--studies", metavar="NAME,...", default=",".join(STUDIES), help="these studies")
    whole.add_argument("--seeds", type=int, metavar="N", default=1, help="trainings with the seeds 0 to N - 1")
    whole.add_argument("--folder", type=Path, required=True, help="where files, runs and logs stay")
    whole.add_argument("--json", type=Path, metavar="FILE", help="another file than that of benchmarks/results")
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the studies; 1 if a training failed."""
    whole = parser()
    given = whole.parse_args(arguments)
    names = given.studies.split(",")
    for name in names:
        if name not in STUDIES:
            whole.error(f"There is no study {name!r}; there are {', '.join(STUDIES)}.")
    machine = processor.machine(len(os.sched_getaffinity(0)))
    file = given.json or rows.RESULTS / f"studies-{machine['kind']}.json"
    print(table.described(machine), f"Rows: {file}", sep="\n", flush=True)
    failed = 0
    for study in (STUDIES[name] for name in names):
        for seed in range(given.seeds):
            for arm in study.arms:
                row: rows.Row = {"study": study.name, "arm": arm.name, "seed": seed}
                title = f"{study.name}, {arm.name}, seed {seed}"
                if rows.has(file, row, KEY):
                    print(f"{title}: there is a row", flush=True)
                    continue
                start = time.monotonic()
                try:
                    row = study.trained(arm, seed, given.shared.resolve(), given.folder.resolve() / study.name)
                except SystemFailure as failure:
                    failed += 1
                    print(f"{title}: {failure}", flush=True)
                    continue
                row["date"] = datetime.date.today().isoformat()
                rows.append(file, machine, row, KEY)
                print(f"{title}: {time.monotonic() - start:.0f} s, {row['scores']}", flush=True)
    return 1 if failed else 0
