"""One pass over a data set before training: the first thing wrong stops it, the rest is worth knowing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kseg.datasets.contract import VOID, Dataset
from kseg.errors import ConfigError, DataError


@dataclass(frozen=True)
class Survey:
    """What a data set holds.

    Attributes:
      images: how many.
      channels: 1 or the number that all images have, of all streams together.
      kind: "uint8", "uint16" or "float32".
      brightest: the largest grey level.
      heights, widths: the smallest and largest.
      class_pixels: (K,) int64, pixels of each class, or a dict of such by head.
      fingerprint: SHA-256 over all images, labels and instances.
    """

    images: int
    channels: int
    kind: str
    brightest: float
    heights: tuple[int, int]
    widths: tuple[int, int]
    class_pixels: Any
    fingerprint: str

    @property
    def white(self) -> float:
        """The grey level of full white for images of this kind: 255 or 65535.

        Raises:
          ConfigError: the images are float, whose scale can't be known.
        """
        if self.kind == "float32":
            raise ConfigError(
                f"The images are float32, up to {self.brightest:g}: their white can't be known. "
                "Pass --set data.white=VALUE."
            )
        return {"uint8": 255.0, "uint16": 65535.0}[self.kind]


def survey(data: Dataset) -> Survey:
    """Reads every item of `data` once.

    Raises:
      DataError: there is no item, one can't be read or its label does not hold; images differ in depth or channels.
    """
    if not len(data):
        raise DataError(f"{data.name}: there is nothing in the split {data.split}. Take another, or add images.")
    digest = hashlib.sha256()
    kinds: dict[str, str] = {}
    channels: dict[int, str] = {}
    pixels = {head: np.zeros(VOID + 1, np.int64) for head in data.heads}
    sizes, brightest = [], 0.0
    for item in (data[index] for index in range(len(data))):
        for image in item.images.values():
            digest.update(f"{item.id} {image.shape} {image.dtype}".encode() + image.tobytes())
            kinds.setdefault(str(image.dtype), item.id)
            brightest = max(brightest, float(image.max()))
        for head, label in item.labels.items():
            digest.update(label.tobytes())
            pixels[head] += np.bincount(label.ravel(), minlength=VOID + 1)
        if item.instances is not None:
            digest.update(item.instances.tobytes())
        channels.setdefault(_channels(item.images), item.id)
        sizes.append(label.shape)
    if len(kinds) > 1:
        raise DataError(
            f"{data.name}: images of different depth: {_examples(kinds)}. Save all of them with 8 or all with 16 bits."
        )
    if len(channels) > 1 and set(channels) != {1, 3}:
        raise DataError(f"{data.name}: images of different channels: {_examples(channels)}. All must have the same.")
    heights, widths = zip(*sizes, strict=True)
    counts = {head: pixels[head][: len(classes)] for head, classes in data.heads.items()}
    return Survey(
        images=len(data),
        channels=max(channels),
        kind=next(iter(kinds)),
        brightest=brightest,
        heights=(min(heights), max(heights)),
        widths=(min(widths), max(widths)),
        class_pixels=counts.get("", counts),
        fingerprint=digest.hexdigest(),
    )


def _channels(images: Mapping[str, np.ndarray]) -> int:
    """Those of all streams; 1 for a single colour image whose channels are equal."""
    count = sum(image.shape[2] for image in images.values())
    only = images.get("")
    grey = only is not None and count == 3 and bool((only == only[..., :1]).all())
    return 1 if grey else count


def _examples(found: dict) -> str:
    return ", ".join(f"{what} ({name})" for what, name in found.items())
