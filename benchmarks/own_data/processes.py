"""A program in a process of its own: its time, its peak of memory, and what it printed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class SystemFailure(Exception):
    """A system ended with an error; the message tells its last lines."""


@dataclass(frozen=True)
class Ended:
    """A program that did its work.

    Attributes:
      seconds: from its start to its end.
      peak_mb: the most memory that it held, MB; of several processes, that of the largest.
    """

    seconds: float
    peak_mb: float


def run(command: Sequence[str | Path], log: Path) -> Ended:
    """Runs a program to its end, on the processor alone.

    Args:
      command: the program and its arguments.
      log: the file for what it prints; it is appended.

    Raises:
      SystemFailure: it failed.
    """
    own = {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with log.open("a", encoding="utf-8") as stream:
        parts = [str(part) for part in command]
        print("$", *parts, file=stream, flush=True)
        process = subprocess.Popen(
            parts,
            cwd=ROOT,
            env={**os.environ, **own},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise SystemFailure(f"It ended with code {process.returncode}; {log} tells all: {' | '.join(last)[-400:]}")
    return Ended(time.monotonic() - start, usage.ru_maxrss * 1024 / 1e6)
