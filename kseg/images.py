"""Any picture or stack into arrays and back: orientation, bit depth, alpha, palettes.

What can't be read rightly is refused by name; nothing is scaled, cut or converted on the quiet.
"""

from __future__ import annotations

import errno
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from kseg.errors import DataError, EnvironmentFailure
from kseg.storage import aside

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".pgm", ".ppm"})
LOSSY = frozenset({"JPEG", "MPO", "WEBP"})
# What Pillow may open: of its other formats EPS would run Ghostscript, and of a TIFF only the first page be seen.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")
# The PGM and PPM whose numbers Pillow leaves as they are: binary, or in words.
_NETPBM = ("L", "RGB", "I;16B", ("L", 255), ("RGB", 255))
LARGEST_PAGE = 1 << 30
_PNG = b"\x89PNG\r\n\x1a\n"
_TOO_LARGE = "up to 2^30 values a page are read. Cut it into pieces."
# What the system, not the file, is to blame for. Anything else that a decoder raises is the file's fault.
_SURROUNDINGS = {errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE}
# TIFF compressions that give back what was put in: none, CCITT, LZW, deflate, PackBits, LZMA, Zstandard.
_EXACT = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}
# Bytes of one value of each TIFF type (0 and 14, 15: none).
_WIDTHS = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8, 0])
# Which axes an orientation tag (274) asks to exchange first, and which then to reverse.
_TURNS = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


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
            return _read_tiff(self.path, page, self.planes) if is_stack(self.path) else _read_picture(self.path)


def open_pages(path: str | Path) -> Pages:
    """The pages of the image file `path`, none of them decoded yet.

    Raises:
      DataError: the file is missing, empty, no image, or of a kind that is not read.
      EnvironmentFailure: there is no permission, or the disk fails.
    """
    path = Path(path)
    with _named(path):
        if path.is_dir():
            raise DataError(f"{path}: this is a folder, not an image. Name the files in it.")
        if not path.is_file():
            raise DataError(f"{path}: there is no such file.")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty (0 bytes). Copy it again from where it came.")
        if is_stack(path):
            return _open_tiff(path)
        with Image.open(path, formats=_FORMATS) as picture:
            pages = Pages(path, (1, picture.height, picture.width, len(picture.getbands())))
            if picture.format == "PPM" and picture.tile[0].args not in _NETPBM:
                raise DataError(
                    f"{path}: its white is neither 255 nor, in grey, 65,535, so that it would be scaled. "
                    "Save it as PNG or TIFF."
                )
            # A phone's JPEG (MPO) carries previews beside its picture; these formats carry a film.
            if picture.format in ("GIF", "WEBP", "PNG") and getattr(picture, "is_animated", False):
                raise DataError(f"{path}: an animation, of which one picture would be read. Save it as a TIFF stack.")
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
    pages = open_pages(path)
    if not 0 <= page < len(pages):
        raise IndexError(page)
    with _named(path):
        if is_stack(path):
            array = _read_tiff(path, page, pages.planes, as_stored=True)
        else:
            with Image.open(path, formats=_FORMATS) as picture:
                if picture.format in LOSSY:
                    raise DataError(
                        f"{path}: a label saved as {picture.format}, which blurs class numbers. "
                        "Export it again as PNG or TIFF."
                    )
                if picture.mode in ("P", "1", "L"):
                    stored = np.asarray(ImageOps.exif_transpose(picture)).astype(np.int32)
                    return stored // _step(path) if picture.mode == "L" else stored
            array = pages[page]
    first = array[..., :1]
    if array.shape[2] > 1 and not (array == first).all():
        colours = len(np.unique(array.reshape(-1, array.shape[2]), axis=0))
        raise DataError(
            f"{path}: the label holds {colours} colours, not class numbers. "
            "Save it as a grey or palette image whose values are 0, 1, 2, ..."
        )
    # float32 holds whole numbers up to 2^24
    if first.dtype.kind == "f" and not ((first == np.round(first)) & (np.abs(first) <= 1 << 24)).all():
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
    """Writes (H, W) or (H, W, 3) uint8, or (H, W) uint16, as PNG or whatever the ending says, whole or not at all."""
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
        if isinstance(error, DataError) or not isinstance(error, Exception):
            return
        if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
            raise EnvironmentFailure(f"{self.path}: can't be read ({error.strerror}).") from error
        if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
            raise DataError(f"{self.path}: {_TOO_LARGE}") from error
        if isinstance(error, UnidentifiedImageError | tifffile.TiffFileError):
            raise DataError(
                f"{self.path}: this is no image that can be read (PNG, JPEG, ...; TIFF by the ending .tif). "
                "Remove it from the folder, or export it again."
            ) from error
        if isinstance(error, MemoryError):
            raise DataError(
                f"{self.path}: too large for this machine's memory, or damaged. Cut it into pieces."
            ) from error
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(
            f"{self.path}: the image is truncated or damaged ({reason}). Copy or export it again."
        ) from error


