"""Pages on their way to files: bands of rows, compression, and files above 4 GB."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from kseg.images import Bands, stack_writer, write_image
from kseg.images.tiff.bands import TILE


@pytest.mark.parametrize("heights", [[600], [1, 255, 1, 300, 43], [256, 256, 88], [300, 300]])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_bands_become_a_page_of_tiles(tmp_path, heights, dtype):
    image = np.random.default_rng(0).integers(0, 256, (600, 300)).astype(dtype)
    bands = Bands(image.shape, dtype, tmp_path)
    for band in np.split(image, np.cumsum(heights)[:-1]):
        bands.add(band)
    with stack_writer(tmp_path / "a.tif", pages=2) as write:
        write(bands)
        write(image)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert not file.is_bigtiff and file.pages[0].tile == (TILE, TILE) and file.pages[1].tile is None
        for page in file.pages:
            assert page.dtype == dtype
            np.testing.assert_array_equal(page.asarray(), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.tif"), cv2.IMREAD_UNCHANGED), image)


def test_a_page_of_colours_is_read_by_others(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (700, 500, 3)).astype(np.uint8)
    with stack_writer(tmp_path / "a.tif") as write:
        write(image)
    with Image.open(tmp_path / "a.tif") as picture:
        np.testing.assert_array_equal(np.asarray(picture), image)


def test_a_file_that_may_exceed_4_gb_is_a_bigtiff(tmp_path):
    for size, is_big in ((4_200_000_000, False), (4_300_000_000, True)):
        with stack_writer(tmp_path / "a.tif", size_bytes=size) as write:
            write(np.ones((20, 30), np.uint8))
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            assert file.is_bigtiff == is_big


def test_areas_are_written_as_they_are_and_no_larger(tmp_path):
    rows, columns = np.mgrid[:512, :512]
    ids = ((rows - 256) ** 2 + (columns - 200) ** 2 < 150**2).astype(np.uint8) + (columns > 400)
    for name, in_areas in (("areas", True), ("plain", False)):
        write_image(tmp_path / f"{name}.png", ids, palette=np.zeros((256, 3), np.uint8), in_areas=in_areas)
        with Image.open(tmp_path / f"{name}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), ids)
    assert (tmp_path / "areas.png").stat().st_size <= 1.1 * (tmp_path / "plain.png").stat().st_size
