"""Image files into arrays."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from kseg.errors import DataError, EnvironmentFailure, Setting, in_a_line
from kseg.images.arrays import check_extent, opaque, plain, turned
from kseg.images.errors import DamagedFile, LossyLabel
from kseg.images.orientation import may_be_tagged
from kseg.images.portable import read_head, read_portable
from kseg.images.tiff.axes import check_axes
from kseg.images.tiff.origin import Origin
from kseg.images.tiff.slices import Tiff, open_tiff, read_slice

ENDINGS = frozenset(
    (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".j2k", ".avif", ".tga", ".pcx")
    + (".pbm", ".pgm", ".ppm", ".pnm", ".pfm")
)
LOSSY = frozenset({"JPEG", "MPO", "WEBP", "JPEG2000", "AVIF"})
# What Pillow may open: of its other formats EPS would run Ghostscript, and of a TIFF only the first page be seen.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF", "QOI")
# Without bytes that tell them from any other file.
_BY_ENDING = {".tga": "TGA", ".pcx": "PCX"}
# A phone's JPEG (MPO) carries previews beside its picture; these formats carry a film.
_FILMS = ("GIF", "WEBP", "PNG", "AVIF")
# Where Pillow would cut 16 bits to 8.
_DEEP: dict[str, Callable[[bytes], np.ndarray]] = {
    "JPEG2000": imagecodecs.jpeg2k_decode,
    "AVIF": imagecodecs.avif_decode,
}
# What is known and not read, by its first bytes.
_OTHERS = {
    b"\x76\x2f\x31\x01": "an OpenEXR file",
    b"\0\0\1\0": "an icon",
    b"\xff\x0a": "a JPEG XL file",
    b"8BPS": "a Photoshop file",
    b"%PDF": "a PDF",
}
_LONGEST_JPEG = 65500  # pixels of a side that libjpeg-turbo takes; imagecodecs' own copy takes more
_PNG = b"\x89PNG\r\n\x1a\n"
# What the system, not the file, is to blame for. Anything else that a decoder raises is the file's fault.
_SURROUNDINGS = {errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE}


def is_image(path: Path) -> bool:
    """Whether a name looks like an image's; hidden files (.DS_Store, ._a.jpg) are none."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def is_stack(path: Path) -> bool:
    """Whether the file is a TIFF, which may hold several pages."""
    return path.suffix.lower() in {".tif", ".tiff"}


def stem_of(path: Path) -> str:
    """A file's name without its ending, by which image, label and result belong together; x of x.ome.tif."""
    return path.stem[:-4] if is_stack(path) and path.stem.lower().endswith(".ome") else path.stem


