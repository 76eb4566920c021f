import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from kseg.errors import DataError, EnvironmentFailure, KsegError
from kseg.images import is_image, open_pages, read_image, read_label, stack_writer, with_channels, write_image
from kseg.images import read as reader

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7)).astype(np.uint8)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3)).astype(np.uint8)
DEEP = RANDOM.integers(0, 65536, (5, 7, 3)).astype(np.uint16)
TOO_MANY = r"values; up to 2\^30 values a page are read. Cut it into pieces"
IDS = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


def png_head(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = bytes(1000)) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = b"IDAT" + zlib.compress(rows)
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (head, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff_head(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (262, 3, 1), (273, 4, 8), (278, 4, height), (279, 4, 1)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def palette_picture(indices: np.ndarray) -> Image.Image:
    picture = Image.new("P", indices.shape[::-1])
    picture.putdata(indices.ravel().tolist())
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return picture


COLOURS = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)


# Depths, compressions and colour models


@given(
    arrays.arrays(np.uint16, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))),
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.int16, np.uint32, np.bool_]),
    st.sampled_from([None, "lzw", "zlib"]),
    st.sampled_from("<>"),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_tiff_stacks_come_back_value_by_value(room, values, kind, compression, order, big):
    stack = (values % 30000).astype(kind)
    path = room / "stack.tif"
    tifffile.imwrite(
        path, stack, compression=compression, byteorder=order, bigtiff=big, photometric="minisblack", metadata=None
    )
    pages = open_pages(path)
    assert len(pages) == len(stack) and pages.shape == (*stack.shape, 1)
    for page, expected in zip(pages, stack, strict=True):
        assert page.dtype in (np.uint8, np.uint16, np.float32) and page.dtype.isnative
        np.testing.assert_array_equal(page[..., 0], expected)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("image", [COLOUR, DEEP])
def test_colour_tiffs_come_back_whichever_way_their_planes_lie(tmp_path, image, planes):
    stored = image if planes == "contig" else np.moveaxis(image, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planes)
    pages = open_pages(tmp_path / "a.tif")
    np.testing.assert_array_equal(pages[0], image)
    assert pages.shape == (1, 5, 7, 3)


@pytest.mark.parametrize("image", [GREY, COLOUR, DEEP[..., 0]])
def test_written_pictures_come_back(tmp_path, image):
    write_image(tmp_path / "a.png", image)
    found = read_image(tmp_path / "a.png")
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, image.reshape(5, 7, -1))


@pytest.mark.parametrize("page", [GREY, COLOUR, DEEP[..., 0], GREY.astype(np.float32) / 3])
def test_written_stacks_come_back(tmp_path, page):
    with stack_writer(tmp_path / "a.tif") as write:
        write(page)
        write(page[::-1])
    pages = open_pages(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.stack(list(pages)), np.stack([page, page[::-1]]).reshape(2, 5, 7, -1))
    with pytest.raises(IndexError):
        pages[2]
    with pytest.raises(IndexError):
        read_label(tmp_path / "a.tif", -1)


@pytest.mark.parametrize(("image", "channels"), [(DEEP, 3), (DEEP[..., :1], 1)])
def test_sixteen_bit_pngs_keep_all_their_bits(tmp_path, image, channels):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(image.squeeze())))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)
    assert open_pages(tmp_path / "a.png").shape[3] == channels


@pytest.mark.parametrize("image", [GREY[..., None], COLOUR, DEEP[..., :1], DEEP])
def test_an_opaque_alpha_channel_is_dropped_and_another_refused(tmp_path, image):
    white = np.iinfo(image.dtype).max
    alpha = np.full((5, 7, 1), white, image.dtype)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(np.concatenate([image, alpha], axis=2)))
    np.testing.assert_array_equal(read_image(path), image)
    alpha[0, :] = 3
    path.write_bytes(imagecodecs.png_encode(np.concatenate([image, alpha], axis=2)))
    with pytest.raises(DataError, match=r"a.png: an image with an alpha channel, 20.0% of it transparent. Flatten it"):
        read_image(path)


