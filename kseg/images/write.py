"""Writes arrays into image files, whole or not at all."""

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
    """Writes an image in the format of the path's ending, whole or not at all.

    Args:
      path: the file.
      image: (H, W) or (H, W, 3) uint8, or (H, W) uint16.
      palette: (256, 3) uint8, RGB: the colour of each number of an (H, W) uint8 `image`.
    """
    picture = Image.fromarray(image)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    with aside(path) as new:
        picture.save(new)


@contextmanager
def stack_writer(
    path: str | Path,
    origin: Origin | None = None,
    *,
    pages: int = 1,
    channels: int = 1,
    no_data: str | None = None,
) -> Iterator[Callable[[np.ndarray], None]]:
    """Gives a function that appends a page (H, W) or (H, W, 3) to the TIFF `path`, which ends whole or absent.

    Args:
      path: the file.
      origin: of the image on which viewers are to show the pages. Pages are given as that image is seen.
      pages: the number of slices that will be written, for the description that Fiji reads.
      channels: the number of maps of each slice; each is a page, one after the other.
      no_data: the number that marks pixels without data; None where there are none.
    """
    origin = origin or Origin()
    text, tags = origin.description(pages, channels), origin.tags(no_data)
    first = {} if text is None else {"description": text}
    unit: dict[str, Any] = {}
    if origin.resolution:
        unit = {"resolution": origin.resolution[:2], "resolutionunit": origin.resolution[2]}
    with aside(path) as new, tifffile.TiffWriter(new) as writer:

        def write(page: np.ndarray) -> None:
            kind = "minisblack" if page.ndim == 2 else "rgb"
            about = {**first, **unit, "extratags": tags, "metadata": None}
            page = as_stored(page, origin.orientation)
            writer.write(page, compression="zlib", photometric=kind, contiguous=False, **about)
            first.clear()

        yield write
