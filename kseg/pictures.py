"""Pictures for people: overlays, strips, legends, sheets. They are not used for measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

import cv2
import numpy as np

SEPARATOR = 4
HEADER = 22
SMALLEST_PANEL, LARGEST_PANEL = 256, 1024  # the longer side of a picture in a strip is scaled to be between these
SCREEN = 1600  # text grows with wider pictures, so that it can be read when the whole picture is shown
ENOUGH = 1 << 20  # about so many pixels are used to find how a picture is stretched
DARK = 128  # 8-bit pictures whose brightest pixels are below this are stretched
MISSED, FALSE, WRONG, SPLIT, MERGED, EDGE_MISSED, EDGE_FALSE = range(1, 8)  # kinds of errors
# Red, green and blue by kind. People who can't see red or green can tell them apart, too.
ERROR_COLOURS = (
    (0, 0, 0), (255, 60, 40), (60, 160, 255), (255, 190, 40), (255, 225, 60), (225, 90, 255), (140, 50, 40),
    (45, 90, 140),
)  # fmt: skip
STRONG = 0.5  # the tint with which many classes can be told apart
_NOTHING_THERE = ("background", "0", "class 0", "unlabelled", "unlabeled", "other", "none")


Colours = Sequence[Sequence[int]]  # red, green and blue, 0..255, of class 0, 1, ...; () for PASCAL VOC's


def palette(own: Colours = ()) -> np.ndarray:
    """The colour of each number: (256, 3) uint8, RGB; `own` for the first numbers, PASCAL VOC's for the others.

    Source: the VOC development kit's colour map: bit b of a channel, from the top, is bit 3b (+0, 1, 2) of the number.
    """
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1).astype(np.uint8) << (7 - bit)
    if len(own):
        colours[: len(own)] = own
    return colours


def for_display(image: np.ndarray) -> np.ndarray:
    """(H, W, C) of any depth as (H, W, 3) uint8: grey is repeated; of four and more channels the first three are shown.

    Levels are stretched between the 0.1 and 99.9 percentiles, unless the image has 8 bits and is not dark, or has only
    one level.
    """
    image = image[..., :3] if image.shape[2] >= 3 else image[..., :1]
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // ENOUGH))
    values = image[::step, ::step]
    values = values[np.isfinite(values)] if image.dtype.kind == "f" else values
    low, high = np.percentile(values, (0.1, 99.9)) if values.size else (0, 0)
    is_plain = image.dtype == np.uint8 or (image.dtype.kind in "iu" and image.shape[2] == 3)
    if not (is_plain and (DARK <= high <= 255 or low == high <= 255)):
        image = (np.nan_to_num(image.astype(np.float64)) - low) / max(high - low, 1e-9) * 255
    image = image.clip(0, 255).astype(np.uint8)
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)


def planes(image: np.ndarray) -> dict[str, np.ndarray]:
    """The pictures of (H, W, C): that of its colours under "", and one for each further channel, by its number."""
    beyond = range(3, image.shape[2]) if image.shape[2] > 3 else range(1, 2) if image.shape[2] == 2 else ()
    return {"": for_display(image), **{f"channel {number}": for_display(image[..., number, None]) for number in beyond}}


def colours_of(numbers: np.ndarray, own: Colours = ()) -> np.ndarray:
    """The colours with which `overlay` draws numbers: (..., 3) float32, RGB; 256 has the colour of 1, and so on.

    The palette's colours are made brighter, since dark ones can't be seen on dark images.
    """
    return 60 + 0.76 * palette(own)[np.where(numbers > 0, 1 + (numbers - 1) % 255, 0)].astype(np.float32)


@cache
def object_colours() -> Colours:
    """256 colours for objects, none of them grey or white, which are colours of images."""
    known = palette()[1:].astype(int)
    coloured = known[known.max(axis=1) - known.min(axis=1) >= 96]
    return [[0, 0, 0], *np.resize(coloured, (255, 3)).tolist()]


def in_number(count: int, word: str) -> str:
    """A count with its word: 1 object, 2 objects."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def clear_class(classes: Sequence[str]) -> int | None:
    """The class that an overlay does not draw: 0, if there are two classes or its name means background; else None."""
    return 0 if len(classes) <= 2 or classes[0].lower() in _NOTHING_THERE else None


