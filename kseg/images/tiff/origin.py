"""The size of a TIFF's pixels and where on earth they lie. Results keep both, so that viewers show them on their image.

Fiji and napari read ImageJ's description and the resolution. QGIS and GDAL read the tags of GeoTIFF.

Source: GeoTIFF 1.1 (OGC 19-008r4); TIFF 6.0, section 8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tifffile

from kseg.images.tiff.descriptions import Text

# The TIFF type of each tag: pixel scale, tie points, transformation, then the directory of keys, its numbers and texts.
_GEO = {33550: 12, 33922: 12, 34264: 12, 34735: 3, 34736: 12, 34737: 2}
_NO_DATA, _ORIENTATION = 42113, 274
_MOST_VALUES = 1 << 16
_NO_UNIT = ("", "pixel", "pixels")
ExtraTags = list[tuple[int, int, int, Any, bool]]


@dataclass(frozen=True)
class Origin:
    """What a result keeps of its image.

    Attributes:
      resolution: pixels per unit across and down, and TIFF's number of that unit (1 none, 2 inch, 3 cm); None where
        the file does not say it.
      text: what the description says.
      sizes: the axes of the slices, the outermost first.
      geo: the GeoTIFF tags, by number.
      orientation: the tag, 1..8. A result has the same tag, and its pixels are stored as those of the image. So a
        program that follows the tag shows both upright, and any other shows both as stored.
    """

    resolution: tuple[float, float, int] | None = None
    text: Text = field(default_factory=Text)
    sizes: Mapping[str, int] = field(default_factory=dict)
    geo: Mapping[int, Any] = field(default_factory=dict)
    orientation: int = 1

    @property
    def needs_tiff(self) -> bool:
        """Whether there is something that a PNG can't hold: a unit, a position on earth, or an orientation tag."""
        return bool(self.geo) or self.text.unit not in _NO_UNIT or self.orientation != 1

    def description(self, pages: int, channels: int) -> str | None:
        """ImageJ's description for `pages` slices of `channels` maps each; None where the image had none."""
        if not self.text.writer or pages * channels == 1 and self.text.unit in _NO_UNIT:
            return None
        frames = self.sizes.get("T", 1) if list(self.sizes) in (["T"], ["T", "Z"]) else 1
        frames = frames if pages % frames == 0 else 1
        lines = {"ImageJ": "1.54f", "images": pages * channels}
        lines |= {"channels": channels, "slices": pages // frames, "frames": frames}
        lines |= {"hyperstack": "true"} if pages * channels > 1 else {}
        lines |= {"mode": "grayscale"} | ({"unit": self.text.unit} if self.text.unit else {})
        lines |= {"spacing": self.text.spacing} if self.text.spacing else {}
        lines |= {"finterval": self.text.interval_s} if self.text.interval_s else {}
        return "".join(f"{key}={value}\n" for key, value in lines.items() if value != 1 or key == "images")

    def tags(self, no_data: str | None) -> ExtraTags:
        """The tags as tifffile takes them: GeoTIFF, orientation, and GDAL's mark of pixels without data."""
        found: ExtraTags = [
            (code, kind, 0 if kind == 2 else len(self.geo[code]), self.geo[code], True)
            for code, kind in _GEO.items()
            if code in self.geo
        ]
        found += [] if self.orientation == 1 else [(_ORIENTATION, 3, 1, self.orientation, True)]
        return found if no_data is None else [*found, (_NO_DATA, 2, 0, no_data, True)]


def origin_of(page: tifffile.TiffPage, text: Text, sizes: Mapping[str, int]) -> Origin:
    """What the tags of a file's first image say; damaged tags are ignored."""
    turn = page.tags.valueof(_ORIENTATION, 1)
    resolution = None
    if text.pixel:
        resolution = (1 / text.pixel[0], 1 / text.pixel[1], 1)
    elif (across := _ratio(page, 282)) and (down := _ratio(page, 283)):
        unit = page.tags.valueof(296, 2)
        resolution = (across, down, int(unit) if unit in (1, 2, 3) else 1)
    return Origin(resolution, text, sizes, _geo(page), turn if turn in range(1, 9) else 1)


def no_data_of(page: tifffile.TiffPage) -> float | None:
    """The number for no data in GDAL's tag (it may be NaN); None where there is no such tag, or no number in it."""
    value = page.tags.valueof(_NO_DATA)
    try:
        return float(str(value).strip(" \0").replace(",", ".")) if value is not None else None
    except ValueError:
        return None


def _ratio(page: tifffile.TiffPage, code: int) -> float:
    """Pixels per unit; 0 where the tag is missing or damaged."""
    value = page.tags.valueof(code)
    try:
        above, below = (int(part) for part in value)
        ratio = above / below
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return 0.0
    return ratio if 0 < ratio < math.inf else 0.0


def _geo(page: tifffile.TiffPage) -> dict[int, Any]:
    """The GeoTIFF tags; {} where one is damaged, since the others alone would give a wrong position."""
    found: dict[int, Any] = {}
    try:
        for code, kind in _GEO.items():
            value = page.tags.valueof(code)
            if value is None:
                continue
            if kind == 2:
                found[code] = str(value).encode("ascii").decode()
                continue
            numbers = np.atleast_1d(np.asarray(value, np.float64))
            whole = kind == 12 or bool(((numbers == np.round(numbers)) & (numbers >= 0) & (numbers <= 65535)).all())
            if not 0 < numbers.size <= _MOST_VALUES or not np.isfinite(numbers).all() or not whole:
                return {}
            found[code] = tuple(numbers.tolist()) if kind == 12 else tuple(map(int, numbers))
    except (ValueError, TypeError):
        return {}
    return found if found.keys() & {33550, 33922, 34264} else {}
