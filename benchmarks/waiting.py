"""The share of a training step that is spent waiting for data, and memory from the second epoch to the tenth.

    python -m benchmarks.waiting [--steps 30] [--images 256] [--json FILE]

Waiting: two networks are trained with the real batches, on files like those of benchmarks.pipeline. One is a small
U-Net (16 channels at its first level, batches of 4 tiles of 256 x 256, deformed elastically, rotated, mirrored, with
changed grey levels). The other is a slim FCN-8s (1/4 of VGG16's width, whole images of 500 x 375, one at a time, as
published). While a step computes, the next batches are made on the same processors. The remaining wait is what
prefetching cannot hide. The step itself is timed with and without batches being made at the same time.

Memory: resident memory after each epoch of `--images` photographs with all augmentations, first without and then with
training steps. The goal: after the tenth epoch it is less than 2 % above that after the second.

Measured on two cores with AVX-512 that other jobs used too (load 9), with `--steps 20 --images 128`: the U-Net waits
3.0 ms of 953 (0.3 %), FCN-8s 5.5 ms of 867 (0.6 %). Resident memory after the second and the tenth epoch, batches
alone: 665 and 669 MB (+0.6 %). With training steps and 256 images, in two runs: 1192 and 1205 MB (+1.2 %), 1467 and
1479 MB (+0.8 %); with 128 images, where the second epoch comes early, +2.6 %. The growth comes from the pools of
malloc's threads, which level out. When freed blocks of up to 64 MB were kept (kseg.device keeps those of up to 16), a
training on one fixed batch once took 80 MB more in its seventh epoch.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.pipeline import machine, write_em, write_voc

EPOCHS = 10


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def unet_work(root: Path) -> tuple[Any, Any]:
    """A small U-Net and its batches."""
    import kseg
    from kseg import datasets
    from kseg.device import keep_freed_memory
    from kseg.pipeline import Elastic, Grey, Mirror, Rotation, batches

    keep_freed_memory()  # as `kseg train` does
    data = datasets.open("folder", root, split="train")
    augment = [Elastic(8.0, 64.0), Mirror(), Rotation(), Grey(0.2, 0.05)]
    model = kseg.build("unet", classes=2, input_shape=(256, 256, 1), width=16, padding="same")
    return model, batches(data, size=4, augment=augment, crop=(256, 256))


def fcn_work(root: Path) -> tuple[Any, Any]:
    """A slim FCN-8s and its batches."""
    import kseg
    from kseg import datasets
    from kseg.device import keep_freed_memory
    from kseg.pipeline import batches

    keep_freed_memory()  # as `kseg train` does
    data = datasets.open("voc2012", root, split="train")
    return kseg.build("fcn8s", width=1 / 4, fc_width=256), batches(data)


WORKS = {"unet": (write_em, unet_work), "fcn8s": (write_voc, fcn_work)}


def waiting(root: Path, steps: int, work: Callable[[Path], tuple[Any, Any]]) -> dict[str, float]:
    """Milliseconds per step: waiting for a batch, training on it, and training while no batches are made."""
    from kseg.objectives import PixelCrossEntropy

    model, chain = work(root)
    model.compile("sgd", loss=PixelCrossEntropy())
    batches = iter(chain)
    waits, trains = [], []
    for _ in range(steps + 5):
        start = time.perf_counter()
        image, label = next(batches)
        there = time.perf_counter()
        model.train_on_batch(image, label)
        waits.append(there - start)
        trains.append(time.perf_counter() - there)
    del batches
    gc.collect()
    alone = []
    for _ in range(steps // 2):
        start = time.perf_counter()
        model.train_on_batch(image, label)
        alone.append(time.perf_counter() - start)
    wait, train = sum(waits[5:]) / steps, sum(trains[5:]) / steps  # the first steps trace and fill buffers
    return {
        "wait_ms": 1000 * wait,
        "train_ms": 1000 * train,
        "alone_ms": 1000 * statistics.mean(alone),
        "waiting": wait / (wait + train),
    }


def epochs(root: Path, images: int, train: bool) -> list[float]:
    """Resident megabytes after each epoch."""
    from kseg import datasets
    from kseg.device import keep_freed_memory
    from kseg.pipeline import Elastic, Grey, Mirror, Rotation, Saturation, Scale, batches

    keep_freed_memory()  # as `kseg train` does
    data = datasets.open("voc2012", root, split="train")
    augment = [Mirror(), Scale(1.5), Rotation(10), Elastic(5.0, 64.0), Saturation(), Grey()]
    chain = iter(batches(data, size=8, augment=augment, crop=(320, 320), beyond="void"))
    step = training_step() if train else lambda image, label: None
    resident = []
    for _ in range(EPOCHS):
        for _ in range(images // 8):
            step(*next(chain))
        resident.append(resident_mb())
    return resident


def training_step() -> Callable:
    import keras

    from kseg.objectives import PixelCrossEntropy

    layers = [keras.layers.Conv2D(8, 3, padding="same", activation="relu"), keras.layers.Conv2D(21, 1)]
    model = keras.Sequential([keras.layers.Input((320, 320, 3)), keras.layers.Rescaling(1 / 255), *layers])
    model.compile("sgd", loss=PixelCrossEntropy())
    return model.train_on_batch


def child(pipe: Any, function: Callable, *arguments: Any) -> None:
    pipe.send(function(*arguments))


def apart(function: Callable, *arguments: Any) -> Any:
    """The result of `function`, computed in a separate process."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=child, args=(theirs, function, *arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    print(machine())
    found: dict[str, Any] = {}
    for name, (write, work) in WORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            found[name] = row = apart(waiting, Path(folder), arguments.steps, work)
        print(
            f"{name:<6} waits {row['wait_ms']:6.1f} ms of {row['wait_ms'] + row['train_ms']:7.1f} ms "
            f"({row['waiting']:.1%}); a step while no batches are made {row['alone_ms']:7.1f} ms"
        )
    with tempfile.TemporaryDirectory() as folder:
        write_voc(Path(folder), arguments.images)
        for name, train in (("batches alone", False), ("with training", True)):
            found[name] = resident = apart(epochs, Path(folder), arguments.images, train)
            growth = resident[-1] / resident[1] - 1
            print(f"{name}: {', '.join(f'{one:.0f}' for one in resident)} MB; 2nd to 10th epoch {growth:+.2%}")
    print(machine())
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), **found}, indent=1))


if __name__ == "__main__":
    main()
