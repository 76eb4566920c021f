"""Image files into arrays."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from kseg.errors import DataError, EnvironmentFailure, KsegError, Setting, in_a_line
from kseg.images.arrays import check_extent, opaque, plain, turned
from kseg.images.errors import DamagedFile, LossyLabel
from kseg.images.orientation import may_be_tagged
from kseg.images.portable import read_head, read_portable
from kseg.images.tiff.axes import check_axes
from kseg.images.tiff.origin import Origin
from kseg.images.tiff.slices import Tiff, open_tiff, read_slice, why_whole_slices

ENDINGS = frozenset(
    (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".j2k", ".avif", ".tga", ".pcx")
    + (".pbm", ".pgm", ".ppm", ".pnm", ".pfm")
)
LOSSY = frozenset({"JPEG", "MPO", "WEBP", "JPEG2000", "AVIF"})
# What Pillow may open. It would run Ghostscript on an EPS, and read only the first page of a TIFF.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF", "QOI")
# Files of these formats have no bytes that identify them.
_BY_ENDING = {".tga": "TGA", ".pcx": "PCX"}
# Several pictures in these formats are a film. A phone's JPEG (MPO) may have previews beside its picture.
_FILMS = ("GIF", "WEBP", "PNG", "AVIF")
# Pillow would cut the 16 bits of these formats to 8.
_DEEP: dict[str, Callable[[bytes], np.ndarray]] = {
    "JPEG2000": imagecodecs.jpeg2k_decode,
    "AVIF": imagecodecs.avif_decode,
}
# Known formats that are not read, by their first bytes.
_OTHERS = {
    b"\x76\x2f\x31\x01": "an OpenEXR file",
    b"\0\0\1\0": "an icon",
    b"\xff\x0a": "a JPEG XL file",
    b"8BPS": "a Photoshop file",
    b"%PDF": "a PDF",
}
_LONGEST_JPEG = 65500  # the longest side that Pillow's libjpeg-turbo takes; that of imagecodecs takes more
_PNG = b"\x89PNG\r\n\x1a\n"
# Errors that are the system's fault. All others that a decoder raises are the file's.
_SURROUNDINGS = {errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE}


def is_image(path: Path) -> bool:
    """Whether a file's name is that of an image; hidden files (.DS_Store, ._a.jpg) are no images."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def is_stack(path: Path) -> bool:
    """Whether the file is a TIFF, which may hold several pages."""
    return path.suffix.lower() in {".tif", ".tiff"}


def stem_of(path: Path) -> str:
    """A file's name without its ending (x of x.ome.tif). Image, label and result have the same."""
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
        """Slice `page`, and the pixels at which it has no data, (H, W) bool; None where every pixel has data."""
        if not 0 <= page < len(self):
            raise IndexError(page)
        with named(self.path):
            if self.tiff is not None:
                return read_slice(self.path, self.tiff, page, alpha=self.alpha)
            return read_only_page(self.path, self.alpha), None

    def read_rows(self, page: int, rows: range) -> tuple[np.ndarray, np.ndarray | None]:
        """The same as `read` for some rows of slice `page`; only where `why_whole` is empty."""
        assert self.tiff is not None
        with named(self.path):
            return read_slice(self.path, self.tiff, page, alpha=self.alpha, rows=rows)

    @cached_property
    def why_whole(self) -> str:
        """Why the slices can't be read by rows, as the end of a sentence; "" where they can."""
        if self.tiff is None:
            return "only TIFF can be read in parts"
        with named(self.path):
            return why_whole_slices(self.path, self.tiff, alpha=self.alpha)

    @cached_property
    def orientation(self) -> int:
        """The orientation tag, 1..8; 1 where there is none."""
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
        """The size of the pixels, and where on earth they lie."""
        return Origin() if self.tiff is None else self.tiff.origin

    def for_channels(self, channels: int) -> Pages:
        """The file as a network with so many channels takes it, where the file leaves that open.

        A channel called alpha counts as the others where the network needs it. Pages that the file says nothing about
        are channels where there are exactly as many; but one or three may be slices of grey.

        Raises:
          DataError: its pages are channels, but not as many as the network takes.
        """
        together = 1 if self.tiff is None else len(self.tiff.slices[0])
        if together > 1 and self.shape[3] != channels > 0:
            slices = f"{len(self)} slice{'s' * (len(self) > 1)}"
            what = f"{self.path}: its pages are {self.shape[3]} channels of {slices}, but the network takes {channels}."
            raise DataError(what, "Where the pages are slices, pass ", Setting("axes", "ZYX"), ".")
        if self.shape[3] == channels in (2, 4):
            return replace(self, alpha=True)
        if self.tiff is None or self.tiff.is_stated or channels in (1, 3):
            return self
        return open_pages(self.path, axes="CYX", by_rows=True) if (len(self), self.shape[3]) == (channels, 1) else self


