"""Orientation tags: an image is shown as its tag says, but its label may have been drawn on the stored pixels."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

from kseg.errors import Doubt, Setting

Drawn = Literal["follow", "stored"]
_PNG = b"\x89PNG\r\n\x1a\n"
# Texts in which a PNG may hold a tag beside eXIf.
_TEXTS = (b"Raw profile type", b"XML:com.adobe.xmp")


def may_be_tagged(path: Path) -> bool:
    """Whether a picture may hold an orientation tag. To find that of a PNG, Pillow would decode the whole file."""
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
    """Whether the tag changes the size of an image (H, W)."""
    return tag >= 5 and shape[0] != shape[1]


def turn_of_label(seen: tuple[int, ...], label: tuple[int, ...], tag: int, drawn: Drawn | None) -> int | None:
    """The orientation tag that turns a label without a tag onto its image; None where that can't be known.

    Args:
      seen: (H, W) of the image after its tag was followed.
      label: (H, W) of the label.
      tag: the image's.
      drawn: what the label was drawn on, as a person says: the image as its tag turns it ("follow"), or the stored
        pixels ("stored").

    Returns:
      1 where the label lies on the image already, `tag` where it must be turned as the image.
    """
    if tag == 1:
        return 1
    if sizes_tell(seen, tag):
        return tag if label == seen[::-1] else 1
    return {"follow": 1, "stored": tag, None: None}[drawn]


def question_of_label(tag: int) -> Doubt:
    """The question whether the label of an image with this tag was drawn on the image as it is seen or as stored."""
    kind = "turned" if tag in (3, 5, 6, 7, 8) else "mirrored"
    return Doubt(
        f"the label's image is {kind} by its orientation tag (EXIF, {tag}), and nothing tells whether the label was "
        "drawn on the image as it is seen or as it is stored.",
        (
            "Look at one pair, then pass ",
            Setting("data.orientation", "follow"),
            " where the label lies on the image as photo viewers show it, ",
            Setting("data.orientation", "stored"),
            " where it lies on the stored pixels, as Fiji, OpenCV and most tools for TIFF show them.",
        ),
    )
