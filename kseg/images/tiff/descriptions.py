"""Reads a TIFF's description as ImageJ, OME-XML and tifffile write it: axes, and the size of a pixel.

The text may come from anyone. Numbers have bounds, no XML entity is expanded, and no file that it names is opened.

Source: ImageJ's FileInfo and TiffEncoder; the OME-TIFF specification 6.3; tifffile's "shaped" metadata.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

_MOST = 1 << 31
_LONGEST_UNIT = 32
_BAD_XML = "its OME-XML is broken"


@dataclass(frozen=True)
class Text:
    """What a description says, as far as it is valid.

    Attributes:
      writer: ImageJ, OME-XML or tifffile; "" where the text is of another kind.
      letters, sizes: the axes that count pages, the outermost first, and their lengths.
      axes: all axes that tifffile names, those of one page too; `sizes` then has all their lengths. "" where it names
        none.
      order: the page at each position along `letters` (OME-XML); None where the pages are in order.
      unit: of x and y, as it is written; "" where there is none.
      pixel: width and height of a pixel in that unit (OME-XML); None where it is not known, or stands in tags.
      spacing: of slices, in that unit; None where it is not known.
      interval_s: of frames.
      trouble: why the text is not understood; "" where nothing is wrong.
    """

    writer: str = ""
    letters: str = ""
    sizes: tuple[int, ...] = ()
    axes: str = ""
    order: tuple[int, ...] | None = None
    unit: str = ""
    pixel: tuple[float, float] | None = None
    spacing: float | None = None
    interval_s: float | None = None
    trouble: str = ""

    @property
    def lengths(self) -> dict[str, int]:
        """The length of each axis."""
        return dict(zip(self.axes or self.letters, self.sizes, strict=False))

    def pages_of(self, shape: tuple[int, ...]) -> int:
        """How many pages of `shape` there are as ImageJ or tifffile says; a single directory may stand for all."""
        if self.writer == "ImageJ":
            return math.prod(self.sizes)
        if self.writer == "tifffile" and self.sizes[-len(shape) :] == shape:
            return math.prod(self.sizes[: -len(shape)])
        return 1


def read_descriptions(descriptions: Sequence[str]) -> Text:
    """What the descriptions of a TIFF's first directory say; the first that is understood counts."""
    for text in descriptions:
        if text.startswith("ImageJ="):
            return _imagej(text)
        if text.lstrip("\ufeff \n").startswith("<") and "OME" in text[:4096]:
            return _ome(text)
        if text.startswith('{"shape":'):
            return _shaped(text)
    return Text()


def _imagej(text: str) -> Text:
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    sizes = tuple(_whole(values.get(key, "1")) for key in ("frames", "slices", "channels"))
    images = _whole(values.get("images", "1"))
    if sizes == (1, 1, 1) and images > 1:
        sizes = (1, images, 1)  # a plain stack, no hyperstack
    return Text(
        "ImageJ",
        "TZC",
        sizes,
        unit=_unit(values.get("unit", "")),
        spacing=_size(values.get("spacing")),
        interval_s=_size(values.get("finterval")),
    )


def _shaped(text: str) -> Text:
    try:
        found = json.loads(text)
        axes, shape = found.get("axes"), found["shape"]
        sizes = tuple(size if isinstance(size, int) and 0 < size < _MOST else 0 for size in shape)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Text()
    known = isinstance(axes, str) and len(axes) == len(set(axes)) == len(sizes) and axes.isascii() and axes.isalpha()
    return Text("tifffile", sizes=sizes, axes=axes.upper() if known else "")


class _Xml:
    """Gathers the attributes that matter while an OME-XML text is parsed, without building a tree."""

    def __init__(self) -> None:
        self.pixels: list[dict[str, str]] = []
        self.samples = 1
        self.planes: list[dict[str, str]] = []
        self.files: set[str] = set()
        self._channels = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        if kind == "Pixels":
            self.pixels.append(attributes)
        elif kind == "TiffData" and len(self.pixels) == 1:
            self.planes.append(attributes)
        elif kind == "UUID" and "FileName" in attributes:
            self.files.add(attributes["FileName"])
        elif kind == "Channel" and len(self.pixels) == 1 and not self._channels:
            self._channels = 1
            self.samples = _whole(attributes.get("SamplesPerPixel", "1"))


