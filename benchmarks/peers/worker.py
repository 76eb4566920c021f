"""The process of one system: it gets a task, warms up, and then measures whenever it is told to.

python -m benchmarks.peers.worker FILE_DESCRIPTOR
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

WARM = 2  # calls after the first


def peak_mb(device: str, system: str) -> float:
    """The largest memory since `forget_peak`, MB: of this process, or on the GPU that of the library's tensors."""
    if device == "cuda" and system.startswith("torch"):
        import torch

        return torch.cuda.max_memory_allocated() / 1e6
    if device == "cuda":
        import jax

        return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"] / 1e6
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def forget_peak() -> None:
    """Makes the system forget the largest memory so far: making the weights is not what is measured."""
    gc.collect()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def serve(pipe: Connection) -> None:
    """Answers until the other end closes."""
    module, task = pipe.recv()
    try:
        system = importlib.import_module(f"benchmarks.peers.systems.{module}")
        loaded = system.load(task)
        forget_peak()
        start = time.perf_counter()
        call = system.caller(loaded, task)
        results = [call()]
        first, seconds = time.perf_counter() - start, 0.0
        for _ in range(WARM):
            start = time.perf_counter()
            results.append(call())
            seconds = time.perf_counter() - start
            results = results if task.work.is_step else results[-1:]
    except Exception as error:  # the process ends with it; the other end says why
        traceback.print_exc()
        pipe.send(("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"))
        return
    pipe.send(("ready", (first, seconds)))
    while True:
        wanted, count = pipe.recv()
        answer: Any = None
        if wanted == "calls":
            start = time.perf_counter()
            for _ in range(count):
                results.append(call())
                results = results if task.work.is_step else results[-1:]
            answer = (time.perf_counter() - start) / count
        elif wanted == "result":
            answer = results if task.work.is_step else results[-1]
        elif wanted == "peak_mb":
            answer = peak_mb(task.device, task.system)
        pipe.send((wanted, answer))


if __name__ == "__main__":
    with suppress(EOFError):
        serve(Connection(int(sys.argv[1])))
