"""Checks that the parts of a training, or a network and its data, fit each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kseg.datasets.contract import Dataset, by_name
from kseg.datasets.survey import Survey
from kseg.errors import ConfigError, DataError, Setting, SizeError
from kseg.geometry import Geometry

OF_OBJECTS = ("background", "object")  # the classes of data sets that number their objects


def difference_of_classes(one: Sequence[str], other: Sequence[str]) -> str:
    """Why two lists of class names can't mean the same ids, as text; "" where they can.

    Names that kseg made up ("class 1") can mean any class. Upper and lower case are the same.
    """
    if len(one) != len(other):
        return f"{len(one)} classes are not {len(other)}"
    differing = [number for number, pair in enumerate(zip(one, other, strict=True)) if len(set(map(_plain, pair))) > 1]
    if not differing or any(_is_made_up(names) for names in (one, other)):
        return ""
    if sorted(map(_plain, one)) == sorted(map(_plain, other)):
        return "the same names, but in another order"
    first = differing[0]
    return f"class {first} is {one[first]} in one and {other[first]} in the other"


def some_names(names: Sequence[str]) -> str:
    """The first eight, for messages."""
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _is_made_up(names: Sequence[str]) -> bool:
    return tuple(names) == OF_OBJECTS or all(re.fullmatch(r"class \d+", name) for name in names)


def check_parts_agree(parts: Mapping[str, Dataset], surveys: Mapping[str, Survey]) -> None:
    """Checks that every part has the classes, the depth and the channels of the part that is trained on.

    Args:
      parts, surveys: by use; one is "train".

    Raises:
      DataError: a part has others.
    """
    train, found = parts["train"], surveys["train"]
    for split, part in parts.items():
        where = f"{part.name}: {split}"
        heads = by_name(part.classes)
        if set(heads) != set(train.heads):
            raise DataError(f"{where} has labels for {_listed(heads)}, but train for {_listed(train.heads)}.")
        for head, names in train.heads.items():
            if difference := difference_of_classes(names, heads[head]):
                what = f"{where} has the classes {some_names(heads[head])}, but train has {some_names(names)}"
                raise DataError(f"{what}: {difference}.", "All parts need the same classes, in the same order.")
        other = surveys[split]
        if other.kind != found.kind:
            raise DataError(f"{where} has images of {other.kind}, train of {found.kind}.", "Save all in one depth.")
        if other.channels != found.channels and {other.channels, found.channels} != {1, 3}:
            what = f"{where} has images of {other.channels} channels, train of {found.channels}."
            raise DataError(what, "Save all with the same channels.")


def _listed(heads: Mapping[str, Any]) -> str:
    return " and ".join(head or "one label" for head in heads)


def check_whole_images(found: Survey, geometry: Geometry, batch_size: int) -> None:
    """Checks that images can be trained on whole, without a crop.

    Args:
      found: the survey of what is trained on.
      geometry: the network's.
      batch_size: images in a batch.

    Raises:
      SizeError: the network does not take the size of an image.
      ConfigError: a batch would have images of several sizes.
    """
    for (height, width), name in found.sizes.items():
        try:
            geometry.check(height, width, f"image {name}")
        except SizeError as error:
            crop = Setting("data.crop", (geometry.previous_input(height), geometry.previous_input(width)))
            fix = " Without a crop whole images are trained on: set one that fits, as ", crop, "."
            raise SizeError(error.what, *error.fix, *fix) from error
    if batch_size > 1 and len(found.sizes) > 1:
        (first, its_name), (second, other_name) = list(found.sizes.items())[:2]
        sizes = f"{its_name} is {first[0]} x {first[1]}, {other_name} {second[0]} x {second[1]}"
        what = f"data.crop is none and data.batch_size is {batch_size}, but the images are of {len(found.sizes)} sizes"
        crop, one = Setting("data.crop"), Setting("data.batch_size", 1)
        raise ConfigError(f"{what}: {sizes}.", "Images in a batch are of one size: set ", crop, ", or ", one, ".")
