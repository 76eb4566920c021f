"""Arrays into image files, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

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
def stack_writer(path: str | Path) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends a page (H, W) or (H, W, 3) to the TIFF `path`, which is whole or absent in the end."""
    with aside(path) as place, tifffile.TiffWriter(place) as writer:

        def write(page: np.ndarray) -> None:
            kind = "minisblack" if page.ndim == 2 else "rgb"
            writer.write(page, compression="zlib", photometric=kind, contiguous=False, metadata=None)

        yield write