def overlay(
    image: np.ndarray, numbers: np.ndarray, *, clear: int | None = 0, tint: float = 0.28, own: Colours = ()
) -> np.ndarray:
    """The image with its classes or objects tinted and outlined in their colours.

    Args:
      image: (H, W, C).
      numbers: (H, W) integers: class ids or objects.
      clear: the number that is not drawn; None to draw all.
      tint: the colour's share of a pixel inside, 0..1.
      own: colours of the classes.

    Returns:
      (H, W, 3) uint8, RGB.
    """
    picture = for_display(image).astype(np.float32)
    colours = colours_of(numbers, own)
    inside = np.ones(numbers.shape, bool) if clear is None else numbers != clear
    picture[inside] = (1 - tint) * picture[inside] + tint * colours[inside]
    numbers = numbers.astype(np.uint16)
    edge = cv2.erode(numbers, np.ones((3, 3), np.uint8)) != cv2.dilate(numbers, np.ones((3, 3), np.uint8))
    picture[inside & edge] = colours[inside & edge]
    return picture.astype(np.uint8)


def alike(objects: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """`objects` renumbered, so that each has the number, and so the colour, of the true object that it overlaps most.

    Args:
      objects, truth: (H, W) integers, 0 background, one number per object.

    Returns:
      (H, W) int32. Only one object gets the number of a true one; the others have numbers above the true ones.
    """
    numbers = np.zeros(int(objects.max()) + 1, np.int32)
    both = (objects > 0) & (truth > 0)
    pairs, sizes = np.unique(np.stack([objects[both], truth[both]]), axis=1, return_counts=True)
    taken: set[int] = set()
    for index in np.argsort(-sizes, kind="stable"):
        found, true = pairs[:, index].tolist()
        if not numbers[found] and true not in taken:
            numbers[found] = true
            taken.add(true)
    others = [number for number in np.unique(objects).tolist() if number and not numbers[number]]
    numbers[others] = int(truth.max()) + 1 + np.arange(len(others))
    return numbers[objects]


def strip(
    image: np.ndarray,
    truth: np.ndarray,
    prediction: np.ndarray,
    errors: np.ndarray,
    *,
    clear: int | None = 0,
    tint: float = 0.28,
    own: Colours = (),
    said: tuple[str, str] = ("truth", "prediction"),
) -> np.ndarray:
    """Input, truth, prediction and errors, each under its name: side by side, or for wide images one below the other.

    Small pictures are enlarged by a whole factor until their longer side reaches 256, large ones reduced to 1024.

    Args:
      image: (H, W, C).
      truth, prediction: (H, W) integers: class ids or objects.
      errors: (H, W) integers, 0 where the prediction is right, else the kind of error, which has a colour.
      clear, tint, own: as in `overlay`.
      said: the names above truth and prediction.

    Returns:
      (height, width, 3) uint8, RGB.
    """
    shown = for_display(image)
    error = (shown * 0.45).astype(np.uint8)
    wrong = errors > 0
    error[wrong] = np.array(ERROR_COLOURS, np.uint8)[errors[wrong].astype(int)]
    panels = {
        "input": shown,
        said[0]: overlay(image, truth, clear=clear, tint=tint, own=own),
        said[1]: overlay(image, prediction, clear=clear, tint=tint, own=own),
        f"errors: {wrong.mean():.1%} of pixels": error,
    }
    height, width = wrong.shape
    return sheet(_in_reach(panels), columns=1 if width >= 2 * height else len(panels))


def _in_reach(panels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pictures of one size, large enough to be seen, and small enough to be shown side by side."""
    longest = max(next(iter(panels.values())).shape[:2])
    factor = -(-SMALLEST_PANEL // longest)
    return {name: fitted(panel, min(factor * longest, LARGEST_PANEL)) for name, panel in panels.items()}


def fitted(picture: np.ndarray, longest: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 whose longer side is `longest`, or a little less if it is enlarged."""
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture.repeat(int(scale), 0).repeat(int(scale), 1)
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def legend(
    names: Mapping[int, str], width: int, *, clear: int | None = 0, own: Colours = (), exact: bool = False
) -> np.ndarray:
    """Each number's colour beside its name, in as many columns as fit: (H, W, 3) uint8.

    Args:
      names: by number.
      width: pixels; the legend is wider if a name needs more.
      clear: the number that overlays do not draw; its box is empty.
      own: colours of the classes.
      exact: whether `own` are drawn unchanged, and not brighter as in overlays.
    """
    size = _word_size(width)
    widest = max(_text_width(name, size) for name in names.values()) + round(40 * size)
    width = max(width, widest)
    columns = max(1, min(len(names), width // widest))
    rows, line = -(-len(names) // columns), round(HEADER * size)
    picture = np.full((rows * line + SEPARATOR, width, 3), 255, np.uint8)
    across, down = round(22 * size), round(14 * size)
    for index, (number, name) in enumerate(names.items()):
        left, top = 4 + (index // rows) * (width // columns), 4 + (index % rows) * line
        drawn = palette(own)[number] if exact else colours_of(np.array(number), own)
        colour = (255, 255, 255) if number == clear else tuple(drawn.astype(int).tolist())
        cv2.rectangle(picture, (left, top), (left + across, top + down), colour, cv2.FILLED)
        cv2.rectangle(picture, (left, top), (left + across, top + down), (90, 90, 90), 1)
        _write(picture, name, (left + round(28 * size), top + round(12 * size)), size)
    return picture


def drawn_classes(image: np.ndarray, ids: np.ndarray, names: Sequence[str], own: Colours = ()) -> np.ndarray:
    """The image with its classes tinted and outlined; for three or more classes, the names of those in it below.

    Args:
      image: (H, W, C).
      ids: (H, W) integers, 0..K-1.
      names: the names of the K classes.
      own: their colours.

    Returns:
      (H + legend, W, 3) uint8, RGB.
    """
    if len(names) <= 2:
        return overlay(image, ids, own=own)
    clear = clear_class(names)
    picture = overlay(image, ids, clear=clear, tint=STRONG, own=own)
    seen = {int(number): names[number] for number in np.unique(ids)}
    return stacked(picture, legend(seen, picture.shape[1], clear=clear, own=own))


def stacked(*pictures: np.ndarray) -> np.ndarray:
    """Pictures (H, W, 3) uint8 one below the other; narrower ones are filled up with white."""
    widest = max(each.shape[1] for each in pictures)
    return np.vstack(
        [np.pad(each, ((0, 0), (0, widest - each.shape[1]), (0, 0)), constant_values=255) for each in pictures]
    )


def png(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8, RGB, as the bytes of a PNG file."""
    # OpenCV's default makes files five times as large in the same time; Pillow's default takes three times as long.
    return cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def jpeg(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8, RGB, as the bytes of a JPEG file: nearly exact, in a tenth of PNG's time and size."""
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def _word_size(width: int) -> float:
    """The scale of text in a picture of this width; 1 is the size on a screen."""
    return max(1.0, width / SCREEN)


def _write(picture: np.ndarray, text: str, corner: tuple[int, int], size: float) -> None:
    """Writes `text` into `picture`, its lower left corner at `corner` (column, row)."""
    text = text.encode("ascii", "replace").decode()  # the font has no other characters
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * size, (0, 0, 0), round(size), cv2.LINE_AA)


def _text_width(text: str, size: float) -> int:
    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * size, round(size))[0][0]


def side_by_side(panels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of any sizes in a row, each under its name."""
    return sheet(panels, columns=len(panels))


def sheet(panels: Mapping[str, np.ndarray], columns: int = 4) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of any sizes in rows of `columns`, each under its full name.

    A column is as wide as its widest picture or name, so that the pictures are aligned.
    """
    named = list(panels.items())
    rows = [named[start : start + columns] for start in range(0, len(named), columns)]
    size = _word_size(max(sum(panel.shape[1] for _, panel in row) for row in rows))
    widths = [
        max(max(panel.shape[1], _text_width(name, size) + 8) for name, panel in named[column::columns])
        for column in range(min(columns, len(named)))
    ]
    header, pictures = round(HEADER * size), list[np.ndarray]()
    for row in rows:
        tallest = max(panel.shape[0] for _, panel in row)
        picture = np.full((header + tallest + SEPARATOR, sum(widths) + SEPARATOR * len(widths), 3), 255, np.uint8)
        left = 0
        for (name, panel), width in zip(row, widths, strict=False):
            picture[header : header + panel.shape[0], left : left + panel.shape[1]] = panel
            _write(picture, name, (left + 4, round(15 * size)), size)
            left += width + SEPARATOR
        pictures.append(picture)
    return np.vstack(pictures)[:-SEPARATOR, :-SEPARATOR]
