"""Decoded and augmented images per second: kseg compared with PyTorch and albumentations, and with Keras layers.

    python -m benchmarks.pipeline [--only voc,em] [--workers 1,2] [--seconds 2] [--turns 5] [--json FILE]

There are two jobs, and both read files that are generated first. `voc` reads JPEG of 500 x 375 that look like
photographs, and labels as palette PNG. It scales by 2/3 to 3/2, mirrors, changes colours and grey levels, and takes a
random crop of 320 x 320. `em` reads grey PNG tiles of 512 x 512 with PNG labels. It deforms elastically, rotates by any
angle, mirrors, and changes grey levels. The results are batches of 8: image float32, label int32 with class ids, and
void outside the image.

A worker makes examples, one at a time. For kseg and Keras it is a thread of tf.data's private pool (which also batches
them); for PyTorch it is a process. OpenCV and TensorFlow's operators have one thread each. Each system runs in its own
process for every number of workers. The systems take turns while the others are idle, so that other jobs on the machine
slow all of them equally. The first turn warms up, and the median of the others counts. Processor time is that of the
process and its workers in the same turn. It does not depend on other jobs, and it does not count waiting.

For Keras' layers the labels are grey copies of the PNG files, because tf.io would turn the ids of a palette into
colours. They do not deform elastically here, because RandomElasticTransform takes more than three seconds per tile. A
system that is not installed is left out: PyTorch and albumentations are not part of kseg.

Measured on two quiet cores with AVX-512 (load 1.5), OpenCV 5.0.0, TensorFlow 2.21.0, Keras 3.15.1, PyTorch 2.13.0,
albumentations 2.0.8. Images per second of elapsed time with one and with two workers, and in brackets how many times as
many kseg makes; then the same per second of processor time:

    voc   kseg 248, 363   albumentations 255 (0.97), 427 (0.85)   Keras layers 69 (3.6), 135 (2.7)
    em    kseg 126, 219   albumentations 21 (6.0), 35 (6.2)       Keras layers 90 (1.4), 127 (1.7)

    voc   kseg 263, 238   albumentations 231 (1.14), 223 (1.07)   Keras layers 69 (3.8), 69 (3.4)
    em    kseg 134, 129   albumentations 21 (6.5), 19 (6.9)       Keras layers 91 (1.5), 89 (1.5)

A second run gave 0.99 and 0.80 for VOC by elapsed time, and 1.17 and 1.02 by processor time. So kseg does the least
work per image, but on VOC two of its threads use only 1.5 cores: Python handles one example at a time, and the other
thread waits meanwhile. PyTorch has two processes, and a third that collects. More threads (3, 4) or a shorter switch
interval of the interpreter changed nothing. Peak memory is 0.7 GB for each system, and 1.0 GB for PyTorch with two
workers.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

FILES, BATCH, VOID = 64, 8, 255
CROPS = {"voc": 320, "em": 512}
SCALE, SATURATION, GAIN, OFFSET = 1.5, 0.3, 0.2, 0.05
SIGMA, SPACING = 10.0, 64.0  # of the elastic displacements, pixels

Batches = Iterator[tuple[np.ndarray, np.ndarray]]


def noise(rng: np.random.Generator, size: tuple[int, int], finest: int) -> np.ndarray:
    """Grey levels (H, W) like those of a photograph: the same contrast in every octave, from coarse to fine."""
    octaves = [finest * 2**octave for octave in range(7)]
    fields = [rng.normal(size=(size[0] // step + 2, size[1] // step + 2)).astype(np.float32) for step in octaves]
    total = sum(cv2.resize(field, size[::-1], interpolation=cv2.INTER_CUBIC) for field in fields)
    return np.clip(128 + 25 * total, 0, 255).astype(np.uint8)


def regions(rng: np.random.Generator, size: tuple[int, int], classes: int) -> np.ndarray:
    """A label (H, W) uint8 of a few objects on the background; with several classes, VOC's void surrounds each."""
    label = np.zeros(size, np.uint8)
    for _ in range(4):
        centre, axes = rng.integers(0, size[::-1]).tolist(), rng.integers(30, 110, 2).tolist()
        turn, number = rng.uniform(0, 180), int(rng.integers(1, classes))
        cv2.ellipse(label, centre, axes, turn, 0, 360, number, -1)
        if classes > 2:
            cv2.ellipse(label, centre, axes, turn, 0, 360, VOID, 5)
    return label