@pytest.mark.parametrize("image", [GREY[..., None], COLOUR, DEEP, COLOUR.astype(np.float32) / 255])
def test_a_channel_of_a_tiff_is_alpha_where_its_tag_says_so(tmp_path, image):
    path = tmp_path / "a.tif"

    def write(alpha: float, tag: str) -> np.ndarray:
        channels = np.concatenate([image, np.full((5, 7, 1), alpha, image.dtype)], axis=2)
        kind = "minisblack" if image.shape[2] == 1 else "rgb"
        tifffile.imwrite(path, channels, photometric=kind, planarconfig="contig", extrasamples=[tag])
        return channels

    white = 1 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    for tag in ("assocalpha", "unassalpha"):
        write(white, tag)
        np.testing.assert_array_equal(read_image(path), image)
        write(0, tag)
        with pytest.raises(DataError, match="a.tif: an image with an alpha channel, 100.0% of it transparent. Flatten"):
            read_image(path)
    np.testing.assert_array_equal(write(0, "unspecified"), read_image(path))
    # A fourth beside three colours that is white everywhere is alpha whose writer did not say so.
    full = write(white, "unspecified")
    np.testing.assert_array_equal(read_image(path), image if image.shape[2] == 3 else full)


@pytest.mark.parametrize("ending", ["png", "gif", "tif", "bmp"])
def test_a_palette_is_colours_in_an_image_and_numbers_in_a_label(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    palette_picture(IDS).save(path)
    np.testing.assert_array_equal(read_image(path), COLOURS[IDS])
    np.testing.assert_array_equal(read_label(path), IDS)


def test_transparency_of_palette_and_grey_files_is_refused_in_images_and_no_matter_in_labels(tmp_path):
    palette_picture(IDS).save(tmp_path / "p.png", transparency=1)
    Image.fromarray(IDS).save(tmp_path / "l.png", transparency=1)
    for name in ("p.png", "l.png"):
        with pytest.raises(DataError, match=f"{name}: an image with an alpha channel, 33.3% of it"):
            read_image(tmp_path / name)
        np.testing.assert_array_equal(read_label(tmp_path / name), IDS)


def test_one_bit_files_are_black_and_white_images_and_labels_of_0_and_1(tmp_path):
    bits = np.array([[True, False, True], [False, False, True]])
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], bits * 255)
    np.testing.assert_array_equal(read_label(tmp_path / "a.png"), bits)
    tifffile.imwrite(tmp_path / "a.tif", bits, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], ~bits)
    np.testing.assert_array_equal(read_label(tmp_path / "a.tif"), bits)


