"""Augmented images per second: kseg's single warp compared with albumentations and with plain OpenCV.

    python -m benchmarks.augmentation [--size 512] [--crop 512] [--images 60]

Each method deforms a grey 8-bit image and its label elastically (displacements with a standard deviation of 10 pixels,
smooth over about 64), rotates them by any angle, mirrors them, changes gain and offset of the grey levels, and cuts out
a crop. The deformation fields differ: kseg interpolates a coarse grid bicubically, the others filter noise, as is
usual. So the outputs of the methods are not compared. kseg's output is compared with a plain OpenCV remap by the same
field. kseg computes only the crop, and returns float32. The others deform the whole image in 8 bits and cut the crop
last. Cutting it first would be faster, but then rotation would fill the crop's corners with mirrored pixels instead of
true ones.

albumentations is timed only if it is installed. OpenCV uses one thread; inside tf.data two examples are made at a time.

Measured with AVX-512, OpenCV 5.0.0, albumentations 2.0.8, on two cores that other jobs kept busy (load 9), with
`--images 6`. Whole images per second of processor time, in one thread: kseg 332, plain OpenCV 24 (kseg 13.6 times as
many), albumentations 21 (15.8). Plain OpenCV spends three quarters of its time on the filter that smooths the noise,
two times 15 ms. kseg needs 3 ms: OpenCV's two look-ups take half of it. Writing out the coordinates takes 0.6 ms, as a
product of thin matrices in float32. In float64, with every rotation and mirroring applied to all pixels, it took 11 ms.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable

import cv2
import numpy as np
import tensorflow as tf

from kseg.datasets import Item
from kseg.pipeline import Elastic, Grey, Mirror, Rotation, augmented
from kseg.pipeline.warp import Warp

SIGMA, SPACING = 10.0, 64.0
SMOOTHING = SPACING / 2
# White noise through a Gaussian filter of deviation s has the deviation 1 / (2 s sqrt(pi)).
NOISE = SIGMA * 2 * SMOOTHING * np.sqrt(np.pi)

Way = Callable[[int], np.ndarray]


def example(size: int) -> Item:
    """A grey image of smooth noise; its label is the brighter half."""
    noise = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 8)
    image = np.interp(smooth, (smooth.min(), smooth.max()), (0, 255)).astype(np.uint8)
    return Item("example", image[..., None], (smooth > 0).astype(np.int32))


def ours(item: Item, crop: int) -> Way:
    augment = (Elastic(SIGMA, SPACING), Mirror(), Rotation(180.0), Grey(0.2, 0.05))
    return lambda seed: augmented(item, np.random.default_rng(seed), augment, crop=(crop, crop)).image


def plain_opencv(item: Item, crop: int) -> Way:
    """Applies one operation after the other, so that image and label are each interpolated twice."""
    size = item.label.shape[0]
    rows, columns = np.indices(item.label.shape, np.float32)
    border = cv2.BORDER_REFLECT_101

    def make(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((2, size, size), np.float32) * np.float32(NOISE)
        down, right = (cv2.GaussianBlur(field, (0, 0), SMOOTHING) for field in noise)
        turn = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), rng.uniform(-180, 180), 1)
        flips = rng.choice([1, -1], 2)
        top, left = rng.integers(0, size - crop + 1, 2)
        moved = []
        for pixels, method in ((item.image[..., 0], cv2.INTER_LINEAR), (item.label, cv2.INTER_NEAREST)):
            pixels = cv2.remap(pixels, columns + right, rows + down, method, borderMode=border)
            pixels = cv2.warpAffine(pixels, turn, (size, size), flags=method, borderMode=border)
            moved.append(pixels[:: flips[0], :: flips[1]][top : top + crop, left : left + crop])
        gain, offset = rng.uniform(0.8, 1.2), 255 * rng.uniform(-0.05, 0.05)
        return cv2.convertScaleAbs(np.ascontiguousarray(moved[0]), alpha=gain, beta=offset)

    return make


def with_albumentations(item: Item, crop: int) -> Way:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it looks for newer versions on the network
    import albumentations

    border = cv2.BORDER_REFLECT_101
    compose = albumentations.Compose(
        [
            albumentations.ElasticTransform(alpha=float(NOISE), sigma=SMOOTHING, border_mode=border, p=1),
            albumentations.Affine(rotate=(-180, 180), border_mode=border, p=1),
            albumentations.HorizontalFlip(),
            albumentations.VerticalFlip(),
            albumentations.RandomBrightnessContrast(0.05, 0.2, p=1),
            albumentations.RandomCrop(crop, crop),
        ],
        seed=0,
    )
    return lambda seed: compose(image=item.image, mask=item.label)["image"]


def equals_plain_remap(item: Item) -> bool:
    """Whether kseg's warp equals OpenCV's remap by the same field, bit for bit."""
    warps = []

    class Recorded(Elastic):
        def move(self, warp: Warp, rng: np.random.Generator) -> Warp:
            warps.append(super().move(warp, rng))
            return warps[0]

    found = augmented(item, np.random.default_rng(0), (Recorded(SIGMA, SPACING),))
    rows, columns = warps[0].moved((np.array(item.label.shape) - 1) / 2).coordinates()
    image, label = (
        cv2.remap(pixels, columns, rows, method, borderMode=cv2.BORDER_REFLECT_101)
        for pixels, method in ((item.image.astype(np.float32), cv2.INTER_LINEAR), (item.label, cv2.INTER_NEAREST))
    )
    return bool((found.image[..., 0] == image).all() and (found.label == label).all())


def per_second(make: Way, images: int, first: int) -> float:
    """Images per second of processor time in this thread; other jobs on the machine do not count."""
    start = time.thread_time()
    for seed in range(first, first + images):
        make(seed)
    return images / (time.thread_time() - start)


def per_second_in_tf_data(make: Way, images: int, first: int) -> float:
    """Images per second of elapsed time, in a tf.data chain that makes two examples at a time."""

    def load(seed: np.int64) -> np.float32:
        return np.float32(make(int(seed))[0, 0].sum())  # only the making is timed, so the image is not returned

    options = tf.data.Options()
    options.threading.private_threadpool_size = 2
    seeds = tf.data.Dataset.range(first, first + images).with_options(options)
    made = seeds.map(lambda seed: tf.numpy_function(load, [seed], tf.float32), num_parallel_calls=2)
    start = time.perf_counter()
    for _ in made:
        pass
    return images / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--crop", type=int, default=512)
    parser.add_argument("--images", type=int, default=60)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    item, crop = example(arguments.size), arguments.crop
    ways = {"kseg": ours(item, crop), "plain OpenCV": plain_opencv(item, crop)}
    if importlib.util.find_spec("albumentations"):
        ways["albumentations"] = with_albumentations(item, crop)
    print(f"{arguments.size} x {arguments.size} to {crop} x {crop}; OpenCV {cv2.__version__}, 1 thread")
    print(f"kseg's warp equals a plain remap by the same field: {equals_plain_remap(item)}")
    for place, measure in (("1 thread", per_second), ("tf.data, 2 threads", per_second_in_tf_data)):
        # The methods take turns, so that other jobs slow all of them equally. The first turn warms up.
        turns = [[measure(make, arguments.images, 1000 * turn) for make in ways.values()] for turn in range(6)]
        middle = dict(zip(ways, np.median(turns[1:], axis=0), strict=True))
        for name, rate in middle.items():
            print(f"{place:<19} {name:<15} {rate:6.1f} images/s, kseg {middle['kseg'] / rate:4.1f} times as many")


if __name__ == "__main__":
    main()