def _check_extent(path: Path, page: tuple[int, ...]) -> None:
    if not 0 < math.prod(page) <= LARGEST_PAGE:
        raise DataError(f"{path}: a page of {' x '.join(map(str, page))} values; {_TOO_LARGE}")


def _open_tiff(path: Path) -> Pages:
    _check_whole(path)
    with tifffile.TiffFile(path) as file:
        count = len(file.pages)
        page = file.pages.first
        shape = page.shape
        slices = int((file.imagej_metadata or {}).get("images", 1)) if count == 1 else count
        if len(shape) not in (2, 3) or page.imagedepth != 1 or slices != count:
            raise DataError(
                f"{path}: {slices} slices in a TIFF page of {len(shape)} dimensions. "
                "Save it as a stack of two-dimensional pages."
            )
        planes = len(shape) == 3 and page.planarconfig == 2
        height, width, channels = (*shape[1:], shape[0]) if planes else (*shape, 1)[:3]
        # YCbCr is turned to RGB by the JPEG decoder alone
        if page.photometric not in (0, 1, 2, 3) and not (page.photometric == 6 and page.compression == 7):
            model = getattr(page.photometric, "name", page.photometric)
            raise DataError(f"{path}: a TIFF of colour model {model}. Convert it to grey or RGB.")
    _check_extent(path, shape)
    return Pages(path, (count, height, width, channels), planes)


def _check_whole(path: Path) -> None:
    """Raises ValueError unless every page's directory lies in the file: tifffile stops at the first that does not."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(16)
        if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise tifffile.TiffFileError("no TIFF")
        order, big = ("<" if head[:2] == b"II" else ">"), b"+" in head[2:4]
        counter, word = (order + "Q", order + "u8") if big else (order + "H", order + "u4")
        pointer = struct.Struct(order + ("Q" if big else "I"))
        entry = np.dtype([("tag", order + "u2"), ("type", order + "u2"), ("count", word), ("value", word)])
        (offset,) = pointer.unpack_from(head, 8 if big else 4)
        seen: set[int] = set()
        while offset:
            if offset in seen or offset >= size:
                raise ValueError(f"page {len(seen)} is not in the file")
            seen.add(offset)
            file.seek(offset)
            (count,) = struct.unpack(counter, file.read(struct.calcsize(counter)))
            if count * entry.itemsize > size:
                raise ValueError(f"page {len(seen) - 1} is not whole")
            tags = np.frombuffer(file.read(count * entry.itemsize), entry, count)
            (offset,) = pointer.unpack(file.read(pointer.size))
            wide = _WIDTHS[tags["type"].clip(max=len(_WIDTHS) - 1)]
            length = tags["count"].astype(np.float64) * wide
            if ((length > pointer.size) & (tags["value"] + length > size)).any():
                raise ValueError(f"page {len(seen) - 1} is not whole")


def _read_tiff(path: Path, number: int, planes: bool, *, as_stored: bool = False) -> np.ndarray:
    """Page `number`: as it is seen, or (a label) with the numbers that the file stores."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[number].aspage()
        _check_extent(path, page.shape)
        ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if len(ends) != math.prod(page.chunked) or max(ends) > path.stat().st_size:
            raise ValueError(f"the pixels of page {number} are not all in the file")
        if as_stored and page.compression not in _EXACT:
            model = getattr(page.compression, "name", page.compression)
            raise DataError(
                f"{path}: a label compressed as {model}, which may blur class numbers. Export it again without."
            )
        array = page.asarray()
        if array.shape != page.shape:  # empty, where tifffile does not know the type
            raise ValueError(f"page {number} has values of an unknown type")
        if page.photometric == 0 and not as_stored:
            if array.dtype.kind not in "bu":
                raise DataError(f"{path}: inverted grey levels of type {array.dtype}. Save it with black as 0.")
            array = ~array if array.dtype == np.bool_ else (1 << page.bitspersample) - 1 - array
        if page.photometric == 3 and page.colormap is not None and not as_stored:
            array = (np.moveaxis(page.colormap, 0, -1)[array] >> 8).astype(np.uint8)
        turn = page.tags.valueof(274, 1)
        alpha = page.extrasamples[-1:] in ((1,), (2,))
        perhaps = page.photometric == 2 and page.samplesperpixel == 4  # some writers don't say what the fourth is
    if planes:
        array = np.moveaxis(array, 0, -1)
    array = _turned(_plain(array if array.ndim == 3 else array[..., None], path), turn)
    return _opaque(array, path) if alpha or perhaps and not _clear(array).any() else array