def write_voc(root: Path, files: int = FILES) -> None:
    """Writes the layout of VOC2012, and grey copies of the labels."""
    palette = np.random.default_rng(0).integers(0, 256, 768).tolist()
    for folder in ("JPEGImages", "SegmentationClass", "Grey", "ImageSets/Segmentation"):
        (root / "VOC2012" / folder).mkdir(parents=True)
    for number in range(files):
        rng = np.random.default_rng(number)
        image = np.stack([noise(rng, (375, 500), 2) for _ in range(3)], axis=-1)
        image = (0.7 * image[..., :1] + 0.3 * image).astype(np.uint8)  # the colours of a photograph are correlated
        label = regions(rng, (375, 500), 21)
        Image.fromarray(image).save(root / "VOC2012/JPEGImages" / f"{number:03d}.jpg", quality=95)
        Image.fromarray(label).save(root / "VOC2012/Grey" / f"{number:03d}.png")
        with_palette = Image.fromarray(label)
        with_palette.putpalette(palette)
        with_palette.save(root / "VOC2012/SegmentationClass" / f"{number:03d}.png")
    (root / "VOC2012/ImageSets/Segmentation/train.txt").write_text("".join(f"{n:03d}\n" for n in range(files)))


def write_em(root: Path) -> None:
    """Writes images and labels with the same stems."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for number in range(FILES):
        rng = np.random.default_rng(number)
        Image.fromarray(noise(rng, (512, 512), 2)).save(root / "images" / f"{number:03d}.png")
        Image.fromarray(regions(rng, (512, 512), 2)).save(root / "labels" / f"{number:03d}.png")


def pairs(work: str, root: Path, grey: bool) -> list[tuple[str, str]]:
    """The paths of the images and their labels."""
    images, labels = {
        "voc": ("VOC2012/JPEGImages", "VOC2012/Grey" if grey else "VOC2012/SegmentationClass"),
        "em": ("images", "labels"),
    }[work]
    return [(str(image), str(root / labels / f"{image.stem}.png")) for image in sorted((root / images).iterdir())]


def limited(workers: int) -> Any:
    """Options that limit the threads of a tf.data chain."""
    import tensorflow as tf

    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    options.threading.max_intra_op_parallelism = 1
    return options


def kseg_batches(work: str, root: Path, workers: int) -> Batches:
    from kseg import datasets
    from kseg.device import keep_freed_memory
    from kseg.pipeline import Elastic, Grey, Mirror, Rotation, Saturation, Scale, batches

    keep_freed_memory()  # as `kseg train` does
    if work == "voc":
        data = datasets.open("voc2012", root, split="train")
        augment = [Mirror(vertical=False), Scale(SCALE), Saturation(SATURATION), Grey(GAIN, OFFSET)]
    else:
        data = datasets.open("folder", root, split="train")
        augment = [Elastic(SIGMA, SPACING), Mirror(), Rotation(), Grey(GAIN, OFFSET)]
    crop = CROPS[work]
    chain = batches(data, size=BATCH, augment=augment, crop=(crop, crop), beyond="void")
    return chain.with_options(limited(workers)).as_numpy_iterator()


def keras_batches(work: str, root: Path, workers: int) -> Batches:
    """Plain Keras preprocessing layers in a tf.data chain, image and label together."""
    import keras
    import tensorflow as tf
    from keras import layers

    crop = CROPS[work]
    grey = {"value_range": (0, 255)}
    if work == "voc":
        # A factor f shows 1 + f of the image: from 2/3 of it to 3/2. Layers can't fill labels with void, only with 0.
        steps = [
            layers.RandomZoom((1 / SCALE - 1, SCALE - 1), fill_mode="constant"),
            layers.RandomCrop(crop, crop),
            layers.RandomFlip("horizontal"),
            layers.RandomSaturation((0.5 - SATURATION / 2, 0.5 + SATURATION / 2), **grey),
        ]
    else:
        # Without RandomElasticTransform, which takes seconds for one tile.
        steps = [layers.RandomRotation(0.5, fill_mode="constant"), layers.RandomFlip()]
    steps += [layers.RandomContrast(GAIN, **grey), layers.RandomBrightness(OFFSET, **grey)]
    size, channels = ((375, 500), 3) if work == "voc" else ((512, 512), 1)

    def load(files: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        decode = tf.io.decode_jpeg if work == "voc" else tf.io.decode_png
        image = tf.cast(decode(tf.io.read_file(files[0]), channels=channels), tf.float32)
        label = tf.cast(tf.io.decode_png(tf.io.read_file(files[1]), channels=1), tf.int32)
        # RandomCrop needs to know the size. All files here have the same size.
        image, label = tf.ensure_shape(image, (*size, channels)), tf.ensure_shape(label, (*size, 1))
        sample = {"images": image, "segmentation_masks": label}
        for step in steps:
            sample = step(sample, training=True)
        sized = tf.ensure_shape(sample["images"], (crop, crop, channels))
        return sized, tf.cast(tf.ensure_shape(sample["segmentation_masks"], (crop, crop, 1))[..., 0], tf.int32)

    keras.utils.set_random_seed(0)
    files = tf.data.Dataset.from_tensor_slices(pairs(work, root, grey=True)).shuffle(FILES).repeat()
    chain = files.map(load, num_parallel_calls=workers).batch(BATCH, drop_remainder=True).prefetch(2)
    return chain.with_options(limited(workers)).as_numpy_iterator()


class TorchFiles:
    """What a PyTorch DataLoader takes: reads with OpenCV and Pillow, augments with albumentations."""

    def __init__(self, work: str, root: Path) -> None:
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for newer versions
        import albumentations as al

        self.work, self.files = work, pairs(work, root, grey=False)
        crop, nothing = CROPS[work], {"border_mode": cv2.BORDER_CONSTANT, "fill": 0, "fill_mask": VOID}
        if work == "voc":
            steps = [
                al.RandomScale((1 / SCALE - 1, SCALE - 1), p=1),
                al.PadIfNeeded(crop, crop, **nothing),
                al.RandomCrop(crop, crop),
                al.HorizontalFlip(),
                al.ColorJitter(0, 0, (1 - SATURATION, 1 + SATURATION), 0, p=1),
            ]
        else:
            smooth = SPACING / 2  # white noise through a Gaussian of deviation s has the deviation 1 / (2 s sqrt(pi))
            steps = [
                al.ElasticTransform(alpha=SIGMA * 2 * smooth * np.sqrt(np.pi), sigma=smooth, p=1, **nothing),
                al.Affine(rotate=(-180, 180), p=1, **nothing),
                al.HorizontalFlip(),
                al.VerticalFlip(),
            ]
        self.compose = al.Compose([*steps, al.RandomBrightnessContrast(OFFSET, GAIN, p=1)])

    def __len__(self) -> int:
        return 1 << 30  # an epoch has no end: DataLoader would start its workers anew

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        import torch

        image_file, label_file = self.files[index * 37 % FILES]
        image = cv2.imread(image_file, cv2.IMREAD_COLOR_RGB if self.work == "voc" else cv2.IMREAD_GRAYSCALE)
        found = self.compose(image=image, mask=np.asarray(Image.open(label_file)))
        image = torch.from_numpy(np.ascontiguousarray(found["image"])).float()
        return image.reshape(*image.shape[:2], -1), torch.from_numpy(found["mask"].astype(np.int32))


def torch_worker(_: int) -> None:
    cv2.setNumThreads(1)


def torch_batches(work: str, root: Path, workers: int) -> Batches:
    import torch

    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(
        TorchFiles(work, root), batch_size=BATCH, num_workers=workers, worker_init_fn=torch_worker
    )
    return ((image.numpy(), label.numpy()) for image, label in loader)


SYSTEMS: dict[str, tuple[tuple[str, ...], Callable[[str, Path, int], Batches]]] = {
    "kseg": ((), kseg_batches),
    "albumentations": (("torch", "albumentations"), torch_batches),
    "keras layers": ((), keras_batches),
}


def family() -> list[int]:
    """The ids of this process and of those it started."""
    me = os.getpid()
    return [me, *(child.pid for child in multiprocessing.active_children() if child.pid)]


def processor_seconds() -> float:
    """The processor time of the family so far, from the clock of each process (clock_getcpuclockid)."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in family())


