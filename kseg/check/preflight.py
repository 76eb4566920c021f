"""All that a training asks of its data before the first step; `train` and `data check` ask the same, in one place."""

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
      split: what is trained on; None for train where there is one, else trainval.
      crop: height and width the network is given; None for whole images.
      batch_size: images in a batch.
      white: the grey level that becomes 1; None for that of the images' depth.
      is_scaled: whether the network scales its images by that level.
      measure: what the network is chosen by; auto for what suits.
      geometry: the sizes the network takes; None where only the network itself says them.
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
    """The splits to train on ("train", whatever its own name), and where there are such, to choose by and to report on.

    Args:
      name, data_dir, options: as `kseg.datasets.open` takes them.
      split: what is trained on; None for train where there is one, else trainval.

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
        raise NoSuchSplit(
            f"{name}: there is {', '.join(sorted(error.known))}, and nothing to train on.",
            "Put images for that into train/; kseg.evaluate scores a network on these.",
            known=error.known,
        ) from error
    held_out = [split for split in HELD_OUT[train.split == "trainval"] if split in train.splits]
    parts = {"train": train, **{split: part(split) for split in held_out}}
    check_parts(parts)
    return parts


def check_parts(parts: Mapping[str, Dataset]) -> None:
    """Checks that something is held out to report on.

    Raises:
      DataError: nothing is.
    """
    train = parts["train"]
    if len(parts) == 1:
        raise DataError(
            f"{train.name}: there is nothing to report on that {train.split} does not hold; there are "
            f"{', '.join(train.splits)}.",
            "Train on another part, or keep some images apart.",
        )


def check_scored(parts: Mapping[str, Dataset], chosen: Measure) -> None:
    """Checks that all parts can be scored by the measure.

    Raises:
      ConfigError: one can't.
    """
    for data in parts.values():
        if lacks := chosen.lacks(data):
            what = f"measure is {chosen.name}, but {data.name} has {lacks}."
            raise ConfigError(what, "Pass ", Setting("measure", "mean_iu"), ".")


def surveyed(parts: Mapping[str, Dataset], needs: Needs) -> dict[str, Survey]:
    """What every part holds, once all that is asked of it was found.

    Raises:
      ConfigError: white can't be known, or whole images can't stand in one batch.
      DataError: an item can't be read, or the parts do not agree.
      SizeError: the crop, or an image without one, does not fit the network.
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