def _read_picture(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        head = file.read(26)
    with Image.open(path, formats=_FORMATS) as stored:
        if head[:8] == _PNG and head[24:25] == b"\x10":
            array = imagecodecs.png_decode(path.read_bytes())  # Pillow cuts 16-bit colour to 8
            array = array if array.ndim == 3 else array[..., None]
            return _opaque(_turned(_plain(array, path), stored.getexif().get(274, 1)), path)
        picture: Image.Image = ImageOps.exif_transpose(stored)
        if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            raise DataError(f"{path}: an image of colour model {picture.mode}. Convert it to grey or RGB.")
        if "transparency" in picture.info and picture.mode in ("1", "L", "P", "RGB"):
            picture = picture.convert("RGBA" if picture.mode in ("P", "RGB") else "LA")
        if picture.mode in ("P", "1", "PA", "La", "RGBa"):
            picture = picture.convert({"P": "RGB", "1": "L", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}[picture.mode])
        array = np.asarray(picture)
    return _opaque(_plain(array if array.ndim == 3 else array[..., None], path), path)


def _step(path: Path) -> int:
    """What Pillow multiplies the grey levels of a PNG of 2 or 4 bits by; 1 for all other files."""
    with open(path, "rb") as file:
        head = file.read(26)
    return {b"\x02\0": 85, b"\x04\0": 17}.get(head[24:26], 1) if head[:8] == _PNG else 1


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """`array` (H, W, C) as its orientation tag says that it is to be seen."""
    exchange, reverse = _TURNS.get(orientation, (False, ()))
    return np.ascontiguousarray(np.flip(array.swapaxes(0, 1) if exchange else array, reverse))


def _plain(array: np.ndarray, path: Path) -> np.ndarray:
    """`array` in native byte order as uint8, uint16 or float32, where that loses nothing."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 65535:
        return array.astype(np.uint16)
    if array.dtype.kind == "f" and (np.abs(array) <= np.finfo(np.float32).max).all():
        return array.astype(np.float32)
    raise DataError(
        f"{path}: values of type {array.dtype} from {array.min()} to {array.max()}. "
        "Save it with 8 or 16 bits, or as finite float32."
    )


def _opaque(array: np.ndarray, path: Path) -> np.ndarray:
    """`array` without its alpha channel, which must say nothing."""
    if array.shape[2] not in (2, 4):
        return array
    clear = _clear(array)
    if not clear.any():
        return np.ascontiguousarray(array[..., :-1])
    raise DataError(
        f"{path}: an image with an alpha channel, {clear.mean():.1%} of it transparent. "
        "Flatten it onto a background first: what lies below is not defined."
    )


def _clear(array: np.ndarray) -> np.ndarray:
    """Where the last channel of `array` (H, W, C), taken as alpha, is not opaque: (H, W) bool."""
    return array[..., -1] != (1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max)
