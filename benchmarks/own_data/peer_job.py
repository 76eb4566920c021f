"""What a peer is asked to do, and what it leaves behind. Peers may lack kseg, so nothing of it is imported here."""

from __future__ import annotations

import json
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Job:
    """A training and the images to predict after it.

    Attributes:
      images, labels: files to train on, in the same order.
      predicted: images to predict, whose names differ.
      classes: how many there are.
      ignore_class: the number that means void, one above the classes.
      upright: images have an up and a down.
      probabilities: whether those of class 1 are kept.
      minutes: for the training.
      seed: of all random numbers.
      shared: a folder that trainings on the same images share.
      folder: a folder for this training.
    """

    images: list[str]
    labels: list[str]
    predicted: list[str]
    classes: int
    ignore_class: int | None
    upright: bool
    probabilities: bool
    minutes: float
    seed: int
    shared: str
    folder: str

    @classmethod
    def read(cls, path: str | Path) -> Job:
        """The job in a file."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def keep(self, path: str, probabilities: np.ndarray, objects: np.ndarray | None = None) -> None:
        """Writes the prediction of the image `path`: (K, H, W), and (H, W) where the peer numbers objects itself."""
        folder = Path(self.folder) / "predictions"
        folder.mkdir(exist_ok=True)
        found = {"classes": probabilities.argmax(axis=0).astype(np.uint8)}
        if self.probabilities:
            found["probability"] = probabilities[1].astype(np.float16)
        if objects is not None:
            found["objects"] = objects
        np.savez_compressed(folder / f"{Path(path).stem}.npz", **found)

    def tell(self, **facts: Any) -> None:
        """Writes what is to be known of the training."""
        (Path(self.folder) / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def picture(path: str) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8."""
    with Image.open(path) as opened:
        return np.asarray(opened)


def peak_mb() -> float:
    """The most memory that this process has held so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
