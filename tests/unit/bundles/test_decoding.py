"""Files decoded inside a graph, beside those that kseg.images reads."""

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kseg.bundles.decoding import decoded
from kseg.errors import DataError
from kseg.images import with_channels
from kseg.images.read import open_pages

MOST = 10_000


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Files of many kinds, whole and damaged, by name."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    colour = rng.integers(0, 255, (37, 53, 3)).astype(np.uint8)
    grey, deep = colour[..., 0], rng.integers(0, 65535, (37, 53)).astype(np.uint16)
    opaque = np.full(grey.shape, 255, np.uint8)
    whole = Image.fromarray(colour)
    for name, array in {
        "colour": colour,
        "grey": grey,
        "deep": deep,
        "equal": np.repeat(grey[..., None], 3, axis=2),
        "opaque": np.dstack([colour, opaque]),
        "grey_opaque": np.dstack([grey, opaque]),
        "clear": np.dstack([colour, grey]),
    }.items():
        Image.fromarray(array).save(folder / f"{name}.png")
    whole.quantize(16).save(folder / "palette.png")
    Image.fromarray(grey > 100).save(folder / "bits.png")
    whole.save(folder / "key.png", transparency=(0, 0, 0))
    whole.save(folder / "colour.jpg", quality=90)
    Image.fromarray(grey).save(folder / "grey.jpg")
    whole.save(folder / "progressive.jpg", progressive=True)
    whole.save(folder / "sampled.jpg", subsampling=0)
    whole.convert("CMYK").save(folder / "cmyk.jpg")
    for tag in range(1, 9):
        for order in ("<", ">"):
            exif = Image.Exif()
            exif.endian = order
            exif[0x0112] = tag
            name = f"turned_{tag}_{'little' if order == '<' else 'big'}"
            whole.save(folder / f"{name}.jpg", exif=exif)
            whole.save(folder / f"{name}.png", exif=exif)
    data = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("colour.png", "colour.jpg"):
        (folder / f"cut_{name}").write_bytes(data[name][: len(data[name]) // 2])
        (folder / f"head_{name}").write_bytes(data[name][:40])
    flipped = bytearray(data["colour.png"])
    flipped[60] ^= 255
    (folder / "flipped.png").write_bytes(bytes(flipped))
    (folder / "junk.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "junk.jpg").write_bytes(b"\xff\xd8\xff" + rng.bytes(3000))
    (folder / "empty.png").write_bytes(b"")
    bomb = bytearray(data["colour.png"])
    bomb[16:24] = struct.pack(">II", 60000, 60000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    (folder / "bomb.png").write_bytes(bytes(bomb))
    return {path.name: path for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", [tf.uint8, tf.uint16, tf.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_file_has_the_pixels_that_predict_reads_or_an_error_where_predict_has_one(pictures, channels, kind):
    graph = tf.function(
        lambda data: decoded(data, channels, kind, MOST), input_signature=[tf.TensorSpec((), tf.string)]
    )
    read = 0
    for name, path in pictures.items():
        picture, fault = graph(path.read_bytes())
        try:
            expected = with_channels(open_pages(path).for_channels(channels)[0], channels, name)
        except DataError:
            expected = None
        if name == "deep.png" and kind == tf.uint8:  # predict warns, and its mask means little
            expected = None
        if expected is None:
            assert fault.numpy() and picture.shape == (0, 0, channels), name
        else:
            read += 1
            assert fault.numpy() == b"", (name, fault)
            np.testing.assert_array_equal(picture, expected.astype(kind.as_numpy_dtype), err_msg=name)
    assert read >= (2 if channels == 4 else 5)


def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded(pictures):
    fault = decoded(pictures["bomb.png"].read_bytes(), 3, tf.uint8, MOST)[1]
    assert fault.numpy() == b"It has more than 10,000 pixels."
    assert decoded(pictures["colour.png"].read_bytes(), 3, tf.uint8, 37 * 53 - 1)[1].numpy()
    assert not decoded(pictures["colour.png"].read_bytes(), 3, tf.uint8, 37 * 53)[1].numpy()


def test_an_orientation_that_stands_in_a_text_alone_is_refused(tmp_path):
    text = b'http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    marked = data[:2] + b"\xff\xe1" + struct.pack(">H", len(text) + 2) + text + data[2:]
    assert b"Its orientation stands in XMP alone" in decoded(marked, 3, tf.uint8, MOST)[1].numpy()
    assert not decoded(marked.replace(b'"6"', b'"1"'), 3, tf.uint8, MOST)[1].numpy()


def test_random_bytes_never_break_the_graph():
    graph = tf.function(lambda data: decoded(data, 3, tf.uint8, MOST), input_signature=[tf.TensorSpec((), tf.string)])
    rng = np.random.default_rng(1)
    for beginning in (
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe1",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR",
    ):
        for length in (0, 1, 5, 30, 300):
            picture, fault = graph(beginning + rng.bytes(length))
            assert fault.numpy() and picture.shape == (0, 0, 3)