def status(field: str) -> int:
    """A field of /proc/PID/status, summed over the family."""
    lines = [line for pid in family() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def sample(batches: Batches, work: str) -> dict[str, Any]:
    """Checks a batch (sizes, types, and that labels are ids), and describes it."""
    image, label = next(batches)
    crop, channels = CROPS[work], {"voc": 3, "em": 1}[work]
    assert image.shape == (BATCH, crop, crop, channels) and image.dtype == np.float32, (image.shape, image.dtype)
    assert label.shape == (BATCH, crop, crop) and label.dtype == np.int32, (label.shape, label.dtype)
    ids = set(np.unique(np.concatenate([label, next(batches)[1]])).tolist())
    assert ids <= {*range(21 if work == "voc" else 2), VOID} and len(ids) > 1, ids
    assert image.min() >= -255 * (OFFSET + 0.5) and 100 < image.max() <= 255 * 2, (image.min(), image.max())
    return {"mean": float(image.mean()), "deviation": float(image.std()), "ids": len(ids)}


def serve(pipe: Connection, system: str, work: str, root: Path, workers: int) -> None:
    """For each number of seconds that it receives, sends how many images per second it made; ends at 0."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    cv2.setNumThreads(1)
    batches = SYSTEMS[system][1](work, root, workers)
    pipe.send(sample(batches, work))
    while wanted := pipe.recv():
        for _ in range(max(3, 2 * workers)):  # discards what was made in advance during the others' turns
            next(batches)
        before, start, images = processor_seconds(), time.perf_counter(), 0
        while time.perf_counter() - start < wanted:
            next(batches)
            images += BATCH
        rates = {"per_second": images / (time.perf_counter() - start)}
        rates["per_processor_second"] = images / (processor_seconds() - before)
        pipe.send({**rates, "peak_mb": status("VmHWM") / 1024, "threads": status("Threads")})
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(0)  # does not wait for tf.data and DataLoader, which take seconds to end


def measure(work: str, workers: list[int], seconds: float, turns: int) -> list[dict[str, Any]]:
    """A row for each system and number of workers."""
    present = [name for name, (needs, _) in SYSTEMS.items() if all(map(importlib.util.find_spec, needs))]
    for name in SYSTEMS.keys() - set(present):
        print(f"{name}: left out ({' and '.join(SYSTEMS[name][0])} not installed)")
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        {"voc": write_voc, "em": write_em}[work](Path(folder))
        asked: dict[tuple[str, int], Connection] = {}
        processes = []
        for key in [(name, count) for count in workers for name in present]:
            asked[key], theirs = spawn.Pipe()
            processes.append(spawn.Process(target=serve, args=(theirs, key[0], work, Path(folder), key[1])))
            processes[-1].start()
            theirs.close()
        try:
            facts = {key: pipe.recv() for key, pipe in asked.items()}
            answers: dict[tuple[str, int], list[dict]] = {key: [] for key in asked}
            for _ in range(turns + 1):
                for key, pipe in asked.items():
                    pipe.send(seconds)
                    answers[key].append(pipe.recv())
            for pipe, process in zip(asked.values(), processes, strict=True):
                pipe.send(0)
                process.join()
        finally:
            for process in processes:
                process.kill()
    return [
        {
            "work": work,
            "system": system,
            "workers": count,
            **{
                name: statistics.median(answer[name] for answer in rows[1:])
                for name in ("per_second", "per_processor_second")
            },
            "peak_mb": max(answer["peak_mb"] for answer in rows),
            "threads": rows[-1]["threads"],
            **facts[system, count],
        }
        for (system, count), rows in answers.items()
    ]


def show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        ours = next(one for one in rows if one["system"] == "kseg" and one["workers"] == row["workers"])
        ratio = {name: ours[name] / row[name] for name in ("per_second", "per_processor_second")}
        print(
            f"{row['work']:<4} {row['workers']} {row['system']:<15} {row['per_second']:7.1f} images/s "
            f"(kseg {ratio['per_second']:5.2f})  {row['per_processor_second']:7.1f} per processor second "
            f"(kseg {ratio['per_processor_second']:5.2f})  peak {row['peak_mb']:5.0f} MB  {row['threads']:3d} threads  "
            f"mean {row['mean']:3.0f} +- {row['deviation']:2.0f}, {row['ids']} ids"
        )


def machine() -> str:
    """The processor, its vector instructions, and its load."""
    lines = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    named = {name.strip(): value.strip() for name, value in lines.items()}
    wanted = ("sse4_2", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")
    flags = [flag for flag in wanted if flag in named.get("flags", "").split()]
    load = os.getloadavg()[0]
    return (
        f"{named.get('model name', platform.processor())}, {os.cpu_count()} cores, {' '.join(flags)}; load {load:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="voc,em")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    print(machine())
    for work in arguments.only.split(","):
        workers = [int(count) for count in arguments.workers.split(",")]
        found = measure(work, workers, arguments.seconds, arguments.turns)
        show(found)
        rows += found
    print(machine())
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
