"""Arrays into image files, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from kseg.images.arrays import as_stored
from kseg.images.tiff.origin import Origin
from kseg.storage import aside


def write_image(path: str | Path, image: np.ndarray, *, palette: np.ndarray | None = None) -> None:
    """Writes (H, W) or (H, W, 3) uint8, or (H, W) uint16, as PNG or whatever the ending says, whole or not at all.

    Args:
      path: where to.
      image: the pixels.
      palette: (256, 3) uint8, RGB: what colour each number of an (H, W) uint8 `image` is shown in.
    """
    picture = Image.fromarray(image)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    with aside(path) as place:
        picture.save(place)


@contextmanager
def stack_writer(
    path: str | Path,
    origin: Origin | None = None,
    *,
    pages: int = 1,
    channels: int = 1,
    no_data: str | None = None,
) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends a page (H, W) or (H, W, 3) to the TIFF `path`, which is whole or absent in the end.

    Args:
      path: where to.
      origin: of the image that the pages are to open over; they are given as that is seen.
      pages: slices that will be written, for the description that Fiji reads.
      channels: maps of each slice, one page each, one after the other.
      no_data: the number that marks pixels without data; None where there are none.
    """
    origin = origin or Origin()
    text, tags = origin.description(pages, channels), origin.tags(no_data)
    first = {} if text is None else {"description": text}
    unit: dict[str, Any] = {}
    if origin.resolution:
        unit = {"resolution": origin.resolution[:2], "resolutionunit": origin.resolution[2]}
    with aside(path) as place, tifffile.TiffWriter(place) as writer:

        def write(page: np.ndarray) -> None:
            kind = "minisblack" if page.ndim == 2 else "rgb"
            about = {**first, **unit, "extratags": tags, "metadata": None}
            page = as_stored(page, origin.orientation)
            writer.write(page, compression="zlib", photometric=kind, contiguous=False, **about)
            first.clear()

        yield write
