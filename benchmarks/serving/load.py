"""Requests at once, to a stand-in or to a server of one's own:

    python -m benchmarks.serving --requests 10000                        # bundles and a stand-in that it makes itself
    python -m benchmarks.serving --url http://HOST:8501 --model cells    # a real server

It prints percentiles of the latency with 1, 8 and 64 requests at a time, errors, and how much memory grew between the
first tenth and the end. The stand-in computes in a process of its own. Its figures say what the client and the graph
cost, and nothing about TensorFlow Serving. Beside it the same requests through TensorFlow's C API, one after the other,
without a network.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.own_data.processes import ROOT
from benchmarks.peers import processor, table
from kseg.errors import KsegError
from kseg.serving import Client

AT_ONCE = (1, 8, 64)
SIDE = 256  # pixels of an image
_SERVER = """
import sys, time
from benchmarks.serving.stand_in import StandIn
with StandIn(sys.argv[1]) as server:
    print(server.rest, server.grpc, flush=True)
    while True:
        time.sleep(1)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Sends the requests; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a real server, http:// or grpc://; default: a stand-in, over both")
    parser.add_argument("--model", default="cells", help="its name there")
    parser.add_argument("--requests", type=int, default=1000, help="for each number at once")
    parser.add_argument("--json", type=Path, help="write the rows")
    given = parser.parse_args(arguments)
    print(table.described(processor.machine(len(os.sched_getaffinity(0)))))
    rows = []
    if given.url:
        rows = list(_driven(given.url, given.model, given.requests, None))
    else:
        with tempfile.TemporaryDirectory(prefix="kseg-serving-") as base:
            bundle = _bundle(Path(base))
            rows += _through_c(bundle, min(given.requests, 1000))
            process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, base], stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
            try:
                assert process.stdout is not None
                for url in process.stdout.readline().split():
                    rows += _driven(url, given.model, given.requests, process.pid)
            finally:
                process.kill()
                process.wait()
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row["errors"] for row in rows) else 0


def _bundle(base: Path) -> Path:
    """A small U-Net with random weights."""
    import kseg

    network = kseg.build("unet", width=8, depth=2, padding="same", normalization="batch", input_shape=(None, None, 1))
    return kseg.export(network, base, name="cells")


def _images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (SIDE, SIDE, 1)).astype(np.uint8) for _ in range(8)]


def _through_c(bundle: Path, count: int) -> Iterator[dict[str, Any]]:
    """The same requests through the C API."""
    from kseg.bundles.apart import in_c
    from kseg.bundles.warm_up import png_of, request_of

    requests = []
    for number in range(count):
        data = np.array([png_of(_images()[number % 8])], object)
        requests.append(request_of("cells", "image_bytes", {"images": data}))
    _, answers, seconds = in_c(bundle, requests)
    errors = sum(list(each.outputs) == ["error"] for each in answers)
    yield _row("C API", 1, seconds[1:], sum(seconds), errors, None)


def _driven(url: str, model: str, count: int, server: int | None) -> Iterator[dict[str, Any]]:
    """Requests to a server, with each number at once."""
    images = _images()
    for at_once in AT_ONCE:
        with Client(url, at_once=at_once, tries=8) as client:
            client.predict(model, images[:1])
            latencies: list[float] = []
            errors = 0
            held: list[tuple[int, int]] = []

            def ask(number: int, client: Client = client, latencies: list[float] = latencies) -> bool:
                start = time.perf_counter()
                try:
                    client.predict(model, [images[number % 8]])
                except KsegError:
                    return False
                latencies.append(time.perf_counter() - start)
                return True

            begun = time.perf_counter()
            with ThreadPoolExecutor(at_once) as threads:
                for number, is_answered in enumerate(threads.map(ask, range(count))):
                    errors += not is_answered
                    if number in (count // 10, count - 1):
                        held.append((_memory("self"), _memory(server)))
            total = time.perf_counter() - begun
        yield _row(url.partition(":")[0], at_once, latencies, total, errors, held)


def _row(
    way: str, at_once: int, seconds: Sequence[float], total: float, errors: int, held: list[tuple[int, int]] | None
) -> dict[str, Any]:
    """A row, which is printed."""
    found = {f"p{share}_ms": round(1000 * float(np.percentile(seconds, share)), 1) for share in (50, 95, 99)}
    row: dict[str, Any] = {"way": way, "at_once": at_once, "requests": len(seconds) + errors, "errors": errors, **found}
    row["per_second"] = round(len(seconds) / total, 1)
    if held:
        row["client_growth_mb"], row["server_growth_mb"] = (
            round((last - first) / 1e6, 1) for first, last in zip(held[0], held[-1], strict=True)
        )
    print(row, flush=True)
    return row


def _memory(process: int | str | None) -> int:
    """The bytes that a process holds; 0 where that is not known."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)