@pytest.mark.parametrize(("depth", "rows", "ids"), [(2, b"\0\x1b", [0, 1, 2, 3]), (4, b"\0\x01\x2f", [0, 1, 2, 15])])
def test_grey_levels_of_2_and_4_bits_are_light_in_images_and_numbers_in_labels(tmp_path, depth, rows, ids):
    (tmp_path / "a.png").write_bytes(png_head(4, 1, depth, 0, rows))
    assert read_label(tmp_path / "a.png").tolist() == [ids]
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [255 * value // (2**depth - 1) for value in ids]


@pytest.mark.parametrize(
    ("content", "kind", "values"),
    [
        (b"P5 3 1 255\n\0\1\xff", np.uint8, [[0], [1], [255]]),
        (b"P5 # by hand\n3 1\n# white:\n20\n\0\1\x14", np.uint8, [[0], [1], [20]]),
        (b"P2 3 1 20\n0 1 # two\n20\n", np.uint8, [[0], [1], [20]]),
        (b"P5 2 1 65535\n\0\1\x0f\xff", np.uint16, [[1], [4095]]),
        (b"P5 2 1 4095\n\0\1\x0f\xff", np.uint16, [[1], [4095]]),  # a camera of 12 bits
        (b"P6 1 1 65535\n\0\1\1\0\xff\xff", np.uint16, [[1, 256, 65535]]),
        (b"P3 1 1 65535\n1 256 65535", np.uint16, [[1, 256, 65535]]),
        (b"Pf 2 1 -1.0\n" + np.array([1.5, -2], "<f4").tobytes(), np.float32, [[1.5], [-2]]),
        (b"PF 1 1 1\n" + np.array([1.5, -2, 0], ">f4").tobytes(), np.float32, [[1.5, -2, 0]]),
    ],
)
def test_netpbm_numbers_are_those_stored_whatever_the_white(tmp_path, content, kind, values):
    path = tmp_path / "a.pnm"
    path.write_bytes(content)
    image = read_image(path)
    assert image.dtype == kind and image[0].tolist() == values and open_pages(path).shape[1:] == image.shape
    if image.shape[2] == 1 and kind != np.float32:
        assert read_label(path)[0].tolist() == [value for (value,) in values]


def test_pfm_has_its_lowest_row_first_and_pbm_black_as_0(tmp_path):
    (tmp_path / "a.pfm").write_bytes(b"Pf 1 2 -1\n" + np.array([1, 2], "<f4").tobytes())
    assert read_image(tmp_path / "a.pfm")[..., 0].tolist() == read_label(tmp_path / "a.pfm").tolist() == [[2], [1]]
    (tmp_path / "a.pbm").write_bytes(b"P4 3 1\n\xa0")  # ink, paper, ink
    assert read_image(tmp_path / "a.pbm")[..., 0].tolist() == [[0, 255, 0]]
    assert read_label(tmp_path / "a.pbm").tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P5 3 1 255\n\0\1", "buffer is smaller than requested size"),
        (b"P2 3 1 255\n0 1", "cannot reshape array of size 2"),
        (b"P5 1 1 20\n\x15", "a value of 21 above its white, 20"),
        (b"P5 1 1 0\n\0", "its white is 0"),
        (b"P5 1 1 99999\n\0\0", "its white is 99999"),
    ],
)
def test_damaged_netpbm_files_say_why(tmp_path, content, reason):
    (tmp_path / "a.pgm").write_bytes(content)
    for read in (read_image, read_label):
        with pytest.raises(DataError, match=f"a.pgm: the image is truncated or damaged .{reason}"):
            read(tmp_path / "a.pgm")
    (tmp_path / "a.pgm").write_bytes(b"P5 #" + b" " * 5000 + b"\n1 1 20\n\x14")
    with pytest.raises(DataError, match="a.pgm: the image is truncated or damaged .its head is no PGM's"):
        open_pages(tmp_path / "a.pgm")
    (tmp_path / "a.pgm").write_bytes(b"P5 99999 99999 255\n\0")
    with pytest.raises(DataError, match="a.pgm: a page of 99999 x 99999 x 1 values; up to 2.30 values"):
        open_pages(tmp_path / "a.pgm")


DEEP_GREY = RANDOM.integers(0, 65536, (16, 24)).astype(np.uint16)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jp2", imagecodecs.jpeg2k_encode(DEEP_GREY, level=0, codecformat="jp2"), DEEP_GREY[..., None]),
        ("a.j2k", imagecodecs.jpeg2k_encode(DEEP, level=0, codecformat="j2k"), DEEP),
        ("a.jp2", imagecodecs.jpeg2k_encode(COLOUR, level=0, codecformat="jp2"), COLOUR),
        ("a.avif", imagecodecs.avif_encode(np.repeat(COLOUR, 8, 0), level=100), np.repeat(COLOUR, 8, 0)),
        ("a.qoi", imagecodecs.qoi_encode(COLOUR), COLOUR),
    ],
)
def test_jpeg_2000_and_avif_keep_their_depth_and_are_no_labels(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / name), expected)
    with pytest.raises(DataError, match=f"{name}: (a label saved as (JPEG2000|AVIF)|the label holds .* colours)"):
        read_label(tmp_path / name)


@pytest.mark.parametrize("kind", ["tga", "pcx"])
def test_formats_that_only_their_ending_tells_are_read_by_it(tmp_path, kind):
    for picture, image in ((Image.fromarray(COLOUR), COLOUR), (Image.fromarray(GREY), GREY[..., None])):
        (tmp_path / f"a.{kind}").write_bytes(_saved(picture, kind))
        np.testing.assert_array_equal(read_image(tmp_path / f"a.{kind}"), image)
    np.testing.assert_array_equal(read_label(tmp_path / f"a.{kind}"), GREY)
    (tmp_path / f"a.{kind}").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match="a.png: this is no image that can be read"):
        read_image(tmp_path / "a.png")


