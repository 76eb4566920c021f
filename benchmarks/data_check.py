"""Seconds, files per second and peak memory of `data check` on generated photographs and masks with a few faults.

    python -m benchmarks.data_check [--files 10000] [--height 375] [--width 500]

Half of the files are JPEG photographs. The other half are their masks of five classes as PNG. They lie in train/ and
val/. Five faults are planted of every kind that can occur together with the others, and the number found of each kind
is printed. The command runs as a user starts it, in its own process, on the cores that this process may use.

Measured on two cores with AVX-512 that other jobs kept busy (load 8): 51 s, 196 files per second, 176 MiB; no fault was
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from kseg.pictures import palette

CLASSES = 5
EACH = 5
ROOT = Path(__file__).resolve().parents[1]


def photograph(number: int, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: soft colours with fine noise, different for each number."""
    random = np.random.default_rng(number)
    soft = cv2.resize(random.uniform(20, 230, (6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(random.uniform(-12, 12, (height // 2, width // 2, 3)), (width, height))
    return (soft + fine).clip(0, 255).astype(np.uint8)


def mask(number: int, height: int, width: int) -> np.ndarray:
    """(height, width) uint8: large patches of the classes, including the background."""
    random = np.random.default_rng(number + (1 << 32))
    fields = cv2.resize(random.random((5, 6, CLASSES)), (width, height), interpolation=cv2.INTER_CUBIC)
    return fields.argmax(axis=2).astype(np.uint8)


def write_tree(folder: Path, pairs: int, height: int, width: int) -> list[tuple[Path, Path]]:
    """Writes a whole data set. Returns the paths of each image and its label."""

    def write(number: int) -> tuple[Path, Path]:
        split = folder / ("val" if number % 5 == 4 else "train")
        image, label = split / "images" / f"{number:06d}.jpg", split / "labels" / f"{number:06d}.png"
        cv2.imwrite(str(image), photograph(number, height, width), [cv2.IMWRITE_JPEG_QUALITY, 92])
        cv2.imwrite(str(label), mask(number, height, width))
        return image, label

    for place in ("train/images", "train/labels", "val/images", "val/labels"):
        (folder / place).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(f"class {number}" for number in range(CLASSES + 1)))
    with ThreadPoolExecutor() as threads:
        return list(threads.map(write, range(pairs)))


def save(path: Path, array: np.ndarray, **options: object) -> None:
    Image.fromarray(array).save(path, **options)


def with_exif(image: Path, label: Path, near: Path, far: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    save(image, np.asarray(Image.open(image)), exif=exif, quality=92)


def as_stack(image: Path, label: Path, near: Path, far: Path) -> None:
    tifffile.imwrite(image.with_suffix(".tif"), np.stack([np.asarray(Image.open(label))] * 2), photometric="minisblack")
    image.unlink()


def in_place_of_jpeg(array: Callable[[np.ndarray], np.ndarray]) -> Callable[..., None]:
    def plant(image: Path, label: Path, near: Path, far: Path) -> None:
        tifffile.imwrite(image.with_suffix(".tif"), array(np.asarray(Image.open(image))), planarconfig="contig")
        image.unlink()

    return plant


def relabelled(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., None]:
    return lambda image, label, near, far: save(label, change(np.array(Image.open(label))))


def patch(value: int) -> Callable[[np.ndarray], np.ndarray]:
    """A change that writes `value` into a corner of a label."""

    def change(label: np.ndarray) -> np.ndarray:
        label[:20, :20] = value
        return label

    return change


# By kind of fault: a function of the image, its label, another image of its split, and an image of the other split.
FAULTS: dict[str, Callable[..., object]] = {
    "unpaired": lambda image, label, near, far: label.unlink(),
    "name": lambda image, label, near, far: label.rename(label.with_stem(f"{label.stem}_mask")),
    "truncated": lambda image, label, near, far: image.write_bytes(image.read_bytes()[: image.stat().st_size // 2]),
    "unreadable": lambda image, label, near, far: image.write_text("a web page, not an image"),
    "pages": as_stack,
    "size": relabelled(lambda label: label[1:]),
    "exif": with_exif,
    "leak": lambda image, label, near, far: image.write_bytes(far.read_bytes()),
    "duplicate": lambda image, label, near, far: image.write_bytes(near.read_bytes()),
    "depth": in_place_of_jpeg(lambda image: image.astype(np.uint16) * 257),
    "channels": in_place_of_jpeg(lambda image: np.concatenate([image, image], axis=2)),
    "jpeg": lambda image, label, near, far: (
        save(label.with_suffix(".jpg"), np.array(Image.open(label))),
        label.unlink(),
    ),
    "colours": relabelled(lambda label: palette()[label]),
    "void": relabelled(patch(255)),
    "outside": relabelled(patch(CLASSES + 4)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000, help="Number of images and labels together.")
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    given = parser.parse_args()
    if given.files < 2 * 10 * EACH * len(FAULTS):
        sys.exit(f"--files must be at least {20 * EACH * len(FAULTS)}, so that faults are rare.")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "mine"
        pairs = write_tree(folder, given.files // 2, given.height, given.width)
        for number, plant in enumerate(FAULTS.values()):
            for turn in range(EACH):
                at = 10 * (EACH * number + turn)
                plant(*pairs[at], pairs[at + 1][0], pairs[at + 4][0])
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{given.files:,} files, {given.height} x {given.width}, {size / 2**20:,.0f} MiB; {cores()} cores")
        found = Path(place) / "found.json"
        words = ["data", "check", "--dataset", "folder", "--data-dir", folder, "--json", found]
        words += ["-o", Path(place) / "found.png"]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, ROOT / "cli.py", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
        )
        seconds = time.perf_counter() - start
        if done.returncode != 1:
            sys.exit(f"The exit code of data check is {done.returncode}, but must be 1.")
        kinds = Counter(finding["kind"] for finding in json.loads(found.read_text())["findings"])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"data check  {seconds:.1f} s, {given.files / seconds:,.0f} files per second, {peak:,.0f} MiB per process")
    print(", ".join(f"{kind} {count}" for kind, count in kinds.items()))
    missed = [kind for kind in FAULTS if kinds[kind] < EACH]
    print(f"planted but not found: {', '.join(missed) or 'none'}")


def cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
