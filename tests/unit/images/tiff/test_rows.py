"""Rows of a TIFF: the same as those of the whole, however the file is built."""

import numpy as np
import pytest
import tifffile

from kseg.errors import DataError
from kseg.images import open_pages
from kseg.images.tiff import rows as rows_module

HEIGHT, WIDTH = 150, 90
KINDS = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "strips, LZW, predictor": {"rowsperstrip": 16, "compression": "lzw", "predictor": True},
    "strips, deflate": {"rowsperstrip": 11, "compression": "zlib"},
    "tiles": {"tile": (32, 48)},
    "tiles, deflate, predictor": {"tile": (16, 16), "compression": "zlib", "predictor": True},
    "big-endian BigTIFF of tiles": {"tile": (48, 32), "compression": "zlib", "bigtiff": True, "byteorder": ">"},
    "big-endian": {"byteorder": ">"},
}


@pytest.mark.parametrize("channels", ["grey", "pixels", "planes"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_the_whole(tmp_path, kind, dtype, channels):
    shape = {"grey": (HEIGHT, WIDTH), "pixels": (HEIGHT, WIDTH, 3), "planes": (3, HEIGHT, WIDTH)}[channels]
    image = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    about = {"photometric": "rgb", "planarconfig": "separate" if channels == "planes" else "contig"}
    tifffile.imwrite(tmp_path / "a.tif", image, metadata=None, **KINDS[kind], **(about if channels != "grey" else {}))
    pages = open_pages(tmp_path / "a.tif")
    whole, missing = pages.read(0)
    assert pages.why_whole == "" and missing is None and whole.shape == (HEIGHT, WIDTH, 1 if channels == "grey" else 3)
    for first, stop in ((0, HEIGHT), (0, 1), (HEIGHT - 1, HEIGHT), (15, 16), (16, 48), (5, 101)):
        found, missing = pages.read_rows(0, range(first, stop))
        assert found.dtype == whole.dtype and missing is None
        np.testing.assert_array_equal(found, whole[first:stop])


@pytest.mark.parametrize("compression", ["jpeg", "packbits"])
def test_rows_of_jpeg_tiles_and_of_colours_are_those_of_the_whole(tmp_path, compression):
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(32, 32), compression=compression)
    pages = open_pages(tmp_path / "a.tif")
    np.testing.assert_array_equal(pages.read_rows(0, range(20, 70))[0], pages[0][20:70])


def test_rows_of_a_palette_of_inverted_grey_and_of_sparse_tiles_are_those_of_the_whole(tmp_path):
    numbers = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)
    colours = np.random.default_rng(1).integers(0, 65536, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", numbers, photometric="palette", colormap=colours, rowsperstrip=9)
    tifffile.imwrite(tmp_path / "inverted.tif", numbers, photometric="miniswhite", tile=(32, 32))
    tiles = (None if number % 3 else np.full((32, 32), number, np.uint8) for number in range(5 * 3))
    tifffile.imwrite(tmp_path / "sparse.tif", tiles, shape=(HEIGHT, WIDTH), dtype=np.uint8, tile=(32, 32))
    for name in ("palette", "inverted", "sparse"):
        pages = open_pages(tmp_path / f"{name}.tif")
        assert pages.why_whole == "" and len(np.unique(pages[0])) > 3
        np.testing.assert_array_equal(pages.read_rows(0, range(20, 140))[0], pages[0][20:140])


def test_rows_of_pages_that_are_channels_and_of_pixels_without_data_are_those_of_the_whole(tmp_path):
    stack = np.random.default_rng(0).integers(0, 5, (2, HEIGHT, WIDTH)).astype(np.uint16)
    stack[:, 40:60] = 7
    tags = [(42113, 2, 0, "7", True)]
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None, extratags=tags, rowsperstrip=8)
    pages = open_pages(tmp_path / "a.tif", axes="CYX")
    (whole, missing), (found, gaps) = pages.read(0), pages.read_rows(0, range(30, 50))
    assert whole.shape == (HEIGHT, WIDTH, 2) and gaps[10:].all() and not gaps[:10].any()
    np.testing.assert_array_equal(found, whole[30:50])
    np.testing.assert_array_equal(gaps, missing[30:50])
    assert pages.read_rows(0, range(20))[1] is None


def test_what_can_not_be_read_by_rows_says_why(tmp_path, monkeypatch):
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    tifffile.imwrite(tmp_path / "turned.tif", image, extratags=[(274, 3, 1, 6, True)])
    tifffile.imwrite(tmp_path / "packed.tif", image, compression="zlib", rowsperstrip=HEIGHT)
    tifffile.imwrite(tmp_path / "four.tif", np.zeros((HEIGHT, WIDTH, 4), np.uint8), photometric="rgb", extrasamples=[0])
    assert open_pages(tmp_path / "packed.tif").why_whole == ""
    monkeypatch.setattr(rows_module, "_LARGEST_SEGMENT", 10_000)
    for name, why in (("turned", "its orientation tag"), ("packed", "in pieces of 0 MB"), ("four", "fourth channel")):
        assert why in open_pages(tmp_path / f"{name}.tif").why_whole


def test_a_page_too_large_for_one_array_is_opened_for_its_rows_alone(tmp_path):
    tiles = (np.zeros((1024, 1024), np.uint8) if not number else None for number in range(36 * 36))
    tifffile.imwrite(tmp_path / "a.tif", tiles, shape=(36864, 36864), dtype=np.uint8, tile=(1024, 1024))
    with pytest.raises(DataError, match=r"a page of 36864 x 36864 values; up to 2\^30 values"):
        open_pages(tmp_path / "a.tif")
    pages = open_pages(tmp_path / "a.tif", by_rows=True)
    with pytest.raises(DataError, match=r"a page of 36864 x 36864 x 1 values; up to 2\^30 values"):
        pages.read(0)
    assert not pages.read_rows(0, range(36860, 36864))[0].any()


def test_rows_that_are_not_in_the_file_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((HEIGHT, WIDTH), np.uint8), tile=(32, 32))
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[:-2000])
    pages = open_pages(tmp_path / "a.tif")
    with pytest.raises(DataError, match="a.tif: the image is truncated or damaged"):
        pages.read_rows(0, range(5))


def test_the_row_of_a_number_that_is_none_is_that_of_the_image(tmp_path):
    image = np.zeros((HEIGHT, WIDTH), np.float32)
    image[100, 7] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", image)
    with pytest.raises(DataError, match="the first at row 100, column 7"):
        open_pages(tmp_path / "a.tif").read_rows(0, range(90, 110))
