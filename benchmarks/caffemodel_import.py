"""Seconds and memory for the import of FCN-8s on VGG16 at full width from a .caffemodel of 538 MB.

    python -m benchmarks.caffemodel_import [--hdf5]

It writes such a file (random weights, 21 classes) into a temporary folder. Then it measures resident memory in three
processes: one builds the network, one builds it and loads the file into it, and one imports the file. Their networks
start from zeros: random numbers leave 0.8 GB in TensorFlow's pool, which would hide the memory of the import.

The goal: during the import, peak memory exceeds that of the built network by at most half the file's size, 269 MB.

Measured on two cores, one of them busy, above the built network: 88 MB for loading (4.0 s) and 87 MB for importing
(10.1 s, which includes building); from a .caffemodel.h5, 76 MB (5.3 s) and 77 MB (7.3 s).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "weights"))

from caffe_writer import network, weights_of  # noqa: E402

PAGE_BYTES = 4096


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


class Peak:
    """The peak of resident memory during the block in bytes, sampled every 2 ms."""

    def __enter__(self) -> Peak:
        self.before = self.most = resident_bytes()
        self.running = True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.running = False
        self.thread.join()

    def _watch(self) -> None:
        while self.running:
            self.most = max(self.most, resident_bytes())
            time.sleep(0.002)


def measure(what: str, path: str) -> None:
    """Prints the seconds, and the megabytes before the work, at its peak and after it."""
    import keras

    keras.initializers.RandomNormal = lambda *_, **__: keras.initializers.Zeros()
    import kseg
    from kseg.weights import import_caffemodel, load_caffemodel

    model = kseg.build("fcn8s", **({} if what == "load" else {"width": 1 / 16, "fc_width": 4}))
    start = time.perf_counter()
    with Peak() as peak:
        if what == "build":
            model = kseg.build("fcn8s")
        elif what == "import":
            model = import_caffemodel(path)
        else:
            load_caffemodel(model, path)
    print(time.perf_counter() - start, peak.before / 1e6, peak.most / 1e6, resident_bytes() / 1e6)


def write(path: Path, hdf5: bool) -> None:
    """Writes a full FCN-8s with Gaussian weights, as a .caffemodel or a .caffemodel.h5."""
    import kseg

    model = kseg.build("fcn8s")
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.standard_normal(variable.shape, np.float32))
    if hdf5:
        import h5py

        with h5py.File(path, "w") as file:
            for name, arrays in weights_of(model):
                for index, array in enumerate(arrays):
                    file[f"data/{name}/{index}"] = array
        return
    with path.open("wb") as stream:
        for part in network(dict(weights_of(model))):
            stream.write(part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hdf5", action="store_true", help="Use a .caffemodel.h5 instead.")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        return write(options.write, options.hdf5)
    if options.measure:
        return measure(*options.measure)
    this = [sys.executable, "-m", "benchmarks.caffemodel_import"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fcn8s.caffemodel" + (".h5" if options.hdf5 else ""))
        subprocess.run([*this, "--write", path, *(["--hdf5"] if options.hdf5 else [])], check=True)
        size = path.stat().st_size / 1e6
        print(f"{path.name}: {size:.0f} MB")
        for what in ("build", "load", "import"):
            out = subprocess.run([*this, "--measure", what, path], check=True, stdout=subprocess.PIPE, text=True).stdout
            seconds, before, most, after = map(float, out.split())
            print(f"{what:<7} {seconds:6.1f} s, before {before:5.0f} MB, peak {most:5.0f} MB, after {after:5.0f} MB")
    return None


if __name__ == "__main__":
    main()