@dataclass(frozen=True)
class Pages:
    """The slices of an image file, read one at a time.

    `shape` is (slices, H, W, C) as stored, before an orientation tag is followed.
    """

    path: Path
    shape: tuple[int, int, int, int]
    tiff: Tiff | None = None
    alpha: bool = False

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, page: int) -> np.ndarray:
        """Slice `page` as (H, W, C) uint8, uint16 or float32; 0 where it has no data."""
        return self.read(page)[0]

    def read(self, page: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Slice `page`, and where it has no data, (H, W) bool; None where it has all."""
        if not 0 <= page < len(self):
            raise IndexError(page)
        with named(self.path):
            if self.tiff is not None:
                return read_slice(self.path, self.tiff, page, alpha=self.alpha)
            return read_only_page(self.path, self.alpha), None

    @cached_property
    def orientation(self) -> int:
        """The orientation tag, 1..8, that is followed; 1, as it is, where there is none."""
        if self.tiff is not None:
            return self.tiff.origin.orientation
        with named(self.path):
            return tag_of(self.path)

    @property
    def no_data(self) -> float | None:
        """The number that marks pixels without data; None where there is none."""
        return None if self.tiff is None else self.tiff.no_data

    @property
    def origin(self) -> Origin:
        """The size of the pixels, and their place."""
        return Origin() if self.tiff is None else self.tiff.origin

    def for_channels(self, channels: int) -> Pages:
        """The file as a network of so many channels takes it, where the file leaves that open.

        A channel called alpha is one like the others where only with it there are enough. Pages that nothing says
        anything of are channels where there are as many; three may as well be slices of grey.

        Raises:
          DataError: its pages are channels, and not as many.
        """
        together = 1 if self.tiff is None else len(self.tiff.slices[0])
        if together > 1 and self.shape[3] != channels > 0:
            raise DataError(
                f"{self.path}: its pages are {self.shape[3]} channels of {len(self)} slice{'s' * (len(self) > 1)}, but "
                f"the network takes {channels}.",
                "Where the pages are slices, pass ",
                Setting("axes", "ZYX"),
                ".",
            )
        if self.shape[3] == channels in (2, 4):
            return replace(self, alpha=True)
        if self.tiff is None or self.tiff.is_stated or channels in (1, 3):
            return self
        return open_pages(self.path, axes="CYX") if (len(self), self.shape[3]) == (channels, 1) else self


def open_pages(path: str | Path, *, axes: str | None = None, alpha: bool = False) -> Pages:
    """The slices of the image file `path`, none of them decoded yet.

    Args:
      path: the file.
      axes: what the pages of a TIFF are, the outermost first: CYX for channels, ZYX for slices, ZCYX for slices of
        channels. None for what the file itself says; where it says nothing each page is a slice.
      alpha: whether a channel that the file calls alpha is one like the others (near infrared, often).

    Raises:
      ConfigError: `axes` are no such letters.
      DataError: the file is missing, empty, no image, or of a kind that is not read.
      EnvironmentFailure: there is no permission, or the disk fails.
    """
    path = Path(path)
    check_axes(axes)
    with named(path):
        check_file(path)
        if is_stack(path):
            tiff = open_tiff(path, axes)
            return Pages(path, tiff.shape, tiff, alpha)
        if head := read_head(path):
            check_extent(path, head.shape)
            return Pages(path, (1, *head.shape))
        with _opened(path) as picture:
            return Pages(path, (1, *_checked_shape(picture, path)), alpha=alpha)


def read_image(path: str | Path, page: int = 0) -> np.ndarray:
    """One page of an image file as (H, W, C) uint8, uint16 or float32.

    An EXIF orientation is followed; a palette becomes colours; an alpha channel that is opaque
    everywhere is dropped.

    Raises:
      DataError: the file can't be read, or its alpha channel, colour model or depth has no plain meaning.
    """
    path = Path(path)
    if page or is_stack(path):
        return open_pages(path)[page]
    with named(path):  # opened once, not twice
        check_file(path)
        return read_only_page(path)


class named:
    """Turns what readers raise on broken files into one sentence that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataError) or not isinstance(error, Exception):
            return
        if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
            raise EnvironmentFailure(f"{self.path}: can't be read ({error.strerror}).") from error
        if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
            raise DataError(
                f"{self.path}: too large a {self.path.suffix[1:]} for Pillow ({error}).", "Save it as PNG or TIFF."
            ) from error
        if isinstance(error, UnidentifiedImageError | tifffile.TiffFileError):
            kind = _foreign(self.path)
            if kind:
                raise DataError(
                    f"{self.path}: this is {kind}, which is not read.", "Save it as PNG or TIFF."
                ) from error
            raise DataError(
                f"{self.path}: this is no image that can be read (PNG, JPEG, ...; TIFF by the ending .tif).",
                "Remove it from the folder, or export it again.",
            ) from error
        if isinstance(error, MemoryError):
            raise DataError(
                f"{self.path}: too large for this machine's memory, or damaged.", "Cut it into pieces."
            ) from error
        raise DamagedFile(
            f"{self.path}: the image is truncated or damaged ({in_a_line(error, 120)}).", "Copy or export it again."
        ) from error


def check_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path}: this is a folder, not an image.", "Name the files in it.")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        raise DamagedFile(f"{path}: the file is empty (0 bytes).", "Copy it again from where it came.")


def _foreign(path: Path) -> str | None:
    """What a file is that is none of the formats read, where that is known."""
    with open(path, "rb") as file:
        head = file.read(132)
    if head[4:8] == b"ftyp":
        return "a HEIC file or film"
    if head[128:] == b"DICM":
        return "a DICOM file"
    return next((name for first, name in _OTHERS.items() if head.startswith(first)), None)


