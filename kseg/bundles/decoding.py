"""Encoded images inside a TensorFlow graph: the bytes of a PNG or JPEG, read as kseg.images reads such a file.

The head of a file is read first: its kind, size, depth and orientation. A picture that claims more than a limit of
pixels is refused before its pixels are decoded. What the decoder refuses itself becomes an answer too, so that one bad
image spoils no other one of the same request.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from kseg.images.arrays import TURNS

_SCANNED = 2**20  # bytes and segments of a file in which an orientation is looked for
_SEGMENTS = 2000
_ORIENTATION = 0x0112  # a tag of EXIF
_IN_TEXT = r"\C*tiff:Orientation\s*[=>]\s*[\"']?\s*[2-8]\C*"  # of XMP; "." would match no byte that is no UTF-8
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Head(NamedTuple):
    """What the head of a file says; scalars.

    Attributes:
      height, width: pixels as stored, int32; 0 where it is no PNG or JPEG.
      depth: bits of a value.
      channels: of a JPEG; 0 where the decoder tells.
      orientation: the tag, 1..8.
    """

    height: tf.Tensor
    width: tf.Tensor
    depth: tf.Tensor
    channels: tf.Tensor
    orientation: tf.Tensor


def decoded(data: tf.Tensor, channels: int, kind: tf.DType, most_pixels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The picture in the bytes of a file, for a network.

    Args:
      data: scalar string.
      channels: those that the network takes.
      kind: the type of its images: uint8, uint16 or float32.
      most_pixels: a picture that claims more is refused before its pixels are decoded.

    Returns:
      (H, W, channels) of type `kind`, and "" as a scalar string; (0, 0, channels), and what is wrong.
    """
    codes = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, _SCANNED), tf.uint8), tf.int32)
    is_png = tf.equal(tf.strings.substr(data, 0, 8), _SIGNATURE)
    is_jpeg = tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")
    nothing = Head(*(tf.constant(number) for number in (0, 0, 0, 0, 1)))
    head = tf.case([(is_png, lambda: _of_png(codes)), (is_jpeg, lambda: _of_jpeg(codes))], lambda: nothing)
    pixels = tf.cast(head.height, tf.int64) * tf.cast(head.width, tf.int64)
    most_bits = 8 if kind == tf.uint8 else 16
    fault = _first(
        (~(is_png | is_jpeg), "This is no PNG or JPEG."),
        ((pixels < 1) | (head.height < 1), "Its head is damaged."),
        (pixels > most_pixels, f"It has more than {most_pixels:,} pixels."),
        (head.depth > most_bits, "It has 16 bits, but the network takes 8."),
        (is_jpeg & (head.channels != 1) & (head.channels != 3), "It is a JPEG of four colours. Save it as RGB."),
        (
            (head.orientation == 1) & tf.strings.regex_full_match(tf.strings.substr(data, 0, _SCANNED), _IN_TEXT),
            "Its orientation stands in XMP alone, which is not read. Turn the pixels themselves.",
        ),
    )
    picture, fault = tf.cond(
        tf.equal(fault, ""),
        lambda: _decoded(data, head, is_jpeg, channels, kind),
        lambda: (tf.zeros((0, 0, channels), kind), fault),
    )
    return tf.ensure_shape(picture, (None, None, channels)), fault


