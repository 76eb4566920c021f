"""Checks all that a training asks of its data before its first step; `train` and `data check` share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kseg import datasets
from kseg.datasets import Dataset, Survey, survey
from kseg.datasets.agreement import check_parts_agree, check_whole_images
from kseg.datasets.contract import NoSuchSplit
from kseg.errors import ConfigError, DataError, Setting
from kseg.geometry import Geometry
from kseg.metrics import Measure, measure

HELD_OUT = {False: ("val", "test"), True: ("test",)}  # by whether val is trained on


@dataclass(frozen=True)
class Needs:
    """What a recipe asks of its data.

    Attributes:
      split: the part to train on; None for train where there is one, else trainval.
      crop: height and width that the network is given; None for whole images.
      batch_size: images in a batch.
      white: the grey level that becomes 1; None for the white of the images' type.
      is_scaled: whether the network scales its images by that level.
      measure: by which the network is chosen; auto for the one that suits the data.
      geometry: the sizes that the network takes; None where only the built network knows them.
    """

    split: str | None = None
    crop: tuple[int, int] | None = None
    batch_size: int = 1
    white: float | None = None
    is_scaled: bool = False
    measure: str = "auto"
    geometry: Geometry | None = None


def open_parts(
    name: str, data_dir: str | Path | None, split: str | None, options: Mapping[str, Any]
) -> dict[str, Dataset]:
    """The split to train on, under "train", and where they exist those to choose by ("val") and to report on ("test").

    Args:
      name, data_dir, options: as `kseg.datasets.open` takes them.
      split: the part to train on; None for train where there is one, else trainval.

    Raises:
      DataError: there is nothing to report on.
    """

    def part(*splits: str) -> Dataset:
        return datasets.open_first(name, data_dir, splits, **options)

    try:
        train = part("train", "trainval") if split is None else part(split)
    except NoSuchSplit as error:
        if split is not None:
            raise
        what = f"{name}: there is {', '.join(sorted(error.known))}, and nothing to train on."
        fix = "Put images for that into train/; kseg.evaluate scores a network on these."
        raise NoSuchSplit(what, fix, known=error.known) from error
    held_out = [split for split in HELD_OUT[train.split == "trainval"] if split in train.splits]
    parts = {"train": train, **{split: part(split) for split in held_out}}
    check_parts(parts)
    return parts


def check_parts(parts: Mapping[str, Dataset]) -> None:
    """Raises DataError where no part is held out to report on."""
    train = parts["train"]
    if len(parts) == 1:
        there = ", ".join(train.splits)
        what = f"{train.name}: there is nothing to report on that {train.split} does not hold; there are {there}."
        raise DataError(what, "Train on another part, or keep some images apart.")


def check_scored(parts: Mapping[str, Dataset], chosen: Measure) -> None:
    """Raises ConfigError where a part can't be scored by the measure."""
    for data in parts.values():
        if lacks := chosen.lacks(data):
            what = f"measure is {chosen.name}, but {data.name} has {lacks}."
            raise ConfigError(what, "Pass ", Setting("measure", "mean_iu"), ".")


def surveyed(parts: Mapping[str, Dataset], needs: Needs) -> dict[str, Survey]:
    """Surveys every part, and checks what a training needs of them.

    Raises:
      ConfigError: white can't be known, or a batch would have whole images of several sizes.
      DataError: an item can't be read, or the parts do not agree.
      SizeError: the crop, or without a crop an image, does not fit the network.
    """
    found = {split: survey(data) for split, data in parts.items()}
    check_parts_agree(parts, found)
    if needs.is_scaled and needs.white is None:
        _ = found["train"].white  # raises where it can't be known
    if needs.geometry is not None and needs.crop is not None:
        needs.geometry.check(*needs.crop, "data.crop")
    elif needs.geometry is not None:
        check_whole_images(found["train"], needs.geometry, needs.batch_size)
    return found


def preflight(name: str, data_dir: str | Path | None, needs: Needs, options: Mapping[str, Any]) -> dict[str, Survey]:
    """Opens and reads the data as a training would.

    Raises:
      KsegError: what a training would stop at.
    """
    parts = open_parts(name, data_dir, needs.split, options)
    if needs.measure != "auto":
        check_scored(parts, measure(needs.measure))
    return surveyed(parts, needs)