def open_pages(path: str | Path, *, axes: str | None = None, alpha: bool = False, by_rows: bool = False) -> Pages:
    """Opens the image file `path` and decodes none of its slices yet.

    Args:
      path: the file.
      axes: what the pages of a TIFF are, the outermost first: CYX for channels, ZYX for slices, ZCYX for slices of
        channels. None for what the file itself says; where it says nothing each page is a slice.
      alpha: whether a channel that the file calls alpha is one like the others, as near infrared often is.
      by_rows: whether a TIFF may have pages above 2^30 values, which only `read_rows` reads.

    Raises:
      ConfigError: `axes` are not such letters.
      DataError: the file is missing, empty, no image, or of a kind that is not read.
      EnvironmentFailure: there is no permission, or the disk fails.
    """
    path = Path(path)
    check_axes(axes)
    with named(path):
        check_file(path)
        if is_stack(path):
            tiff = open_tiff(path, axes, by_rows=by_rows)
            return Pages(path, tiff.shape, tiff, alpha)
        if head := read_head(path):
            check_extent(path, head.shape)
            return Pages(path, (1, *head.shape))
        with _opened(path) as picture:
            return Pages(path, (1, *_checked_shape(picture, path)), alpha=alpha)


def read_image(path: str | Path, page: int = 0) -> np.ndarray:
    """One page of an image file as (H, W, C) uint8, uint16 or float32.

    An EXIF orientation is followed, a palette becomes colours, and an alpha channel that is opaque everywhere is
    dropped.

    Raises:
      DataError: the file can't be read, or the meaning of its alpha channel, colour model or depth is not clear.
    """
    path = Path(path)
    if page or is_stack(path):
        return open_pages(path)[page]
    with named(path):  # opened once, not twice
        check_file(path)
        return read_only_page(path)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turns the errors of decoders into errors that name the file."""
    try:
        yield
    except KsegError:
        raise
    except Exception as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> DataError | EnvironmentFailure:
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        return EnvironmentFailure(f"{path}: can't be read ({error.strerror}).")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return DataError(f"{path}: too large a {path.suffix[1:]} for Pillow ({error}).", "Save it as PNG or TIFF.")
    if isinstance(error, UnidentifiedImageError | tifffile.TiffFileError):
        if kind := _foreign(path):
            return DataError(f"{path}: this is {kind}, which is not read.", "Save it as PNG or TIFF.")
        return DataError(
            f"{path}: this is no image that can be read (PNG, JPEG, ...; TIFF by the ending .tif).",
            "Remove it from the folder, or export it again.",
        )
    if isinstance(error, MemoryError):
        return DataError(f"{path}: too large for this machine's memory, or damaged.", "Cut it into pieces.")
    what = f"{path}: the image is truncated or damaged ({in_a_line(error, 120)})."
    return DamagedFile(what, "Copy or export it again.")


def check_file(path: Path) -> None:
    """Raises DataError where there is no file, or an empty one."""
    if path.is_dir():
        raise DataError(f"{path}: this is a folder, not an image.", "Name the files in it.")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        raise DamagedFile(f"{path}: the file is empty (0 bytes).", "Copy it again from where it came.")


def _foreign(path: Path) -> str | None:
    """The format of a file that is not read, where it is known."""
    with open(path, "rb") as file:
        head = file.read(132)
    if head[4:8] == b"ftyp":
        return "a HEIC file or film"
    if head[128:] == b"DICM":
        return "a DICOM file"
    return next((name for first, name in _OTHERS.items() if head.startswith(first)), None)


def _opened(path: Path) -> ImageFile.ImageFile:
    """Opens the file with Pillow and decodes no pixel.

    This does what Image.open does, but without its limit on the number of pixels. That limit belongs to the whole
    process, is lower than kseg's, and also warns. `_checked_shape` checks kseg's own limit.
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
        if open_format is not None and accepted and not isinstance(accepted, str):  # a str names a missing library
            with suppress(SyntaxError):  # Pillow raises it for a file of another format
                return open_format(path, None)  # type: ignore[arg-type]  # typed for names as bytes
    raise UnidentifiedImageError