def _decoded(
    data: tf.Tensor, head: Head, is_jpeg: tf.Tensor, channels: int, kind: tf.DType
) -> tuple[tf.Tensor, tf.Tensor]:
    """The picture, or what is wrong with its pixels."""

    def deep() -> tf.Tensor:
        return tf.cast(tf.io.decode_png(data, channels=0, dtype=tf.uint16), tf.int32)

    def flat() -> tf.Tensor:
        found = tf.cond(
            is_jpeg,
            lambda: tf.io.decode_jpeg(data, channels=0, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(data, channels=0),
        )
        return tf.cast(found, tf.int32)  # few operations take uint16

    def read(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cond(head.depth > 8, deep, flat), True

    # A data set of one element is the way to an error that a graph survives.
    data_set = tf.data.Dataset.from_tensors(data).map(read).ignore_errors()
    failed = tf.data.Dataset.from_tensors((tf.zeros((0, 0, 1), tf.int32), False))
    stored, is_read = data_set.concatenate(failed).take(1).get_single_element()
    found = tf.shape(stored)[2]
    white = tf.where(head.depth > 8, 65535, 255)
    is_clear = tf.reduce_any(stored[..., -1:] != white)
    has_alpha = ((found == 2) | (found == 4)) & (found != channels)
    bare = tf.cond(has_alpha & is_read, lambda: stored[..., : found - 1], lambda: stored)
    count = tf.shape(bare)[2]
    is_grey = tf.reduce_all(bare == bare[..., :1])
    fits = (count == channels) | ((count == 1) & (channels == 3)) | ((count == 3) & (channels == 1))
    fault = _first(
        (~is_read, "It is truncated or damaged."),
        (has_alpha & is_clear, "It has transparent pixels. Flatten it onto a background."),
        ((count == 3) & (channels == 1) & ~is_grey, "It is a colour image, but the network takes one grey channel."),
        (~fits, tf.strings.format("It has {} channels, but the network takes {}.", (count, channels))),
    )

    def picture() -> tf.Tensor:
        shaped = tf.repeat(bare, channels, axis=2) if channels == 3 else bare
        shaped = tf.cond(count == channels, lambda: bare, lambda: shaped[..., :channels])
        return tf.cast(_turned(shaped, head.orientation), kind)

    return tf.cond(tf.equal(fault, ""), picture, lambda: tf.zeros((0, 0, channels), kind)), fault


def _first(*cases: tuple[tf.Tensor, tf.Tensor | str]) -> tf.Tensor:
    """The text of the first case that holds; "" where none does."""
    found = tf.constant("")
    for holds, text in reversed(cases):
        found = tf.where(holds, text, found)
    return found


def _turned(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """The picture as its orientation tag shows it (kseg.images.arrays.turned)."""

    def turn(tag: int) -> tf.Tensor:
        exchange, reverse = TURNS.get(tag, (False, ()))
        found = tf.transpose(picture, (1, 0, 2)) if exchange else picture
        return tf.reverse(found, reverse) if reverse else found

    return tf.switch_case(orientation - 1, [lambda tag=tag: turn(tag) for tag in range(1, 9)])


def _number(codes: tf.Tensor, at: tf.Tensor | int, count: int, little: tf.Tensor | bool = False) -> tf.Tensor:
    """The unsigned number in `count` bytes from `at`, int32; bytes beyond the end are 0. Large ones become -1."""
    places = at + tf.range(count)
    inside = (places >= 0) & (places < tf.size(codes))
    found = tf.where(inside, tf.gather(codes, tf.clip_by_value(places, 0, tf.maximum(tf.size(codes) - 1, 0))), 0)
    found = tf.cast(tf.where(little, tf.reverse(found, [0]), found), tf.int64)
    number = tf.reduce_sum(found * tf.constant([256**power for power in reversed(range(count))], tf.int64))
    return tf.cast(tf.where(number < 2**31, number, -1), tf.int32)


def _of_png(codes: tf.Tensor) -> Head:
    """The head of a PNG, and the orientation in its chunk eXIf."""

    def is_before_the_end(at: tf.Tensor, tag: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        return (at + 12 <= tf.size(codes)) & (count < _SEGMENTS) & (tag == 0)

    def next_chunk(at: tf.Tensor, tag: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, ...]:
        length, kind = _number(codes, at, 4), _number(codes, at + 4, 4)
        is_exif = kind == int.from_bytes(b"eXIf", "big")
        tag = tf.cond(is_exif, lambda: _tag_in_tiff(codes, at + 8), lambda: tag)
        after = tf.where((length < 0) | (length > _SCANNED), tf.size(codes), at + 12 + length)
        return after, tag, count + 1

    _, tag, _ = tf.while_loop(is_before_the_end, next_chunk, (tf.constant(8), tf.constant(0), tf.constant(0)))
    return Head(_number(codes, 20, 4), _number(codes, 16, 4), _number(codes, 24, 1), tf.constant(0), _settled(tag))


def _of_jpeg(codes: tf.Tensor) -> Head:
    """The head of a JPEG: the size in its frame, and the orientation in its EXIF."""

    def is_before_the_pixels(at: tf.Tensor, height: tf.Tensor, width: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
        return (at + 4 <= tf.size(codes)) & (others[-1] < _SEGMENTS) & (height == 0)

    def next_segment(
        at: tf.Tensor, height: tf.Tensor, width: tf.Tensor, channels: tf.Tensor, tag: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        is_marker, marker, length = codes[at] == 0xFF, codes[at + 1], _number(codes, at + 2, 2)
        is_fill, is_alone = marker == 0xFF, (marker == 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        apart = tf.reduce_any(marker == tf.constant([0xC4, 0xC8, 0xCC]))
        is_frame = (marker >= 0xC0) & (marker <= 0xCF) & ~apart
        is_exif = (marker == 0xE1) & (_number(codes, at + 4, 3) == 0x457869) & (_number(codes, at + 7, 3) == 0x660000)
        tag = tf.cond(is_exif & (tag == 0), lambda: _tag_in_tiff(codes, at + 10), lambda: tag)
        height = tf.where(is_frame, _number(codes, at + 5, 2), height)
        width = tf.where(is_frame, _number(codes, at + 7, 2), width)
        channels = tf.where(is_frame, _number(codes, at + 9, 1), channels)
        after = tf.where(is_fill, at + 1, tf.where(is_alone, at + 2, at + 2 + tf.maximum(length, 2)))
        return tf.where(is_marker, after, tf.size(codes)), height, width, channels, tag, count + 1

    start = tuple(tf.constant(number) for number in (2, 0, 0, 0, 0, 0))
    _, height, width, channels, tag, _ = tf.while_loop(is_before_the_pixels, next_segment, start)
    return Head(height, width, tf.constant(8), channels, _settled(tag))


def _tag_in_tiff(codes: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of a TIFF that begins at `start`; 0 where there is none."""
    little = (_number(codes, start, 2) == 0x4949) & (_number(codes, start + 2, 2, True) == 42)
    big = (_number(codes, start, 2) == 0x4D4D) & (_number(codes, start + 2, 2) == 42)
    first = _number(codes, start + 4, 4, little)
    first = start + tf.where((first >= 0) & (first < _SCANNED), first, _SCANNED)
    count = tf.minimum(_number(codes, first, 2, little), 500)

    def entry(number: tf.Tensor) -> tf.Tensor:
        at = first + 2 + 12 * number
        is_tag = (_number(codes, at, 2, little) == _ORIENTATION) & (_number(codes, at + 2, 2, little) == 3)
        return tf.where(is_tag, _number(codes, at + 8, 2, little), 0)

    def goes_on(number: tf.Tensor, tag: tf.Tensor) -> tf.Tensor:
        return (little | big) & (number < count) & (tag == 0)

    return tf.while_loop(goes_on, lambda number, _: (number + 1, entry(number)), (tf.constant(0), tf.constant(0)))[1]


def _settled(tag: tf.Tensor) -> tf.Tensor:
    return tf.where((tag >= 1) & (tag <= 8), tag, 1)
