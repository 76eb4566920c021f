"""Reads a data set once before training: raises at the first wrong item, and gathers what the training must know."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from kseg.datasets.contract import VOID, Dataset
from kseg.datasets.traits import Traits
from kseg.errors import ConfigError, DataError
from kseg.images import SAVE_IN_ONE_DEPTH, white_setting


@dataclass(frozen=True)
class Survey:
    """What a data set holds.

    Attributes:
      images: their number.
      channels: of an image, all streams together; 1 where colour images are grey.
      kind: "uint8", "uint16" or "float32".
      brightest: the largest grey level.
      sizes: each (height, width) that occurs, and the first item that has it.
      class_pixels: (K,) int64, pixels of each class, or a dict of such by head.
      class_images: (K,) int64, images in which the class occurs, or a dict of such.
      present_pixels: (K,) int64, pixels of those images that are not void, or a dict of such.
      void_pixels: pixels without a class, or a dict of such numbers.
      mean, deviation: (C,) float64, of each channel's grey levels over all pixels, or a dict of such by stream.
      object_area: pixels of the median object; None where objects have no numbers.
      fingerprint: SHA-256 over all images, labels and instances.
      darkest: the smallest grey level; 0 where none is below 0.
      traits: what a training is planned from.
    """

    images: int
    channels: int
    kind: str
    brightest: float
    sizes: Mapping[tuple[int, int], str]
    class_pixels: Any
    class_images: Any
    present_pixels: Any
    void_pixels: Any
    mean: Any
    deviation: Any
    fingerprint: str
    object_area: float | None = None
    darkest: float = 0.0
    traits: Traits = field(default_factory=Traits)

    @property
    def heights(self) -> tuple[int, int]:
        """The smallest and the largest height."""
        return min(self.sizes)[0], max(self.sizes)[0]

    @property
    def widths(self) -> tuple[int, int]:
        """The smallest and the largest width."""
        widths = [width for _, width in self.sizes]
        return min(widths), max(widths)

    @property
    def white(self) -> float:
        """The grey level of full white for images of this kind: 255 or 65535.

        Raises:
          ConfigError: the images are float, whose scale can't be known.
        """
        if self.kind == "float32":
            what = f"The images are float32, up to {self.brightest:g}: their white can't be known."
            raise ConfigError(what, "Pass ", white_setting(self.brightest), ", or the level that is white.")
        return {"uint8": 255.0, "uint16": 65535.0}[self.kind]


def survey(data: Dataset) -> Survey:
    """Reads every item of `data` once.

    Raises:
      DataError: there is no item, one can't be read or has a wrong label, or images differ in depth or channels.
    """
    if not len(data):
        raise DataError(f"{data.name}: there is nothing in the split {data.split}.", "Take another, or add images.")
    data.check_settled()
    digest = hashlib.sha256()
    kinds: dict[str, str] = {}
    channels: dict[int, str] = {}
    counts = {head: np.zeros((3, VOID + 1), np.int64) for head in data.heads}
    sums: dict[tuple[str, int], np.ndarray] = {}
    sizes: dict[tuple[int, int], str] = {}
    traits = Traits()
    darkest = brightest = 0.0
    for item in (data[index] for index in range(len(data))):
        for stream, image in item.images.items():
            digest.update(f"{item.id} {image.shape} {image.dtype}".encode() + image.tobytes())
            kinds.setdefault(str(image.dtype), item.id)
            brightest = max(brightest, float(image.max()))
            darkest = min(darkest, float(image.min())) if image.dtype.kind == "f" else darkest
            key = stream, image.shape[2]
            sums[key] = sums.get(key, 0) + _sums(image)
        for head, label in item.labels.items():
            digest.update(label.tobytes())
            counts[head] += _counts(label)
        if item.instances is not None:
            digest.update(item.instances.tobytes())
        traits.add(item, len(next(iter(data.heads.values()))), data.ignore_class)
        channels.setdefault(_channels(item.images), item.id)
        sizes.setdefault(label.shape, item.id)
    _check_alike(data, kinds, channels)
    pixels, images, present = (
        _plain({head: counts[head][row, : len(classes)] for head, classes in data.heads.items()}) for row in range(3)
    )
    mean, deviation = _moments(sums)
    return Survey(
        images=len(data),
        channels=max(channels),
        kind=next(iter(kinds)),
        brightest=brightest,
        sizes=sizes,
        class_pixels=pixels,
        class_images=images,
        present_pixels=present,
        void_pixels=_plain({head: int(count[0, VOID]) for head, count in counts.items()}),
        mean=mean,
        deviation=deviation,
        object_area=traits.median_area if traits.are_numbered else None,
        fingerprint=digest.hexdigest(),
        darkest=darkest,
        traits=traits,
    )


def _check_alike(data: Dataset, kinds: Mapping[str, str], channels: Mapping[int, str]) -> None:
    """Raises DataError where images differ in depth or channels; it names an item of each kind."""
    if len(kinds) > 1:
        raise DataError(f"{data.name}: images of different depth: {_examples(kinds)}.", SAVE_IN_ONE_DEPTH)
    if len(channels) > 1 and set(channels) != {1, 3}:
        raise DataError(f"{data.name}: images of different channels: {_examples(channels)}.", "All must have the same.")


def _counts(label: np.ndarray) -> np.ndarray:
    """(3, 256): for each number its pixels in `label`, whether it occurs, and if so how many pixels are not void."""
    pixels = np.bincount(label.ravel(), minlength=VOID + 1)
    return np.stack([pixels, pixels > 0, (pixels > 0) * (label.size - pixels[VOID])])


def _sums(image: np.ndarray) -> np.ndarray:
    """(3, C) float64: for each channel of `image` the number of pixels, their sum, and the sum of their squares."""
    mean, deviation = (moment[:, 0] for moment in cv2.meanStdDev(np.ascontiguousarray(image)))
    number = image.shape[0] * image.shape[1]
    return np.stack([np.full_like(mean, number), number * mean, number * (deviation**2 + mean**2)])


def _moments(sums: Mapping[tuple[str, int], np.ndarray]) -> tuple[Any, Any]:
    """Mean and deviation of each channel, from `_sums` by stream and channels. Grey counts in all three channels."""
    totals: dict[str, Any] = {}
    for (stream, _), part in sums.items():
        totals[stream] = totals.get(stream, 0) + part
    means = {stream: first / number for stream, (number, first, _) in totals.items()}
    squares = {stream: second / number for stream, (number, _, second) in totals.items()}
    return _plain(means), _plain({stream: np.sqrt((squares[stream] - means[stream] ** 2).clip(0)) for stream in means})


def _plain(values: dict[str, Any]) -> Any:
    """The value with the name "", or all values by name where no value has it."""
    return values.get("", values)


def _channels(images: Mapping[str, np.ndarray]) -> int:
    """The channels of all streams; 1 for a single colour image whose channels are equal."""
    count = sum(image.shape[2] for image in images.values())
    only = images.get("")
    grey = only is not None and count == 3 and bool((only == only[..., :1]).all())
    return 1 if grey else count


def _examples(found: Mapping[Any, str]) -> str:
    return ", ".join(f"{what} ({name})" for what, name in found.items())
