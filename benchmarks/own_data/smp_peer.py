"""A plain U-Net of segmentation_models_pytorch: python -m benchmarks.own_data.smp_peer JOB.json

Unet("resnet18") with random weights, Adam at 1e-3 falling to 0 by a cosine, batches of 4 crops of 256 x 256, cross
entropy and Dice with equal weights. Images are divided by 255. Crops are mirrored and turned by quarters; those of
images with an up and a down are only mirrored from left to right. Images that are smaller than a crop are widened by
their mirror image. Predictions are of the whole image, widened likewise to a multiple of 32.

Channels come last in memory, and it computes in bfloat16 (torch.autocast) where its first steps are quicker so: on two
cores with AMX a step took 0.55 s of processor time, and 1.3 in float32; with channels first 0.9 and 1.6. The rate
follows the clock and not a number of steps, so the training ends with the minutes. Reading the images is not counted.
"""

from __future__ import annotations

import math
import random
import sys
import time
from contextlib import nullcontext

import numpy as np
import segmentation_models_pytorch as smp
import torch

from benchmarks.own_data import by_the_clock
from benchmarks.own_data.peer_job import Job, picture

CROP, BATCH, RATE = 256, 4, 1e-3


def scaled(image: np.ndarray) -> np.ndarray:
    """(H, W, C) float32, 0..1."""
    return (image if image.ndim == 3 else image[..., None]).astype(np.float32) / 255


def widened(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """At least so large, continued by its mirror image at the bottom and on the right."""
    missing = max(height - array.shape[0], 0), max(width - array.shape[1], 0)
    return np.pad(array, [(0, missing[0]), (0, missing[1]), *[(0, 0)] * (array.ndim - 2)], mode="symmetric")


def batch_of(pairs: list, numbers: np.random.Generator, upright: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Random crops of random images: (N, C, H, W) float32 and (N, H, W) int64."""
    images, labels = [], []
    for index in numbers.integers(len(pairs), size=BATCH):
        image, label = pairs[index]
        row = numbers.integers(image.shape[0] - CROP + 1)
        column = numbers.integers(image.shape[1] - CROP + 1)
        image, label = (one[row : row + CROP, column : column + CROP] for one in (image, label))
        if numbers.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        turns = 0 if upright else int(numbers.integers(4))
        images.append(np.rot90(image, turns).transpose(2, 0, 1))
        labels.append(np.rot90(label, turns))
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels).astype(np.int64))


class Training:
    """A network that learns until its minutes are over."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pairs = [
            (widened(scaled(picture(image)), CROP, CROP), widened(picture(label), CROP, CROP))
            for image, label in zip(job.images, job.labels, strict=True)
        ]
        channels = self.pairs[0][0].shape[2]
        self.model = smp.Unet("resnet18", encoder_weights=None, in_channels=channels, classes=job.classes)
        self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE)
        ignored = {} if job.ignore_class is None else {"ignore_index": job.ignore_class}
        self.losses = [torch.nn.CrossEntropyLoss(**ignored), smp.losses.DiceLoss("multiclass", **ignored)]
        self.numbers = np.random.default_rng(job.seed)
        self.model.train()

    def step(self, precision: str, done: float) -> None:
        """Trains a step when the share `done` of the time is over."""
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * done)) / 2
        image, label = batch_of(self.pairs, self.numbers, self.job.upright)
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext():
            scores = self.model(image)
        loss = sum(one(scores.float(), label) for one in self.losses)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @torch.inference_mode()
    def probabilities(self, path: str) -> np.ndarray:
        """(K, H, W) float32 of an image file."""
        image = scaled(picture(path))
        height, width = image.shape[:2]
        wide = widened(image, -(-height // 32) * 32, -(-width // 32) * 32)
        scores = self.model(torch.from_numpy(wide.transpose(2, 0, 1)[None].copy()))[0]
        return scores.softmax(0).numpy()[:, :height, :width]


def main(path: str) -> None:
    """Does a job."""
    job = Job.read(path)
    random.seed(job.seed)
    torch.manual_seed(job.seed)
    training = Training(job)
    facts = by_the_clock.train(training.step, job.minutes)
    training.model.eval()
    start = time.perf_counter()
    for each in job.predicted:
        job.keep(each, training.probabilities(each))
    job.tell(**facts, batch=BATCH, predict_s=time.perf_counter() - start, plan_s=0.0)


if __name__ == "__main__":
    main(sys.argv[1])