def test_radiances_hdr_is_float32(tmp_path):
    image = np.array([[[1, 0.5, 2], [0.25, 0, 4]]], np.float32)
    (tmp_path / "a.hdr").write_bytes(cv2.imencode(".hdr", image[..., ::-1])[1].tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.hdr"), image)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x76\x2f\x31\x01" + bytes(99), "an OpenEXR file"),
        (b"\0\0\1\0\1\0" + bytes(99), "an icon"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "a HEIC file or film"),
        (bytes(128) + b"DICM" + bytes(99), "a DICOM file"),
    ],
)
def test_formats_that_are_not_read_are_refused_by_name(tmp_path, content, kind):
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_image, read_label):
        with pytest.raises(DataError, match=f"a.png: this is {kind}, which is not read. Save it as PNG or TIFF."):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_inverted_tiffs_are_seen_upright_but_keep_a_labels_numbers(tmp_path, kind):
    tifffile.imwrite(tmp_path / "a.tif", IDS.astype(kind), photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], np.iinfo(kind).max - IDS.astype(kind))
    np.testing.assert_array_equal(read_label(tmp_path / "a.tif"), IDS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_tag_is_followed(tmp_path, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as stored:
        decoded = np.asarray(stored)
        np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), np.asarray(ImageOps.exif_transpose(stored)))
    assert decoded.shape == (5, 7, 3)
    turned = ImageOps.exif_transpose(_tagged(Image.fromarray(GREY), exif))
    Image.fromarray(GREY.astype(np.uint16)).save(tmp_path / "a.png", exif=exif)
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(274, 3, 1, orientation, False)])
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name)[..., 0], np.asarray(turned))
        np.testing.assert_array_equal(read_label(tmp_path / name), np.asarray(turned))
    Image.fromarray(COLOUR).save(tmp_path / "a.avif", exif=exif)  # which takes the tag out of `exif`
    with Image.open(tmp_path / "a.avif") as stored:
        np.testing.assert_array_equal(read_image(tmp_path / "a.avif"), np.asarray(ImageOps.exif_transpose(stored)))


def _tagged(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    picture.getexif().update(exif)
    return picture


def test_a_quarter_turn_moves_the_upper_left_pixel_to_the_upper_right(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", IDS, extratags=[(274, 3, 1, 6, False)])
    assert read_image(tmp_path / "a.tif")[..., 0].tolist() == [[2, 0], [1, 1], [0, 2]]


# Labels


def test_a_label_of_equal_channels_is_taken_and_one_of_colours_refused(tmp_path):
    write_image(tmp_path / "a.png", np.repeat(IDS[..., None], 3, axis=2))
    label = read_label(tmp_path / "a.png")
    assert label.dtype == np.int32 and label.tolist() == IDS.tolist()
    write_image(tmp_path / "a.png", COLOURS[IDS])
    with pytest.raises(DataError, match=r"a.png: the label holds 3 colours, not class numbers. Save it as a grey or"):
        read_label(tmp_path / "a.png")


def test_a_label_compressed_with_loss_is_refused_whatever_its_ending(tmp_path):
    for name, kind in (("a.jpg", "JPEG"), ("b.png", "JPEG"), ("c.webp", "WEBP")):
        Image.fromarray(GREY).save(tmp_path / name, kind)
        with pytest.raises(DataError, match=rf"{name}: a label saved as {kind}, which blurs .* again as PNG or TIFF\."):
            read_label(tmp_path / name)
    tifffile.imwrite(tmp_path / "d.tif", GREY, compression="jpeg")
    with pytest.raises(DataError, match="d.tif: a label compressed as JPEG, which may blur"):
        read_label(tmp_path / "d.tif")
    assert read_image(tmp_path / "d.tif").shape == (5, 7, 1)


def test_a_float_label_must_hold_whole_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", IDS.astype(np.float32))
    assert read_label(tmp_path / "a.tif").tolist() == IDS.tolist()
    for wrong in (0.5, 1e9):
        tifffile.imwrite(tmp_path / "a.tif", np.full((2, 2), wrong, np.float32))
        with pytest.raises(DataError, match="a.tif: the label holds fractions"):
            read_label(tmp_path / "a.tif")


# What is refused


def write_cut(path, cut=0.6):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])


@pytest.mark.parametrize("name", ["a.png", "deep.png", "a.jpg", "a.tif"])
def test_a_truncated_file_is_named_with_what_to_do(tmp_path, name):
    image = RANDOM.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    if name == "deep.png":
        (tmp_path / name).write_bytes(imagecodecs.png_encode(image.astype(np.uint16) * 257))
    else:
        write_image(tmp_path / name, image)
    write_cut(tmp_path / name)
    for read in (read_image, read_label):
        if name == "a.jpg" and read is read_label:
            continue
        with pytest.raises(DataError, match=rf"{name}: the image is truncated or damaged \(.+\). Copy or export it"):
            read(tmp_path / name)


