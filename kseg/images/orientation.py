"""Orientation tags: an image is seen as its tag says; whether its label was drawn so must be established."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

from kseg.errors import Advice, Doubt, Setting

Drawn = Literal["follow", "stored"]
_PNG = b"\x89PNG\r\n\x1a\n"
# Texts in which a PNG may hold a tag beside eXIf.
_TEXTS = (b"Raw profile type", b"XML:com.adobe.xmp")


# What a person passes who has looked.
FIXES_OF_ORIENTATION: Advice = (
    Setting("data.orientation", "follow"),
    " where the label lies on the image as photo viewers show it, ",
    Setting("data.orientation", "stored"),
    " where it lies on the stored pixels, as Fiji, OpenCV and most tools for TIFF show them",
)


def may_be_tagged(path: Path) -> bool:
    """Whether a picture may hold an orientation tag; of a PNG Pillow would decode the whole to know."""
    with open(path, "rb") as file:
        if file.read(8) != _PNG:
            return True
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return True
            text = file.read(20) if kind in (b"iTXt", b"tEXt", b"zTXt") else b""
            if text.startswith(_TEXTS):
                return True
            file.seek(length + 4 - len(text), 1)
    return False


def sizes_tell(shape: tuple[int, ...], tag: int) -> bool:
    """Whether an image (H, W) with this tag has another size as seen than as stored."""
    return tag >= 5 and shape[0] != shape[1]


def turn_of_label(seen: tuple[int, ...], label: tuple[int, ...], tag: int, drawn: Drawn | None) -> int | None:
    """The orientation tag by which a label without one comes to lie on its image; None where nothing tells.

    Args:
      seen: (H, W) of the image as it is seen, its tag followed.
      label: (H, W) of the label.
      tag: the image's.
      drawn: what a person says: on the image as its tag turns it ("follow"), or on the pixels as stored.

    Returns:
      1 where it lies there already, `tag` where it must be turned as the image.
    """
    if tag == 1:
        return 1
    if sizes_tell(seen, tag):
        return tag if label == seen[::-1] else 1
    return {"follow": 1, "stored": tag, None: None}[drawn]


def question_of_label(name: str, tag: int) -> Doubt:
    """The question whether the label `name` was drawn on the image as it is seen, where nothing tells it."""
    kind = "turned" if tag in (3, 5, 6, 7, 8) else "mirrored"
    return Doubt(
        f"{name}: the label's image is {kind} by its orientation tag (EXIF, {tag}), and nothing tells whether the "
        "label was drawn on the image as it is seen or as it is stored.",
        ("Look at one pair, then pass ", *FIXES_OF_ORIENTATION, "."),
    )
