"""One pass over a data set before training: the first thing wrong stops it, the rest is worth knowing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from kseg.datasets.contract import VOID, Dataset
from kseg.errors import ConfigError, DataError


@dataclass(frozen=True)
class Survey:
    """What a data set holds.

    Attributes:
      images: how many.
      channels: 1 or the number that all images have.
      kind: "uint8", "uint16" or "float32".
      brightest: the largest grey level.
      heights, widths: the smallest and largest.
      class_pixels: (K,) int64, pixels of each class.
      fingerprint: SHA-256 over all images, labels and instances.
    """

    images: int
    channels: int
    kind: str
    brightest: float
    heights: tuple[int, int]
    widths: tuple[int, int]
    class_pixels: np.ndarray
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
    pixels = np.zeros(VOID + 1, np.int64)
    sizes, brightest = [], 0.0
    for item in (data[index] for index in range(len(data))):
        digest.update(f"{item.id} {item.image.shape} {item.image.dtype}".encode())
        digest.update(item.image.tobytes() + item.label.tobytes())
        if item.instances is not None:
            digest.update(item.instances.tobytes())
        kinds.setdefault(str(item.image.dtype), item.id)
        grey = item.image.shape[2] == 3 and bool((item.image == item.image[..., :1]).all())
        channels.setdefault(1 if grey else item.image.shape[2], item.id)
        pixels += np.bincount(item.label.ravel(), minlength=VOID + 1)
        sizes.append(item.label.shape)
        brightest = max(brightest, float(item.image.max()))
    if len(kinds) > 1:
        raise DataError(
            f"{data.name}: images of different depth: {_examples(kinds)}. Save all of them with 8 or all with 16 bits."
        )
    if len(channels) > 1 and set(channels) != {1, 3}:
        raise DataError(f"{data.name}: images of different channels: {_examples(channels)}. All must have the same.")
    heights, widths = zip(*sizes, strict=True)
    return Survey(
        images=len(data),
        channels=max(channels),
        kind=next(iter(kinds)),
        brightest=brightest,
        heights=(min(heights), max(heights)),
        widths=(min(widths), max(widths)),
        class_pixels=pixels[: len(data.classes)],
        fingerprint=digest.hexdigest(),
    )


def _examples(found: dict) -> str:
    return ", ".join(f"{what} ({name})" for what, name in found.items())
