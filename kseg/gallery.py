"""Shows items from all over a data set with their labels drawn on them, as a picture or a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kseg import pages
from kseg.datasets import Dataset, Item
from kseg.errors import DataError
from kseg.images import write_image
from kseg.pictures import (
    STRONG,
    clear_class,
    colours_of,
    fitted,
    in_number,
    legend,
    object_colours,
    overlay,
    planes,
    png,
    sheet,
    side_by_side,
    stacked,
)
from kseg.storage import write_text

ITEMS, PANEL, ACROSS = 12, 300, 4  # items shown; in a picture the longer side of a panel, and how many make a row
PAGE_PANEL = 640  # the longer side of a panel on a page


@dataclass(frozen=True)
class Gallery:
    """Items of a data set, and what is in them.

    Attributes:
      data: the split.
      items: those shown.
      class_pixels: for each head the pixels of each class in them, (K,) int64.
      void_pixels: for each head the pixels without a class.
    """

    data: Dataset
    items: tuple[Item, ...]
    class_pixels: Mapping[str, np.ndarray]
    void_pixels: Mapping[str, int]

    def __str__(self) -> str:
        """The text of `data show`."""
        data, images = self.data, [image for item in self.items for image in item.images.values()]
        kinds = " and ".join(sorted({str(image.dtype) for image in images}))
        channels = sum(image.shape[2] for image in self.items[0].images.values())
        streams = " and ".join(name for name in self.items[0].images if name)
        lines = [
            f"{data.name} {data.split}: {len(data)} images, {kinds}, {channels} channel{'s' if channels > 1 else ''}"
            + (f" ({streams})" if streams else "")
            + f"; {len(self.items)} of them shown"
        ]
        low, high = (extreme([image.shape[:2] for image in images], axis=0).tolist() for extreme in (np.min, np.max))
        brightest = max(float(image.max()) for image in images)
        lines.append(f"heights {low[0]} to {high[0]}, widths {low[1]} to {high[1]}, up to {brightest:g}")
        for head, pixels in self.class_pixels.items():
            lines += [f"{head} classes in these:"] if head else []
            total = max(1, int(pixels.sum()))
            named = list(zip(data.heads[head], pixels.tolist(), strict=True))
            lines += [f"  {name:<16} {count / total:7.2%}" for name, count in named if count]
            absent = [name for name, count in named if not count]
            lines += [f"  not in these: {', '.join(absent)}"] if absent else []
            lines += [f"  {self.void_pixels[head]:,} pixels are void"] if self.void_pixels[head] else []
        return "\n".join(lines)


def look(data: Dataset, count: int = ITEMS) -> Gallery:
    """Reads `count` items from all over `data`, the first and the last among them.

    Raises:
      DataError: there is none, one can't be read, or its label does not hold.
    """
    if not len(data):
        raise DataError(f"{data.name}: there is nothing in the split {data.split}.", "Take another, or add images.")
    chosen = np.unique(np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int)).tolist()
    items = tuple(data[index] for index in chosen)
    counts = {head: np.zeros(256, np.int64) for head in data.heads}
    for item in items:
        for head, label in item.labels.items():
            counts[head] += np.bincount(label.ravel(), minlength=256)
    return Gallery(
        data,
        items,
        {head: count[: len(data.heads[head])] for head, count in counts.items()},
        {head: int(count[data.ignore_class]) for head, count in counts.items()},
    )


def write_gallery(gallery: Gallery, path: str | Path) -> None:
    """Writes the items with their labels: a page where `path` ends in .html or .htm, else a picture."""
    if Path(path).suffix.lower() in (".html", ".htm"):
        write_text(path, _page(gallery))
    else:
        write_image(path, _picture(gallery))


def panels_of(data: Dataset, item: Item) -> dict[str, np.ndarray]:
    """The pictures of an item by name: its images or their channels, then each label on the first image.

    Returns:
      (H, W, 3) uint8 by name; each numbered object has a colour of its own.
    """
    panels = {}
    for stream, image in item.images.items():
        for plane, picture in planes(image).items():
            panels[" ".join(filter(None, (stream, plane))) or "image"] = picture
    first = next(iter(item.images.values()))
    for head, label in item.labels.items():
        if item.instances is not None:
            count = len(np.unique(item.instances[item.instances > 0]))
            panels[in_number(count, "object")] = overlay(first, item.instances, own=object_colours())
        else:
            panels[head or "label"] = overlay(first, label, clear=clear_class(data.heads[head]), tint=STRONG)
    return panels


def numbered_panels(gallery: Gallery) -> dict[str, np.ndarray]:
    """The panels of all items by title: the item's number, then for its first panel the id, else what is shown."""
    panels: dict[str, np.ndarray] = {}
    for number, item in enumerate(gallery.items, start=1):
        for index, (name, picture) in enumerate(panels_of(gallery.data, item).items()):
            panels[f"{number}: {name if index else _short(item.id)}"] = _seen(picture, PANEL)
    return panels


def _seen(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture scaled so that its longer side is `side`, or more if that is over twice the other side."""
    short, long = sorted(picture.shape[:2])
    return fitted(picture, round(side * min(max(1, math.sqrt(long / short / 2)), ACROSS)))


def _picture(gallery: Gallery) -> np.ndarray:
    """The sheet of panels with the legends below: (H, W, 3) uint8."""
    panels = numbered_panels(gallery)
    each = len(panels) // len(gallery.items)
    across = max(1, ACROSS * PANEL // max(panel.shape[1] for panel in panels.values()))
    rows = sheet(panels, columns=across // each * each or across)
    keys = [(head, legend(names, rows.shape[1], clear=clear)) for head, names, clear in _legends(gallery)]
    return stacked(rows, *(side_by_side({head: key}) if head else key for head, key in keys))


def _page(gallery: Gallery) -> str:
    data = gallery.data
    figures = []
    for item in gallery.items:
        panels = {name: _seen(picture, PAGE_PANEL) for name, picture in panels_of(data, item).items()}
        height, width = next(iter(panels.values())).shape[:2]
        figure = sheet(panels, columns=1 if width >= 2 * height else len(panels))
        figures.append(pages.picture(png(figure), item.id, wide=True))
    keys = []
    for head, names, clear in _legends(gallery):
        colours = {name: colours_of(np.array(number)).astype(int).tolist() for number, name in names.items()}
        keys.append(pages.paragraph(f"{head} classes:") if head else "")
        keys.append(pages.key({**colours, **({names[clear]: None} if clear in names else {})}))
    return pages.page(f"{data.name} {data.split}", pages.listing(str(gallery)), *keys, *figures)


def _legends(gallery: Gallery) -> list[tuple[str, dict[int, str], int | None]]:
    """For each head its name, the classes in the pictures, and the class that is left clear; [] for objects."""
    if gallery.items[0].instances is not None:
        return []
    found = []
    for head, pixels in gallery.class_pixels.items():
        classes = gallery.data.heads[head]
        names = {number: f"{number} {name}" for number, name in enumerate(classes) if pixels[number]}
        void = {gallery.data.ignore_class: "void"} if gallery.void_pixels[head] else {}
        found.append((head, {**names, **void}, clear_class(classes)))
    return found


def _short(name: str, most: int = 30) -> str:
    return name if len(name) <= most else f"..{name[2 - most :]}"
