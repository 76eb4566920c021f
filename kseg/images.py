"""Any picture or stack into arrays and back: orientation, bit depth, alpha, palettes.

What can't be read rightly is refused by name; nothing is scaled, cut or converted on the quiet.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from kseg.errors import DataError
from kseg.storage import aside

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".pgm", ".ppm"})
LOSSY = frozenset({".jpg", ".jpeg"})
LARGEST_PAGE = 1 << 30
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    tifffile.TiffFileError,
    Image.DecompressionBombError,
    cv2.error,
)


def is_image(path: Path) -> bool:
    """Whether a name looks like an image's; hidden files (.DS_Store, ._a.jpg) are none."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def is_stack(path: Path) -> bool:
    """Whether the file is a TIFF, which may hold several pages."""
    return path.suffix.lower() in {".tif", ".tiff"}


@dataclass(frozen=True)
class Pages:
    """The pages of an image file, read one at a time.

    `shape` is (pages, H, W, C) as stored, before an orientation tag is followed.
    """

    path: Path
    shape: tuple[int, int, int, int]
    planes: bool = False

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, page: int) -> np.ndarray:
        """Page `page` as (H, W, C) uint8, uint16 or float32."""
        if not 0 <= page < len(self):
            raise IndexError(page)
        with _named(self.path):
            array = _read_tiff(self.path, page, self.planes) if is_stack(self.path) else _read_picture(self.path)
        return _opaque(array, self.path)


def open_pages(path: str | Path) -> Pages:
    """The pages of the image file `path`, none of them decoded yet.

    Raises:
      DataError: the file is missing, empty, no image, or of a kind that is not read.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Copy it again from where it came.")
    with _named(path):
        if is_stack(path):
            return _open_tiff(path)
        with Image.open(path) as picture:
            pages = Pages(path, (1, picture.height, picture.width, len(picture.getbands())))
    _check_extent(path, pages.shape[1:])
    return pages


def read_image(path: str | Path, page: int = 0) -> np.ndarray:
    """One page of an image file as (H, W, C) uint8, uint16 or float32.

    An EXIF orientation is followed; a palette becomes colours; an alpha channel that is opaque
    everywhere is dropped.

    Raises:
      DataError: the file can't be read, or its alpha channel, colour model or depth has no plain meaning.
    """
    return open_pages(path)[page]


def read_label(path: str | Path, page: int = 0) -> np.ndarray:
    """One page of a label file as (H, W) int32: the numbers as stored, palette indices for palette files.

    Raises:
      DataError: the file can't be read, is compressed with loss (JPEG), or holds colours.
    """
    path = Path(path)
    if path.suffix.lower() in LOSSY:
        raise DataError(f"{path}: a label saved as JPEG, which blurs class numbers. Export it again as PNG or TIFF.")
    pages = open_pages(path)
    with _named(path):
        if not is_stack(path):
            with Image.open(path) as picture:
                if picture.mode in ("P", "1"):
                    return np.asarray(picture).astype(np.int32)
    array = pages[page]
    first = array[..., :1]
    if array.shape[2] > 1 and not (array == first).all():
        colours = len(np.unique(array.reshape(-1, array.shape[2]), axis=0))
        raise DataError(
            f"{path}: the label holds {colours} colours, not class numbers. "
            "Save it as a grey or palette image whose values are 0, 1, 2, ..."
        )
    if first.dtype.kind == "f" and not (first == np.round(first)).all():
        raise DataError(f"{path}: the label holds fractions. Labels are whole numbers, one per class or object.")
    return first[..., 0].astype(np.int32)


def with_channels(image: np.ndarray, channels: int, name: str) -> np.ndarray:
    """`image` (H, W, C) with `channels` channels: grey repeated, or three equal channels taken once.

    Raises:
      DataError: neither applies; `name` says which file.
    """
    found = image.shape[-1]
    if found == channels:
        return image
    if found == 1 and channels == 3:
        return np.repeat(image, 3, axis=-1)
    if found == 3 and channels == 1:
        if (image == image[..., :1]).all():
            return image[..., :1]
        raise DataError(
            f"{name}: a colour image, but the network takes one grey channel. "
            "Convert it, or train a network on colour images."
        )
    raise DataError(
        f"{name}: {found} channels, but the network takes {channels}. Give it images like those it was trained on."
    )


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Writes (H, W) or (H, W, 3) uint8 as PNG or whatever the ending says, whole or not at all."""
    with aside(path) as place:
        Image.fromarray(image).save(place)


