"""Seconds of the ISBI 2012 measures for a stack of slices, on one core.

    python -m benchmarks.em_measures [--labels train-labels.tif]

The labels are the challenge's 30 training slices of 512 x 512. The proposal is each label displaced by about 3 pixels,
blurred, and with smooth noise, at a level that makes a few false gaps and lines. Times are processor seconds, so other
jobs on the machine do not count.

Measured on one core of a shared AMD EPYC (avx2, avx512f), numba 0.68.1, numpy 2.4.6: v_rand 1.5 s, v_info 1.3,
rand_error 0.6, warping_error 1.8, pixel_error 0.13, all five in one pass 3.0. Peak memory is 265 MiB, of which the
measures take 48. The first call takes 3.1 s to compile, or 0.4 s with the cache. The official Java code takes 22 to
51 s for one such slice. A proposal that has little to do with the label costs most: white noise takes 1.2 s per slice,
nearly all of it for tens of thousands of false splits.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import tifffile

from kseg.metrics import em

SHARED = Path(os.environ.get("KSEG_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def noisy_proposal(label: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A label as a mediocre network might predict it.

    Args:
      label: (H, W), non-zero inside a cell.
      random: the source of displacement and noise.

    Returns:
      (H, W) float32, 0..1.
    """

    def smooth(sigma: float, deviation: float) -> np.ndarray:
        field = cv2.GaussianBlur(random.normal(size=label.shape).astype(np.float32), (0, 0), sigma)
        return field * np.float32(deviation / field.std())

    rows, columns = np.indices(label.shape, np.float32)
    cell = (label != 0).astype(np.float32)
    moved = cv2.remap(
        cell, columns + smooth(20, 3), rows + smooth(20, 3), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.clip(cv2.GaussianBlur(moved, (0, 0), 1.5) + smooth(2, 0.12), 0, 1)


def machine() -> str:
    """The processor's name and the vector instructions it has."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = [flag for flag in ("avx2", "avx512f") if flag in facts.get("flags", "").split()]
    return f"{facts.get('model name', 'unknown processor')}, {', '.join(flags) or 'no AVX2'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=Path, default=SHARED / "data" / "isbi2012" / "train-labels.tif")
    labels_file = parser.parse_args().labels
    if not labels_file.is_file():
        sys.exit(f"No labels at {labels_file}. Give the challenge's training labels with --labels FILE.")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)

    labels = tifffile.imread(labels_file)
    random = np.random.default_rng(0)
    proposal = np.stack([noisy_proposal(label, random) for label in labels])
    print(f"{machine()}; {len(labels)} slices of {labels.shape[1]} x {labels.shape[2]}")
    start = time.process_time()
    em.em_scores(proposal[0, :32, :32], labels[0, :32, :32])
    print(f"{'first call (compiles, or reads the cache)':42} {time.process_time() - start:6.2f} s")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for measures in (*([name] for name in em.MEASURES), em.MEASURES):
        start = time.process_time()
        scores = em.em_scores(proposal, labels, measures)
        seconds = time.process_time() - start
        name = "all five in one pass" if len(measures) > 1 else f"{measures[0]} {scores[measures[0]].value:.6f}"
        print(f"{name:42} {seconds:6.2f} s")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    threads = len(os.listdir("/proc/self/task"))
    print(f"1 core, {threads} threads; peak {after / 1024:.0f} MiB, {(after - before) / 1024:.0f} more than before")


if __name__ == "__main__":
    main()
