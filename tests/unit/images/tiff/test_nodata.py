"""Pixels without data, labels of any numbers, levels that are none."""

import logging
import math

import numpy as np
import pytest
import tifffile

from kseg.errors import DataError
from kseg.images import NO_CLASS, doubts_of_levels, doubts_of_no_data, open_pages, read_label, white_of_levels

LOWEST = float(np.finfo(np.float32).min)


def write(path, array, number):
    tifffile.imwrite(path, np.asarray(array), photometric="minisblack", extratags=[(42113, 2, 0, number, True)])
    return path


@pytest.mark.parametrize(
    ("kind", "number", "value"),
    [
        (np.float32, "-9999", -9999),
        (np.float32, "-3.4028234663852886e+38", LOWEST),
        (np.float64, "-1.7e308", -1.7e308),
        (np.float32, "nan", np.nan),
        (np.int16, "-32768", -32768),
        (np.uint16, "65535 ", 65535),
        (np.uint8, "0", 0),
        (np.float32, "-9999,0", -9999),
    ],
)
def test_pixels_without_data_are_named_and_read_as_0(tmp_path, kind, number, value):
    path = write(tmp_path / "a.tif", np.array([[value, 7], [9, value]], kind), number)
    image, gaps = open_pages(path).read(0)
    assert image[..., 0].tolist() == [[0, 7], [9, 0]] and gaps.tolist() == [[True, False], [False, True]]
    image, gaps = open_pages(write(tmp_path / "a.tif", np.full((2, 2), 7, kind), number)).read(0)
    assert gaps is None and image[0, 0].tolist() == [7]


def test_a_colour_is_a_gap_only_where_all_its_channels_are_and_a_level_below_black_everywhere(tmp_path):
    tags = [(42113, 2, 0, "0", True)]
    tifffile.imwrite(
        tmp_path / "a.tif", np.array([[[0, 0, 0], [0, 5, 5]]], np.uint8), photometric="rgb", extratags=tags
    )
    assert open_pages(tmp_path / "a.tif").read(0)[1].tolist() == [[True, False]]
    tags = [(42113, 2, 0, "-1", True)]
    image = np.array([[[-1, 2, 3], [4, 5, 5]]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extratags=tags)
    image, gaps = open_pages(tmp_path / "a.tif").read(0)
    assert gaps.tolist() == [[True, False]] and image[0, 0].tolist() == [0, 0, 0]


def test_gaps_turn_with_their_image(tmp_path):
    tags = [(42113, 2, 0, "0", True), (274, 3, 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1, 2], [3, 4, 5]], np.uint8), extratags=tags)
    image, gaps = open_pages(tmp_path / "a.tif").read(0)
    assert image[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]] and np.argwhere(gaps).tolist() == [[0, 1]]


@pytest.mark.parametrize("number", ["many", "", "1e999", "300", "-1", "0.5"])
def test_a_number_that_no_pixel_can_have_marks_none_and_tifffile_says_nothing_of_it(tmp_path, number, caplog):
    path = write(tmp_path / "a.tif", np.array([[0, 1]], np.uint8), number)
    with caplog.at_level(logging.DEBUG):
        image, gaps = open_pages(path).read(0)
        read_label(path)
    assert gaps is None and image[..., 0].tolist() == [[0, 1]] and not caplog.records
    with tifffile.TiffFile(path) as file, caplog.at_level(logging.DEBUG):  # a person's own reading is as it was
        file.pages.first.asarray()
    assert caplog.records


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (np.int8, [-1, 0, 3]),
        (np.int16, [-9999, 0, 2]),
        (np.uint32, [0, 100_001, 2**31 - 1]),
        (np.int32, [-(2**31) + 1, 0, 2**31 - 1]),
        (np.int64, [-9999, 0, 70_000]),
        (np.uint64, [0, 1, 2**31 - 1]),
        (np.float64, [-9999, 0, 2**31 - 1]),
        (np.float32, [-9999, 0, 2**24]),
        (np.float16, [0, 1, 2048]),
    ],
)
def test_labels_are_whole_numbers_of_any_type_that_int32_holds(tmp_path, kind, values):
    tifffile.imwrite(tmp_path / "a.tif", np.array([values], kind))
    label = read_label(tmp_path / "a.tif")
    assert label.dtype == np.int32 and label.tolist() == [values]


def test_numbers_that_int32_does_not_hold_are_refused(tmp_path):
    for value, kind in ((2**31, np.uint32), (-(2**40), np.int64), (2**63, np.uint64)):
        tifffile.imwrite(tmp_path / "a.tif", np.array([[0, value]], kind))
        with pytest.raises(DataError, match="a.tif: the label holds numbers from .*; up to 2,147,483,647 are read"):
            read_label(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, np.nan]], np.float32))
    with pytest.raises(DataError, match="a.tif: the label holds fractions"):
        read_label(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("kind", "number", "value"),
    [(np.int16, "-9999", -9999), (np.float32, "nan", np.nan), (np.uint8, "255", 255), (np.float32, "-3.4e38", -3.4e38)],
)
def test_a_label_s_pixels_without_data_are_void_where_that_number_is_no_class(tmp_path, kind, number, value):
    path = write(tmp_path / "a.tif", np.array([[0, 1, value]], kind), number)
    assert read_label(path).tolist() == [[0, 1, NO_CLASS]]


def test_a_label_s_0_stays_the_background_though_gdal_calls_it_no_data(tmp_path):
    assert read_label(write(tmp_path / "a.tif", np.array([[0, 1]], np.uint8), "0")).tolist() == [[0, 1]]


def test_the_words_count_the_files_and_name_the_numbers():
    assert doubts_of_no_data([None] * 5) == []
    (doubt,) = doubts_of_no_data([-9999.0, None, math.nan, -9999.0, None])
    assert doubt.what.startswith("3 of 5 images mark -9999, nan as pixels without data (GDAL_NODATA)")


def test_the_white_of_a_camera_is_that_of_its_bits():
    assert [white_of_levels(level) for level in (4080, 4095, 2048, 1000, 16000, 300, 0.9)] == [
        *(4095, 4095, 4095, 1023, 16383, 300, 0.9)
    ]


def test_levels_far_outside_black_and_white_are_doubted():
    assert doubts_of_levels(0, 255, 255) == doubts_of_levels(-0.5, 1, 1) == []
    (dark,) = doubts_of_levels(-9999, 0.9, 1)
    assert str(dark).startswith("the darkest pixel is -9999, white is 1. Where it means that there is no data, say so")
    assert "gdal_edit.py -a_nodata -9999 FILE.tif" in dark.fix[0]
    (bright,) = doubts_of_levels(0, 3.4e38, 1)
    assert "the brightest pixel is 3.4e+38, white is 1. Pass white=3.4e+38 where that is light" in str(bright)
    (dim,) = doubts_of_levels(0, 4080, 65535)
    assert str(dim) == (
        "the brightest pixel is 4080, white is 65535. Is that the camera's white? Else pass white=4095."
    )