@pytest.mark.parametrize("compression", [None, "lzw", "packbits", "jpeg"])
def test_no_cut_of_a_stack_gives_fewer_or_other_pages(tmp_path, compression):
    stack = RANDOM.integers(0, 256, (3, 16, 5)).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, compression=compression, rowsperstrip=8, photometric="minisblack", metadata=None)
    data, whole = path.read_bytes(), np.stack(list(open_pages(path)))
    refused = 0
    for length in range(0, len(data), 3):
        path.write_bytes(data[:length])
        try:
            found = np.stack(list(open_pages(path)))
        except DataError:
            refused += 1
        else:
            np.testing.assert_array_equal(found, whole)
    assert refused > 0.95 * len(data) / 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", r"the file is empty \(0 bytes\). Copy it again"),
        ("a.tif", b"", r"the file is empty \(0 bytes\). Copy it again"),
        ("a.png", b"this is text", r"this is no image that can be read .* Remove it from the folder, or export it"),
        ("a.jpg", b"this is text", "this is no image that can be read"),
        ("a.tif", b"this is text", "this is no image that can be read"),
        ("a.tif", b"II*\0", r"the image is truncated or damaged \(.+\)"),
        ("a.tif", tiff_head(5, 5)[:-4] + struct.pack("<I", 8), r"the image is truncated or damaged \(page 1 is not in"),
        ("a.png", png_head(60000, 60000), rf"a page of 60000 x 60000 x 3 {TOO_MANY}"),
        ("a.png", png_head(60000, 60000, 16), rf"a page of 60000 x 60000 x 3 {TOO_MANY}"),
        ("a.png", png_head(40000, 40000, 8, 0), rf"a page of 40000 x 40000 x 1 {TOO_MANY}"),
        ("a.png", png_head(30000, 20000), r"a page of 20000 x 30000 x 3 values; up to 2\^30 values a page are read"),
        ("a.tif", tiff_head(60000, 60000), r"a page of 60000 x 60000 values; up to 2\^30 values a page are read"),
    ],
)
def test_what_is_no_image_or_too_large_is_refused_unread(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for read in (open_pages, read_image, read_label):
        with pytest.raises(DataError, match=f"{name}: {message}") as caught:
            read(tmp_path / name)
        assert isinstance(caught.value, ValueError) and caught.value.exit_code == 3


def test_reading_leaves_pillows_bound_as_it_is_and_does_not_heed_it_in_any_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # a person's own: Image.open refuses more than 20
    files = []
    for number, ending in enumerate((".png", ".jpg", ".bmp") * 4):
        files.append(tmp_path / f"{number}{ending}")
        Image.fromarray(GREY).save(files[-1])
    with pytest.raises(Image.DecompressionBombError):
        Image.open(files[0])
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_head(60000, 60000))
    seen = []

    def read(path):
        for _ in range(5):
            seen.append((read_image(path).shape, open_pages(path).shape, Image.MAX_IMAGE_PIXELS))
            with pytest.raises(DataError, match="a page of 60000 x 60000 x 3 values; up to"):
                read_image(bomb)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read, files))
    assert set(seen) == {((5, 7, 1), (1, 5, 7, 1), 10)} and len(seen) == 60


def test_a_picture_that_pillow_would_warn_of_is_read_without_a_warning(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(png_head(20000, 10000, 1, 0))  # 2 * 10^8 pixels; Pillow warns from 0.9 * 10^8, refuses 1.8 * 10^8
    before = list(warnings.filters)
    assert open_pages(path).shape == (1, 10000, 20000, 1)
    assert warnings.filters == before


def test_importing_kseg_changes_nothing_of_pillow_warnings_or_the_surroundings():
    code = (
        "import os, warnings; import cv2, numpy; from PIL import Image, ImageFile\n"  # these two have their own ways
        "def state(): return (Image.MAX_IMAGE_PIXELS, Image.WARN_POSSIBLE_FORMATS, ImageFile.LOAD_TRUNCATED_IMAGES,\n"
        "                     warnings.filters[:], dict(os.environ))\n"
        "before = state()\n"
        "import kseg; kseg.images, kseg.check, kseg.datasets, kseg.pictures, kseg.recipes.names()\n"
        "assert state() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(DataError, match="a.png: this is a folder, not an image"):
        read_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="b.png: there is no such file"):
        read_label(tmp_path / "b.png")


def test_colour_models_of_printers_are_refused_by_name(tmp_path):
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg")
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="a.jpg: an image of colour model CMYK. Convert it to grey or RGB"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="a.tif: a TIFF of colour model SEPARATED. Convert it"):
        read_image(tmp_path / "a.tif")