@contextmanager
def stack_writer(path: str | Path) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends a page (H, W) or (H, W, 3) to the TIFF `path`, which is whole or absent in the end."""
    with aside(path) as place, tifffile.TiffWriter(place) as writer:

        def write(page: np.ndarray) -> None:
            kind = "minisblack" if page.ndim == 2 else "rgb"
            writer.write(page, compression="zlib", photometric=kind, contiguous=False, metadata=None)

        yield write


class _named:
    """Turns what readers raise on broken files into one sentence that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        Image.MAX_IMAGE_PIXELS = LARGEST_PAGE

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataError) or not isinstance(error, _BROKEN):
            return
        if isinstance(error, PermissionError):
            raise DataError(f"{self.path}: there is no permission to read it.") from error
        if isinstance(error, UnidentifiedImageError | tifffile.TiffFileError):
            raise DataError(
                f"{self.path}: this is no image that can be read (PNG, JPEG, TIFF, ...). "
                "Remove it from the folder, or export it again."
            ) from error
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(
            f"{self.path}: the image is truncated or damaged ({reason}). Copy or export it again."
        ) from error


def _check_extent(path: Path, page: tuple[int, ...]) -> None:
    if not 0 < math.prod(page) <= LARGEST_PAGE:
        raise DataError(f"{path}: a page of {' x '.join(map(str, page))} values; up to 2^30 are read at once.")


def _open_tiff(path: Path) -> Pages:
    with tifffile.TiffFile(path) as file:
        count = len(file.pages)
        page = file.pages.first
        shape = page.shape
        if len(shape) == 2:
            extent, planes = (count, *shape, 1), False
        elif len(shape) == 3 and page.planarconfig == 2:
            extent, planes = (count, *shape[1:], shape[0]), True
        elif len(shape) == 3:
            extent, planes = (count, *shape), False
        else:
            raise DataError(
                f"{path}: a TIFF page of {len(shape)} dimensions. Save it as a stack of two-dimensional pages."
            )
        if page.photometric not in (0, 1, 2, 3, 6):
            model = tifffile.PHOTOMETRIC(page.photometric).name
            raise DataError(f"{path}: a TIFF of colour model {model}. Convert it to grey or RGB.")
    _check_extent(path, extent[1:])
    return Pages(path, extent, planes)


def _read_tiff(path: Path, number: int, planes: bool) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        page = file.pages[number].aspage()
        _check_extent(path, page.shape)
        array = page.asarray()
        if page.photometric == 0:
            array = np.iinfo(array.dtype).max - array
        if page.photometric == 3 and page.colormap is not None:
            array = np.moveaxis(page.colormap, 0, -1)[array]
            array = (array >> 8).astype(np.uint8)
    if planes:
        array = np.moveaxis(array, 0, -1)
    return _plain(array if array.ndim == 3 else array[..., None], path)


def _read_picture(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        head = file.read(26)
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) == 26 and head[24] == 16:
        array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # Pillow cuts 16-bit colour to 8
        if array is None:
            raise ValueError("the 16-bit PNG does not decode")
        array = array if array.ndim == 3 else array[..., None]
        order = {1: [0], 2: [0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[2]]
        return _plain(array[..., order], path)
    with Image.open(path) as stored:
        picture: Image.Image = ImageOps.exif_transpose(stored)
        if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            raise DataError(f"{path}: an image of colour model {picture.mode}. Convert it to grey or RGB.")
        if picture.mode == "P":
            picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
        if picture.mode in ("1", "PA", "La", "RGBa"):
            picture = picture.convert({"1": "L", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}[picture.mode])
        array = np.asarray(picture)
    return _plain(array if array.ndim == 3 else array[..., None], path)


def _plain(array: np.ndarray, path: Path) -> np.ndarray:
    """`array` in native byte order as uint8, uint16 or float32, where that loses nothing."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 65535:
        return array.astype(np.uint16)
    if array.dtype.kind == "f" and np.isfinite(array).all():
        return array.astype(np.float32)
    raise DataError(
        f"{path}: values of type {array.dtype} from {array.min()} to {array.max()}. "
        "Save it with 8 or 16 bits, or as finite float32."
    )


def _opaque(array: np.ndarray, path: Path) -> np.ndarray:
    """`array` without its alpha channel, which must say nothing."""
    if array.shape[2] not in (2, 4) or (is_stack(path) and array.dtype.kind == "f"):
        return array
    alpha = array[..., -1]
    if (alpha == np.iinfo(array.dtype).max).all():
        return np.ascontiguousarray(array[..., :-1])
    if is_stack(path):
        return array
    clear = float((alpha != np.iinfo(array.dtype).max).mean())
    raise DataError(
        f"{path}: an image with an alpha channel, {clear:.1%} of it transparent. "
        "Flatten it onto a background first: what lies below is not defined."
    )
