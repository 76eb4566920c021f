"""The size and the place of pixels, from an image into what is written of it."""

import numpy as np
import pytest
import tifffile

from kseg.images import Origin, open_pages, read_image, stack_writer

PAGE = np.arange(12, dtype=np.uint8).reshape(3, 4)
# Pixels of half a metre, the upper left corner at 500 km east and 4600 km north, in a projected system of coordinates.
GEO = {
    33550: (12, (0.5, 0.5, 0.0)),
    33922: (12, (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0)),
    34735: (3, (1, 1, 0, 2, 1024, 0, 1, 1, 1026, 34737, 5, 0)),
    34736: (12, (298.257,)),
    34737: (2, "UTM|"),
}
TAGS = [(code, kind, 0 if kind == 2 else len(value), value, True) for code, (kind, value) in GEO.items()]


def written(path, pages=1, channels=1, **options):
    """The TIFF that is written of an image."""
    place = path.with_name("out.tif")
    with stack_writer(place, open_pages(path).origin, pages=pages, channels=channels, **options) as write:
        for _ in range(pages * channels):
            write(PAGE)
    return tifffile.TiffFile(place)


def test_the_place_on_earth_is_kept_on_every_page_and_no_data_only_where_it_is_said(tmp_path):
    no_data = (42113, 2, 0, "-9999", True)
    tifffile.imwrite(tmp_path / "a.tif", PAGE, extratags=[*TAGS, no_data], metadata=None)
    with written(tmp_path / "a.tif", channels=2) as file:
        for page in file.pages:
            assert {code: page.tags[code].value for code in GEO} == {code: value for code, (_, value) in GEO.items()}
            assert 42113 not in page.tags
        geo = file.geotiff_metadata
        assert geo["ModelPixelScale"] == [0.5, 0.5, 0.0] and geo["GTCitationGeoKey"] == "UTM"
    with written(tmp_path / "a.tif", no_data="255") as file:
        assert file.pages.first.tags[42113].value == "255" and file.pages.first.nodata == 255


def test_what_imagej_says_of_pixels_slices_and_frames_is_kept(tmp_path):
    stack = np.zeros((2, 3, 3, 4), np.uint8)
    about = {"axes": "TZYX", "unit": "um", "spacing": 2.5, "finterval": 0.5}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(5.0, 4.0), metadata=about)
    with written(tmp_path / "a.tif", pages=6) as file:
        assert file.is_imagej and file.series[0].axes == "TZYX" and file.series[0].shape == (2, 3, 3, 4)
        found = file.imagej_metadata
        assert (found["unit"], found["spacing"], found["finterval"]) == ("um", 2.5, 0.5)
        assert (found["frames"], found["slices"], found["images"]) == (2, 3, 6)
        assert file.pages.first.resolution == (5.0, 4.0)
    with written(tmp_path / "a.tif", pages=6, channels=3) as file:  # probabilities of three classes
        assert file.series[0].axes == "TZCYX" and file.series[0].shape == (2, 3, 3, 3, 4)


def test_the_physical_size_of_ome_becomes_resolution_and_unit(tmp_path):
    about = {
        "axes": "ZYX",
        "PhysicalSizeX": 0.25,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.5,
        "PhysicalSizeZ": 2.0,
    }
    about |= {"PhysicalSizeYUnit": "µm", "PhysicalSizeZUnit": "µm", "TimeIncrement": 20.0, "TimeIncrementUnit": "ms"}
    stack = np.zeros((2, 3, 4), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, ome=True, photometric="minisblack", metadata=about)
    with written(tmp_path / "a.ome.tif", pages=2) as file:
        assert file.pages.first.resolution == (4.0, 2.0) and file.series[0].axes == "ZYX"
        found = file.imagej_metadata
        assert (found["unit"], found["spacing"], found["finterval"]) == ("micron", 2.0, 0.02)


def test_a_file_that_says_nothing_gives_files_that_say_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3, 4), np.uint8), photometric="minisblack", metadata=None)
    with written(tmp_path / "a.tif", pages=2) as file:
        assert "ImageDescription" not in file.pages.first.tags and len(file.pages) == 2
    assert not open_pages(tmp_path / "a.tif").origin.needs_tiff
    tifffile.imwrite(tmp_path / "b.tif", PAGE, resolution=(72, 72), resolutionunit="inch", metadata=None)
    assert not open_pages(tmp_path / "b.tif").origin.needs_tiff  # a printer's
    with written(tmp_path / "b.tif") as file:
        assert file.pages.first.resolution == (72, 72) and file.pages.first.resolutionunit == 2


@pytest.mark.parametrize("tag", range(1, 9))
def test_results_are_stored_turned_as_their_image_and_seen_as_it_is_seen(tmp_path, tag):
    tifffile.imwrite(tmp_path / "a.tif", PAGE, extratags=[*TAGS, (274, 3, 1, tag, True)], metadata=None)
    seen = read_image(tmp_path / "a.tif")[..., 0]
    with stack_writer(tmp_path / "out.tif", open_pages(tmp_path / "a.tif").origin) as write:
        write(seen)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), PAGE)  # over the image in Fiji and QGIS
    np.testing.assert_array_equal(read_image(tmp_path / "out.tif")[..., 0], seen)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert set(GEO) <= set(file.pages.first.tags.keys())


@pytest.mark.parametrize(
    "bad",
    [
        (33550, 12, 3, (np.nan, 1.0, 0.0), True),
        (33550, 2, 0, "wide", True),
        (34735, 12, 2, (1.5, -3.0), True),
        (33922, 12, 6, (np.inf, 0.0, 0.0, 0.0, 0.0, 0.0), True),
        (34264, 12, 70_000, tuple([0.0] * 70_000), True),
    ],
)
def test_a_place_that_is_damaged_is_none_and_the_image_is_read(tmp_path, bad):
    tags = [tag for tag in TAGS if tag[0] != bad[0]]
    tifffile.imwrite(tmp_path / "a.tif", PAGE, extratags=[*tags, bad], metadata=None)
    assert not open_pages(tmp_path / "a.tif").origin.geo
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], PAGE)


@pytest.mark.parametrize("value", [(0, 0), (1, 0), (0, 1)])
def test_a_resolution_of_nothing_is_none(tmp_path, value):
    tags = [(282, 5, 1, value, True), (283, 5, 1, (1, 1), True)]
    tifffile.imwrite(tmp_path / "a.tif", PAGE, extratags=tags, metadata=None, resolution=None)
    assert open_pages(tmp_path / "a.tif").origin.resolution in (None, (1.0, 1.0, 1))


@pytest.mark.parametrize("unit", ["nm\x00", "a" * 99, "\\u00B5m", "pixel"])
def test_a_unit_is_kept_as_it_is_written_where_it_is_plain_and_short(tmp_path, unit):
    text = f"ImageJ=1.54f\nimages=1\nunit={unit}\n".encode()
    tifffile.imwrite(tmp_path / "a.tif", PAGE, description=text, metadata=None)
    assert open_pages(tmp_path / "a.tif").origin.needs_tiff == (unit == "\\u00B5m")
    if unit == "\\u00B5m":
        with written(tmp_path / "a.tif") as file:
            assert "unit=\\u00B5m" in file.pages.first.description.splitlines()


def test_no_origin_is_an_origin(tmp_path):
    assert Origin().tags(None) == [] and Origin().description(3, 2) is None
