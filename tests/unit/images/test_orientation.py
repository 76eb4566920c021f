"""Orientation tags of images, and what is known of their labels."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kseg.images import open_pages, orientation_of, sizes_tell, turn_of_label, turned

PICTURE = np.arange(6, dtype=np.uint8).reshape(2, 3)


def tagged(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_tag_of_a_file_is_known_without_its_pixels(tmp_path, ending, orientation):
    path = tmp_path / f"a.{ending}"
    if ending == "tif":
        tifffile.imwrite(path, PICTURE, extratags=[(274, 3, 1, orientation, True)])
    else:
        Image.fromarray(PICTURE).save(path, exif=tagged(orientation))
    assert orientation_of(path) == open_pages(path).orientation == orientation


def test_a_png_without_a_tag_is_not_decoded_to_know_it(tmp_path):
    info = PngInfo()
    info.add_text("Software", "a plot")
    Image.fromarray(PICTURE).save(tmp_path / "a.png", pnginfo=info)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: data.index(b"IDAT") + 6])  # nothing to decode
    assert orientation_of(tmp_path / "a.png") == 1
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 255\n\0\1\xff")
    assert orientation_of(tmp_path / "a.pgm") == 1


def test_a_tag_in_a_png_s_text_is_known_as_it_is_followed(tmp_path):
    info = PngInfo()
    xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    info.add_itxt("XML:com.adobe.xmp", xmp)
    Image.fromarray(PICTURE).save(tmp_path / "a.png", pnginfo=info)
    pages = open_pages(tmp_path / "a.png")
    assert pages.orientation == 6 and pages[0].shape == (3, 2, 1)


def test_a_tag_beyond_8_is_none(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, extratags=[(274, 3, 1, 9, True)])
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", exif=tagged(0))
    assert orientation_of(tmp_path / "a.tif") == orientation_of(tmp_path / "a.jpg") == 1


def test_sizes_tell_of_a_quarter_turn_alone():
    assert [tag for tag in range(1, 9) if sizes_tell((2, 3), tag)] == [5, 6, 7, 8]
    assert not any(sizes_tell((3, 3), tag) for tag in range(1, 9))


@pytest.mark.parametrize(
    ("seen", "label", "tag", "drawn", "turn"),
    [
        ((3, 2), (3, 2), 6, None, 1),
        ((3, 2), (2, 3), 6, None, 6),
        ((3, 2), (2, 3), 6, "follow", 6),  # the size is stronger than the word
        ((3, 2), (3, 2), 6, "stored", 1),
        ((3, 2), (9, 9), 6, None, 1),  # another fault, told elsewhere
        ((3, 3), (3, 3), 6, None, None),
        ((3, 3), (3, 3), 6, "follow", 1),
        ((3, 3), (3, 3), 6, "stored", 6),
        ((3, 2), (3, 2), 3, None, None),
        ((3, 2), (3, 2), 2, "stored", 2),
        ((3, 3), (3, 3), 1, None, 1),
    ],
)
def test_a_label_is_turned_where_its_size_or_a_person_says_so(seen, label, tag, drawn, turn):
    assert turn_of_label(seen, label, tag, drawn) == turn


def test_a_label_turned_as_its_image_lies_on_it():
    for tag in range(1, 9):
        label = turned(PICTURE, tag)
        assert np.array_equal(label, turned(PICTURE[..., None], tag)[..., 0])