def _opened(path: Path) -> ImageFile.ImageFile:
    """The file as Pillow sees it, no pixel decoded.

    As Image.open, but without its bound on the number of pixels, which is the whole process's, lies below kseg's and
    warns as well. `_checked_shape` holds kseg's own, from the same head.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    Image.preinit()
    named = _BY_ENDING.get(path.suffix.lower())
    for name in (*_FORMATS, named) if named else _FORMATS:
        if name not in Image.OPEN:
            Image.init()
        open_format, accepts = Image.OPEN.get(name, (None, None))
        accepted = accepts is None or accepts(head)
        if open_format is not None and accepted and not isinstance(accepted, str):  # a text says what Pillow lacks
            with suppress(SyntaxError):  # how it says that this is no such file
                return open_format(path, None)  # type: ignore[arg-type]  # typed for names as bytes
    raise UnidentifiedImageError


def _checked_shape(picture: ImageFile.ImageFile, path: Path) -> tuple[int, int, int]:
    """(H, W, C) of a file that Pillow has opened, and that may be read."""
    if picture.format in _FILMS and getattr(picture, "is_animated", False):
        raise DataError(f"{path}: an animation, of which one picture would be read.", "Save it as a TIFF stack.")
    if picture.format == "PPM" and picture.mode != "1":  # of which kseg.images.portable could not read the head
        raise ValueError("its head is no PGM's, PPM's or PFM's")
    shape = picture.height, picture.width, len(picture.getbands())
    check_extent(path, shape)
    return shape


def tag_of(path: Path) -> int:
    """The orientation tag of a file that is no TIFF, 1..8; 1 where there is none."""
    if read_head(path) or not may_be_tagged(path):
        return 1
    with _opened(path) as picture:
        tag = picture.getexif().get(274, 1)
    return tag if tag in range(1, 9) else 1


def stored_numbers(path: Path) -> np.ndarray | None:
    """The numbers of a label (H, W) int32 as a file with a palette, or 8 bits or fewer of grey, stores them."""
    with _opened(path) as picture:
        _checked_shape(picture, path)
        if picture.format in LOSSY:
            raise LossyLabel(
                f"{path}: a label saved as {picture.format}, which blurs class numbers.",
                "Export it again as PNG or TIFF.",
            )
        if picture.mode not in ("P", "1", "L"):
            return None
        stored = np.asarray(ImageOps.exif_transpose(picture)).astype(np.int32)
        return stored // _step(path) if picture.mode == "L" else stored


def read_only_page(path: Path, alpha: bool = False) -> np.ndarray:
    """What a file that is no stack holds, (H, W, C); `alpha` as `open_pages` takes it."""
    head = read_head(path)
    return plain(read_portable(path, head), path) if head else _read_picture(path, alpha)


def _read_picture(path: Path, alpha: bool) -> np.ndarray:
    kept = (lambda array, _: array) if alpha else opaque
    with open(path, "rb") as file:
        head = file.read(26)
    with _opened(path) as stored:
        height, width, _ = _checked_shape(stored, path)
        if stored.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            raise DataError(f"{path}: an image of colour model {stored.mode}.", "Convert it to grey or RGB.")
        deep = imagecodecs.png_decode if head[:8] == _PNG and head[24:25] == b"\x10" else _DEEP.get(stored.format or "")
        if deep:
            array = deep(path.read_bytes())
            array = array if array.ndim == 3 else array[..., None]
            if array.shape[:2] != (height, width):
                raise ValueError(f"{array.shape[0]} x {array.shape[1]} pixels, where its head says otherwise")
            return kept(turned(plain(array, path), stored.getexif().get(274, 1)), path)
        decoded = _quick_jpeg(stored)
        if decoded is not None:
            return turned(decoded, stored.getexif().get(274, 1))
        picture: Image.Image = ImageOps.exif_transpose(stored)
        if "transparency" in picture.info and picture.mode in ("1", "L", "P", "RGB"):
            picture = picture.convert("RGBA" if picture.mode in ("P", "RGB") else "LA")
        if picture.mode in ("P", "1", "PA", "La", "RGBa"):
            picture = picture.convert({"P": "RGB", "1": "L", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}[picture.mode])
        array = np.asarray(picture)
    return kept(plain(array if array.ndim == 3 else array[..., None], path), path)


def _quick_jpeg(stored: ImageFile.ImageFile) -> np.ndarray | None:
    """The pixels (H, W, C) uint8 of a plain JPEG, in two thirds of Pillow's time; None where it is not plain.

    Both hand the file to libjpeg-turbo, but imagecodecs paints grey what is cut off, and says nothing. So it gets only
    what can't be cut off: one scan, behind whose head (where Pillow stopped) the file goes on to an end-of-image
    marker. What imagecodecs refuses Pillow refuses as well, in its own words.
    """
    channels = {"L": 1, "RGB": 3}.get(stored.mode, 0) if stored.format == "JPEG" else 0
    if not channels or "progressive" in stored.info or max(stored.size) > _LONGEST_JPEG or stored.fp is None:
        return None
    start = stored.fp.tell()
    stored.fp.seek(0)
    data = stored.fp.read()
    # The scan's head ends with how many channels it holds, two bytes for each of them, and three bytes.
    if not data.endswith(b"\xff\xd9", start) or data[start - 2 * channels - 4] != channels:
        return None
    shape = (stored.height, stored.width, channels)
    try:
        array = imagecodecs.jpeg8_decode(data)
    except imagecodecs.Jpeg8Error:
        return None
    return array.reshape(shape) if array.dtype == np.uint8 and array.size == np.prod(shape) else None


def _step(path: Path) -> int:
    """What Pillow multiplies the grey levels of a PNG of 2 or 4 bits by; 1 for all other files."""
    with open(path, "rb") as file:
        head = file.read(26)
    return {b"\x02\0": 85, b"\x04\0": 17}.get(head[24:26], 1) if head[:8] == _PNG else 1
