"""A system in a process of its own, seen from outside."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from benchmarks.peers.processor import environment
from benchmarks.peers.works import Task

ROOT = Path(__file__).resolve().parents[2]


class SystemFailure(Exception):
    """A system can't do a task; the message says why."""


class Process:
    """A system that has warmed up for a task and waits.

    Attributes:
      task: what it does.
      first_call_s: seconds from the loaded network to the first result.
      call_s: seconds of the last call while it warmed up.

    Raises:
      SystemFailure: it failed.
    """

    def __init__(self, module: str, task: Task, folder: Path, extra: dict[str, str]) -> None:
        self.task = task
        self._pipe, theirs = Pipe()
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.worker", str(theirs.fileno())],
            cwd=ROOT,
            env={**environment(task.threads, folder), **extra},
            pass_fds=[theirs.fileno()],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        theirs.close()
        try:
            self._pipe.send((module, task))
            self.first_call_s, self.call_s = self._answer("ready")
        except BaseException:
            self.close()
            raise

    def _answer(self, wanted: str) -> Any:
        try:
            kind, answer = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            code = self._process.wait()
            why = "it was killed, probably for want of memory" if code == -9 else f"its process ended with code {code}"
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or [""])[-1]
            raise SystemFailure(f"{why}. {last[:200]}".strip()) from error
        if kind != wanted:
            raise SystemFailure(answer)
        return answer

    def _ask(self, wanted: str, count: int = 0) -> Any:
        try:
            self._pipe.send((wanted, count))
        except BrokenPipeError as error:
            raise SystemFailure("its process is gone") from error
        return self._answer(wanted)

    def seconds(self, calls: int) -> float:
        """The mean seconds of so many calls."""
        return self._ask("calls", calls)

    def result(self) -> Any:
        """The last scores (N, H', W', K); of training steps the losses of all of them."""
        return self._ask("result")

    def peak_mb(self) -> float:
        return self._ask("peak_mb")

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()
        self._log.close()