def test_a_tiff_under_another_ending_is_not_cut_to_its_first_page(tmp_path):
    (tmp_path / "a.png").write_bytes(_tiff(np.stack([GREY, GREY]), None))
    (tmp_path / "b.tif").write_bytes(_saved(Image.fromarray(GREY), "png"))
    for name in ("a.png", "b.tif"):
        with pytest.raises(
            DataError, match=rf"{name}: this is no image that can be read \(PNG, .*; TIFF by the ending"
        ):
            read_image(tmp_path / name)


def test_a_tiff_whose_values_have_no_known_type_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.int16))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages.first.tags["SampleFormat"].overwrite(7)
    for read in (read_image, read_label):
        with pytest.raises(
            DataError, match=r"a.tif: the image is truncated or damaged \(page 0 has values of an unknown"
        ):
            read(tmp_path / "a.tif")


def test_values_without_a_plain_place_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    for value in (np.nan, np.inf):
        tifffile.imwrite(path, np.array([[0, 0], [0, value]], np.float32))
        with pytest.raises(
            DataError, match=r"a.tif: 1 values \(25.0%\) are NaN or infinite, the first at row 1, column 1"
        ):
            read_image(path)
    for value, kind in (
        (1e300, np.float64),
        (-1, np.int16),
        (1 << 16, np.uint32),
    ):
        tifffile.imwrite(path, np.full((2, 2), value, kind))
        with pytest.raises(
            DataError, match=rf"a.tif: values of type {np.dtype(kind)} from .* Save it with 8 or 16 bits"
        ):
            read_image(path)
    tifffile.imwrite(path, np.ones((2, 2), np.float32), photometric="miniswhite")
    with pytest.raises(DataError, match="a.tif: inverted grey levels of type float32"):
        read_image(path)


def test_volumes_and_films_are_not_cut_to_their_first_picture(tmp_path):
    volume = np.zeros((4, 16, 16), np.uint8)
    tifffile.imwrite(tmp_path / "v.tif", volume, volumetric=True, tile=(4, 16, 16), photometric="minisblack")
    tifffile.imwrite(tmp_path / "ij.tif", np.zeros((4, 5, 6), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    assert len(open_pages(tmp_path / "ij.tif")) == 4
    with tifffile.TiffFile(tmp_path / "ij.tif", mode="r+b") as file:  # as ImageJ writes beyond 4 GB: one directory
        place = file.pages.first.offset + 2 + 12 * len(file.pages.first.tags)
        file.filehandle.seek(place)
        file.filehandle.write(bytes(4))
    for name in ("v.tif", "ij.tif"):
        with pytest.raises(DataError, match=rf"{name}: \d slices in a TIFF page of \d dimensions. Save it as a stack"):
            open_pages(tmp_path / name)
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    for ending in ("gif", "webp", "png"):
        frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:])
        with pytest.raises(DataError, match="only one of its pictures would be read. Save it as a TIFF"):
            open_pages(tmp_path / f"a.{ending}")