def _checked_shape(picture: ImageFile.ImageFile, path: Path) -> tuple[int, int, int]:
    """(H, W, C) of a file that Pillow has opened.

    Raises:
      DataError: the file is a film, or too large.
      ValueError: its head is damaged.
    """
    if picture.format in _FILMS and getattr(picture, "is_animated", False):
        raise DataError(
            f"{path}: an animation, and only one of its pictures would be read.", "Save it as a TIFF stack."
        )
    if picture.format == "PPM" and picture.mode != "1":  # portable.py reads these, unless their head is damaged
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
    """The numbers of a label (H, W) int32 in a file with a palette or at most 8 bits of grey; None for other files."""
    with _opened(path) as picture:
        _checked_shape(picture, path)
        if picture.format in LOSSY:
            what = f"{path}: a label saved as {picture.format}, which blurs class numbers."
            raise LossyLabel(what, "Export it again as PNG or TIFF.")
        if picture.mode not in ("P", "1", "L"):
            return None
        stored = np.asarray(ImageOps.exif_transpose(picture)).astype(np.int32)
        return stored // _step(path) if picture.mode == "L" else stored


def read_only_page(path: Path, alpha: bool = False) -> np.ndarray:
    """The image (H, W, C) in a file that is no TIFF; `alpha` as `open_pages` takes it."""
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
    """The pixels (H, W, C) uint8 of a plain JPEG, decoded by imagecodecs; None where Pillow must decode it.

    imagecodecs takes 60 % of Pillow's time (measured at 500 x 375), and JPEGs are what training on photographs waits
    for. Both use libjpeg-turbo and give the same pixels. But where the file was cut off, imagecodecs fills the rest
    with grey and raises nothing. So it gets only files of which nothing can be missing: not progressive, all channels
    in one scan, and an end-of-image marker at the end. Pillow has read the file up to the pixels of its first scan.
    """
    channels = {"L": 1, "RGB": 3}.get(stored.mode, 0) if stored.format == "JPEG" else 0
    if not channels or "progressive" in stored.info or max(stored.size) > _LONGEST_JPEG or stored.fp is None:
        return None
    start = stored.fp.tell()
    stored.fp.seek(0)
    data = stored.fp.read()
    # The head of a scan ends with its number of channels, two bytes for each channel, and three bytes more.
    if not data.endswith(b"\xff\xd9", start) or data[start - 2 * channels - 4] != channels:
        return None
    shape = (stored.height, stored.width, channels)
    try:
        array = imagecodecs.jpeg8_decode(data)
    except imagecodecs.Jpeg8Error:
        return None
    return array.reshape(shape) if array.dtype == np.uint8 and array.size == np.prod(shape) else None


def _step(path: Path) -> int:
    """The factor by which Pillow multiplies the grey levels of a PNG of 2 or 4 bits; 1 for all other files."""
    with open(path, "rb") as file:
        head = file.read(26)
    return {b"\x02\0": 85, b"\x04\0": 17}.get(head[24:26], 1) if head[:8] == _PNG else 1
