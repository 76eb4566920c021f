"""Bright objects without a network, by scikit-image: python -m benchmarks.own_data.otsu_peer JOB.json

As a person would do it: each image is smoothed, cut at its own threshold by Otsu, its holes are filled, and objects
that touch are parted by a watershed of the distance to the ground, which starts from the distance's peaks. Objects
under FEWEST_PIXELS are left out. Only how far apart two peaks must be is chosen: the distance that counts the objects
of the training images best.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label
from skimage.morphology import remove_small_objects
from skimage.segmentation import watershed

from benchmarks.own_data.peer_job import Job, peak_mb, picture

SIGMA = 1.0  # pixels
DISTANCES = (3, 5, 7, 10, 14, 20)  # pixels
FEWEST_PIXELS = 20
INSIDE = 1  # of the three classes that peers are given


def mask_of(image: np.ndarray) -> np.ndarray:
    """(H, W) bool, whether a pixel is brighter than the image's threshold."""
    grey = image if image.ndim == 2 else image.mean(axis=2)
    smooth = gaussian(grey.astype(np.float32), SIGMA, preserve_range=True)
    return ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))


def objects_of(mask: np.ndarray, distance: int) -> np.ndarray:
    """(H, W) int32, the objects of a mask, whose middles are at least `distance` pixels apart."""
    heights = ndimage.distance_transform_edt(mask)
    peaks = peak_local_max(heights, min_distance=distance, labels=label(mask), exclude_border=False)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(peaks.T)] = 1 + np.arange(len(peaks))
    return remove_small_objects(watershed(-heights, seeds, mask=mask), max_size=FEWEST_PIXELS - 1)


def chosen_distance(job: Job) -> int:
    """The distance that counts the objects of the training images best."""
    masks = [mask_of(picture(path)) for path in job.images]
    true = [label(picture(path) == INSIDE, connectivity=1).max() for path in job.labels]

    def error(distance: int) -> int:
        found = [len(np.unique(objects_of(mask, distance))) - 1 for mask in masks]
        return sum(abs(one - other) for one, other in zip(found, true, strict=True))

    return min(DISTANCES, key=error)


def main(path: str) -> None:
    """Does a job."""
    job = Job.read(path)
    start = time.perf_counter()
    distance = chosen_distance(job)
    chosen_s = time.perf_counter() - start
    start = time.perf_counter()
    for each in job.predicted:
        mask = mask_of(picture(each))
        job.keep(each, np.stack([~mask, mask]), objects_of(mask, distance))
    facts = {"steps": 0, "train_s": chosen_s, "precision": "float32", "batch": 1, "peak_mb": peak_mb()}
    job.tell(**facts, distance=distance, predict_s=time.perf_counter() - start, plan_s=0.0)


if __name__ == "__main__":
    main(sys.argv[1])