def _refuse_entity(*_: Any) -> None:
    raise ValueError("entities are not read")


def _ome(text: str) -> Text:
    found, parser = _Xml(), expat.ParserCreate()
    parser.StartElementHandler = found.start
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(text.lstrip("\ufeff \n").encode(), True)
        if not found.pixels:
            return Text()
        if len(found.pixels) > 1:
            return Text("OME-XML", trouble=f"it holds {len(found.pixels)} images (OME-XML)")
        return _ome_image(found)
    except (expat.ExpatError, ValueError, KeyError, LookupError):  # LookupError: an unknown encoding
        return Text("OME-XML", trouble=_BAD_XML)


def _ome_image(found: _Xml) -> Text:
    (pixels,) = found.pixels
    letters = pixels["DimensionOrder"][:1:-1]
    if sorted(letters) != ["C", "T", "Z"] or pixels["DimensionOrder"][:2] != "XY":
        raise ValueError(letters)
    sizes = {letter: _whole(pixels[f"Size{letter}"]) for letter in letters}
    if not all(sizes.values()) or sizes["C"] % max(1, found.samples):
        raise ValueError(sizes)
    sizes["C"] //= max(1, found.samples)
    width, height = (_size(pixels.get(f"PhysicalSize{letter}")) for letter in "XY")
    units = [pixels.get(f"PhysicalSize{letter}Unit", "\u00b5m") for letter in "XYZ"]
    pixel = (width, height) if width and height and units[0] == units[1] else None
    # The axes of a set of several files say nothing about the pages of one.
    alone = len(found.files) < 2
    seconds = {"s": 1.0, "ms": 1e-3, "min": 60.0}.get(pixels.get("TimeIncrementUnit", "s"))
    interval = _size(pixels.get("TimeIncrement"))
    return Text(
        "OME-XML",
        letters if alone else "",
        tuple(sizes[letter] for letter in letters) if alone else (),
        order=_order(found.planes, letters, sizes) if alone else None,
        unit=_unit(units[0]) if pixel else "",
        pixel=pixel,
        spacing=_size(pixels.get("PhysicalSizeZ")) if units[2] == units[0] else None,
        interval_s=interval * seconds if interval and seconds else None,
    )


def _order(planes: Sequence[dict[str, str]], letters: str, sizes: dict[str, int]) -> tuple[int, ...] | None:
    """The page at each position along the axes, where each TiffData element names one page; else None.

    Raises:
      ValueError: a number can't be read, or lies outside the axes.
    """
    count = math.prod(sizes.values())
    if len(planes) != count or not all("IFD" in plane for plane in planes):
        return None
    pages = [-1] * count
    for plane in planes:
        position = 0
        for letter in letters:
            at = int(plane.get(f"First{letter}", "0"))
            if not 0 <= at < sizes[letter]:
                raise ValueError(plane)
            position = position * sizes[letter] + at
        pages[position] = int(plane["IFD"])
    return None if pages == list(range(count)) else tuple(pages)


def _whole(text: str) -> int:
    """A whole number of 1 or more; 0 where the text is something else, or more than a file can hold."""
    text = text.strip()
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else 0
    return value if value < _MOST else 0


def _unit(text: str) -> str:
    """A unit as ImageJ writes it; "" where the text is no short plain word."""
    text = text.strip().replace("\u00b5m", "micron").replace("\u03bcm", "micron")
    return text if text.isascii() and text.isprintable() and len(text) <= _LONGEST_UNIT else ""


def _size(text: str | None) -> float | None:
    """A finite number above 0; None where the text is something else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < math.inf else None
