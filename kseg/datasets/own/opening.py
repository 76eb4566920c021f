"""Opens a person's image and label so that they fit on each other: pages, orientation tags, pixels without data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kseg.datasets.labels.label_files import pages_of
from kseg.datasets.own.pairing import Pair
from kseg.errors import Advice, DataError, Doubt, Setting
from kseg.images import (
    Drawn,
    Pages,
    open_pages,
    orientation_of,
    question_of_label,
    sizes_tell,
    turn_of_label,
    turned,
)


class Opening(NamedTuple):
    """How the files are to be read, as a person says.

    Attributes:
      axes: of a TIFF's pages, as `kseg.images.open_pages` takes them.
      alpha: whether a channel that a file calls alpha is one like the others.
      drawn: whether labels were drawn on images as their orientation tag turns them, or as they are stored.
    """

    axes: str | None = None
    alpha: bool = False
    drawn: Drawn | None = None

    def pages(self, image: Path) -> Pages:
        return open_pages(image, axes=self.axes, alpha=self.alpha)

    def by_page(self, pairs: Sequence[Pair]) -> list[Pair]:
        """One pair for each page of each file.

        Raises:
          DataError: a file can't be read, or an image and its label differ in their number of pages.
        """
        found = []
        for pair in pairs:
            if pair.page is not None:
                found.append(pair)
                continue
            pages, labelled = self.pages(pair.image), pages_of(pair.label)
            if len(pages) != labelled:
                said = f"{len(pages)} page{'s' * (len(pages) > 1)}"
                said += f" of {pages.shape[3]} channels" if pages.shape[3] > 1 else ""
                what = f"{pair.image}: {said}, but {pair.label} has {labelled}."
                raise DataError(what, "They are paired page by page: ", *advice_on_axes(labelled), ".")
            tag = pages.orientation
            tag = tag if tag == 1 or pair.label.is_dir() or orientation_of(pair.label) == 1 else 1
            asked = tag != 1 and self.drawn is None and not sizes_tell(pages.shape[1:3], tag)
            pair = pair._replace(tag=tag, is_asked=asked, no_data=pages.no_data)
            found += [pair] if labelled == 1 else [pair._replace(page=page) for page in range(labelled)]
        return found

    def read(self, pair: Pair) -> tuple[np.ndarray, np.ndarray | None]:
        """The image of a pair, (H, W, C), and its pixels without data, (H, W) bool, or None where all have data."""
        return self.pages(pair.image).read(pair.page or 0)

    def turned_onto(self, array: np.ndarray, pair: Pair, image: np.ndarray) -> np.ndarray:
        """The array of a label, (H, W), turned so that it lies on `image` (H, W, C)."""
        return turned(array, turn_of_label(image.shape[:2], array.shape, pair.tag, self.drawn) or 1)


def advice_on_axes(labelled: int) -> Advice:
    """What to do where the label has `labelled` pages and its image another number."""
    meaning, axes = ("channels", "CYX") if labelled == 1 else ("slices", "ZYX")
    return f"where the pages of the images are {meaning}, pass ", Setting("data.axes", axes)


def question_of(pairs: Sequence[Pair]) -> Doubt | None:
    """What a person must say about the labels before anything is learned from them or scored; None if nothing."""
    asked = [pair for pair in pairs if pair.is_asked]
    if not asked:
        return None
    question = question_of_label(asked[0].tag)
    return replace(question, what=f"{asked[0].label} ({len(asked):,} of {len(pairs):,}): {question.what}")
