"""Draws the findings: each image with its label on it, and a ring around the first bad pixel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from kseg.check.finding import Finding
from kseg.datasets.contract import VOID, Dataset
from kseg.datasets.labels.label_files import read_stored
from kseg.errors import KsegError
from kseg.images import open_pages
from kseg.instances import count_numbered
from kseg.pictures import SEPARATOR, fitted, for_display, object_colours, overlay, sheet

PANEL = 240
MOST_PANELS, MOST_ALIKE = 24, 4
RING = (255, 60, 40)


def contact_sheet(findings: Sequence[Finding]) -> np.ndarray | None:
    """The first findings of each kind as one picture (H, W, 3) uint8; None where none can be drawn."""
    panels: dict[str, np.ndarray] = {}
    alike: Counter[str] = Counter()
    for finding in findings:
        alike[finding.kind] += finding.draw is not None
        if finding.draw is None or alike[finding.kind] > MOST_ALIKE or len(panels) == MOST_PANELS:
            continue
        name, room = finding.file.rpartition("/")[2], 30 - len(finding.kind)
        title = f"{finding.kind}: {name if len(name) <= room else '..' + name[2 - room :]}"
        panels.setdefault(title, _framed(finding.draw(), finding.row, finding.column))
    return sheet(panels) if panels else None


def draw_pair(image: Path, label: Path, page: int) -> np.ndarray:
    """An image under its label, or both side by side where they differ in size; what can't be read is grey."""
    try:
        shown = for_display(open_pages(image)[page])
    except (KsegError, IndexError):
        shown = None
    try:
        numbers = read_stored(label, page, None, VOID)
    except (KsegError, IndexError):
        return _beside(shown, _raw(label, page))
    own = object_colours() if count_numbered(numbers, np.unique(numbers).tolist()) else ()
    if shown is None or shown.shape[:2] != numbers.shape:
        return _beside(shown, overlay(np.zeros((*numbers.shape, 1), np.uint8), numbers, own=own))
    return overlay(shown, numbers, own=own)


def draw_item(data: Dataset, index: int) -> np.ndarray:
    """The image of an item under its label; grey where it can't be read."""
    try:
        item = data[index]
    except KsegError:
        return _beside(None, None)
    image, label = next(iter(item.images.values())), next(iter(item.labels.values()))
    return overlay(image, label)


def _raw(label: Path, page: int) -> np.ndarray | None:
    """A label as a picture, where it holds no numbers."""
    try:
        return for_display(open_pages(label)[page])
    except (KsegError, IndexError):
        return None


def _beside(*pictures: np.ndarray | None) -> np.ndarray:
    """Pictures in a row, all enlarged to the height of the highest; a grey one in place of each None."""
    size = next((one.shape for one in pictures if one is not None), (PANEL // 2, PANEL // 2, 3))
    shown = [np.full(size, 128, np.uint8) if one is None else one for one in pictures]
    height = max(one.shape[0] for one in shown)
    scaled = [
        cv2.resize(one, (round(one.shape[1] * height / one.shape[0]), height), interpolation=cv2.INTER_NEAREST)
        for one in shown
    ]
    gap = np.full((height, SEPARATOR, 3), 255, np.uint8)
    return np.hstack([part for one in scaled for part in (gap, one)][1:])


def _framed(picture: np.ndarray, row: int | None, column: int | None) -> np.ndarray:
    """`picture` fitted into PANEL x PANEL and padded to the width PANEL, with a ring around one pixel."""
    small = fitted(picture, PANEL)
    scale = max(small.shape[:2]) / max(picture.shape[:2])
    if row is not None and column is not None:
        centre = round((column + 0.5) * scale), round((row + 0.5) * scale)
        cv2.circle(small, centre, 9, RING, 2, cv2.LINE_AA)
    return np.pad(small, ((0, 0), (0, PANEL - small.shape[1]), (0, 0)), constant_values=255)