def test_the_systems_failures_are_not_the_files(tmp_path):
    write_image(tmp_path / "a.png", GREY)
    (tmp_path / "large.png").write_bytes(png_head(30000, 30000, 8, 0))
    script = """
import resource, sys
from kseg.errors import DataError, EnvironmentFailure
from kseg.images import read_image
read_image(sys.argv[1])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), hard))
try:
    read_image(sys.argv[2])
except DataError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
try:
    read_image(sys.argv[1])
except EnvironmentFailure as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script, *sorted(tmp_path.iterdir())], capture_output=True, text=True)
    assert "large.png: too large for this machine's memory, or damaged. Cut it into pieces" in result.stdout
    assert "a.png: can't be read (Too many open files)" in result.stdout, result.stderr
    assert issubclass(EnvironmentFailure, OSError)


# JPEG, which imagecodecs decodes where that gives what Pillow gives


def photograph(height: int, width: int, channels: int = 3) -> Image.Image:
    coarse = (
        np.random.default_rng(height).integers(0, 256, (height // 4 + 2, width // 4 + 2, channels)).astype(np.uint8)
    )
    return Image.fromarray(coarse.squeeze()).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(picture: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    return stream.getvalue()


def read_both(path) -> tuple:
    """What Pillow alone gives for a file and what is given, arrays or messages, and whether Pillow was not needed."""
    found = []
    quick, quickly = reader._quick_jpeg, []

    def noted(stored):
        quickly.append(quick(stored))
        return quickly[-1]

    for replacement in (lambda stored: None, noted):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reader, "_quick_jpeg", replacement)
            try:
                found.append(read_image(path))
            except KsegError as error:
                found.append(str(error))
    return *found, bool(quickly) and quickly[0] is not None


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 33), (61, 94)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1", "rgb", "grey"])
def test_a_jpeg_has_the_pixels_that_pillow_gives(tmp_path, size, subsampling):
    picture = photograph(*size, 1 if subsampling == "grey" else 3)
    kind = {"grey": {}, "rgb": {"keep_rgb": True}}.get(subsampling, {"subsampling": subsampling})
    for quality in (5, 75, 95):
        for options in ({}, {"restart_marker_blocks": 3}, {"restart_marker_rows": 1}, {"progressive": True}):
            (tmp_path / "a.png").write_bytes(jpeg(picture, quality=quality, **kind, **options))  # a wrong ending
            pillow, ours, quick = read_both(tmp_path / "a.png")
            np.testing.assert_array_equal(ours, pillow, strict=True)
            assert quick != ("progressive" in options)


@given(st.sampled_from([b"R\1G\2B\3", b"\1\1\2\2\3\3"]), st.sampled_from([None, 0, 1, 2]), st.booleans())
def test_a_jpeg_s_colours_are_told_as_pillow_tells_them(room, names, transform, jfif):
    data = bytearray(jpeg(photograph(16, 24)))
    for place, name in zip((data.index(b"\xff\xc0") + 10, data.index(b"\xff\xda") + 5), (3, 2), strict=True):
        data[place : place + 3 * name : name] = names[::2]
    head = data[2 : data.index(b"\xff\xdb")] if jfif else b""
    adobe = b"" if transform is None else b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
    path = room / "colours.jpg"
    path.write_bytes(data[:2] + head + adobe + data[data.index(b"\xff\xdb") :])
    pillow, ours, quick = read_both(path)
    np.testing.assert_array_equal(ours, pillow, strict=True)
    assert quick


def test_a_jpeg_that_is_cut_off_or_not_plain_is_pillow_s(tmp_path):
    whole = jpeg(photograph(64, 64))
    scan = whole.index(b"\xff\xda")
    cut = [whole[:-1], whole[:-2], whole[: len(whole) // 2], whole[: scan + 14], whole[: scan + 9] + b"\xff\xd9"]
    for name, data in enumerate(cut):
        (tmp_path / f"{name}.jpg").write_bytes(data)
        with pytest.raises(
            DataError, match=rf"{name}.jpg: the image is truncated or damaged \(.+\). Copy or export it"
        ):
            read_image(tmp_path / f"{name}.jpg")
    deep = imagecodecs.jpeg8_encode(GREY.astype(np.uint16) * 16, bitspersample=12)
    four = np.concatenate([COLOUR, COLOUR[..., :1]], axis=2)
    inks = [imagecodecs.jpeg8_encode(four, colorspace="CMYK", outcolorspace=model) for model in ("CMYK", "YCCK")]
    # a scan's head that ends the file, its last bytes an end-of-image marker: imagecodecs would give a grey picture
    empty = whole[:scan] + b"\xff\xda\0\x0c" + whole[scan + 4 : scan + 12] + b"\xff\xd9"
    size = whole.index(b"\xff\xc0") + 5
    wide = whole[:size] + struct.pack(">HH", 8, 65501) + whole[size + 4 :]
    for data in (deep, *inks, empty, wide, whole + bytes(9), whole[:2] + b"\xff\xd9" + whole[2:]):
        (tmp_path / "a.jpg").write_bytes(data)
        pillow, ours, quick = read_both(tmp_path / "a.jpg")
        np.testing.assert_equal(ours, pillow)
        assert not quick


def test_damaged_jpegs_are_what_they_are_to_pillow(tmp_path):
    random, path, quickly = np.random.default_rng(7), tmp_path / "a.jpg", 0
    valid = [
        jpeg(photograph(40, 33)),
        jpeg(photograph(40, 33, 1), restart_marker_rows=1),
        jpeg(photograph(40, 33), progressive=True),
    ]
    for number in range(300):
        data = bytearray(valid[number % 3])
        first, last = sorted(random.integers(2, len(data), 2).tolist())
        if number % 4 == 0:
            data = data[:last] + b"\xff\xd9"
        elif number % 4 == 1:
            data[last:last] = b"\xff" + random.bytes(3)
        elif number % 4 == 2:
            del data[max(first, last - 50) : last]
        for place in random.integers(2, len(data), number % 4 // 3 * 3):
            data[place] = random.integers(256)
        path.write_bytes(data)
        pillow, ours, quick = read_both(path)
        np.testing.assert_equal(ours, pillow)
        quickly += quick
    assert quickly > 60


def _valid_files() -> dict[str, bytes]:
    files = {}
    for ending in ("png", "jpg", "gif", "bmp", "webp", "ppm", "jp2", "avif", "tga", "pcx"):
        files[f"a.{ending}"] = _saved(Image.fromarray(COLOUR), ending)
    files["a.pfm"] = b"Pf 7 5 -1\n" + GREY.astype("<f4").tobytes()
    files["a.pgm"] = b"P2 7 5 255\n" + b" ".join(b"%d" % value for value in GREY.ravel())
    files["a.hdr"] = cv2.imencode(".hdr", COLOUR.astype(np.float32))[1].tobytes()
    files["p.png"] = _saved(palette_picture(IDS), "png")
    files["deep.png"] = imagecodecs.png_encode(DEEP)
    for compression in (None, "lzw", "zlib", "jpeg"):
        files[f"{compression}.tif"] = _tiff(np.stack([GREY, GREY]), compression)
    return files


def _saved(picture: Image.Image, ending: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, Image.registered_extensions()[f".{ending}"])
    return stream.getvalue()


def _tiff(stack: np.ndarray, compression: str | None) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, stack, compression=compression, photometric="minisblack", metadata=None)
    return stream.getvalue()


@pytest.mark.parametrize("name", _valid_files())
def test_mutated_files_are_read_or_refused_and_nothing_else(room, name):
    random = np.random.default_rng(2012)
    valid = _valid_files()[name]
    path = room / f"mutated{name[name.index('.') :]}"
    refused = 0
    for round_number in range(60):
        data = bytearray(valid)
        reach = len(data) if round_number % 2 else min(len(data), 150)
        for place in random.integers(0, reach, random.integers(1, 4)):
            data[place] = random.integers(256)
        path.write_bytes(data)
        for read in (read_image, read_label):
            try:
                assert read(path).size
            except DataError as error:
                refused += 1
                assert str(error).startswith(str(path))
    assert refused


# Names and channels


def test_hidden_files_and_other_endings_are_no_images(tmp_path):
    names = ["a.png", "b.TIF", "c.jpeg", ".DS_Store", "._a.png", ".a.tif", "d.txt", "png"]
    assert [name for name in names if is_image(tmp_path / name)] == ["a.png", "b.TIF", "c.jpeg"]


def test_channels_change_only_where_nothing_is_lost():
    grey = GREY[..., None]
    assert with_channels(grey, 1, "a") is grey
    thrice = with_channels(grey, 3, "a")
    assert thrice.shape == (5, 7, 3)
    np.testing.assert_array_equal(with_channels(thrice, 1, "a"), grey)
    with pytest.raises(DataError, match="a.png: a colour image, but the network takes one grey channel. Convert it"):
        with_channels(COLOUR, 1, "a.png")
    with pytest.raises(DataError, match="a.png: 3 channels, but the network takes 4"):
        with_channels(COLOUR, 4, "a.png")


@pytest.mark.parametrize("ending", ["avif", "jp2", "webp", "jpg"])
def test_a_grey_label_of_a_format_with_loss_is_refused_by_its_name(tmp_path, ending):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / f"a.{ending}")
    named = {"avif": "AVIF", "jp2": "JPEG2000", "webp": "WEBP", "jpg": "JPEG"}[ending]
    with pytest.raises(DataError, match=f"a.{ending}: a label saved as {named}, which blurs class numbers"):
        read_label(tmp_path / f"a.{ending}")
