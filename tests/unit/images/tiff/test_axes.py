"""What the pages of a TIFF are: channels, slices, overviews, masks."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from kseg.errors import ConfigError, DataError
from kseg.images import label_pages, open_pages, read_image, read_label, stem_of

# Six pages of 2 x 5 pixels, page n holds 10 n to 10 n + 9.
PAGES = (10 * np.arange(6)[:, None, None] + np.arange(10).reshape(2, 5)).astype(np.uint8)


def firsts(path, **options):
    """The upper left pixel of each slice, by channel."""
    return [page[0, 0].tolist() for page in open_pages(path, **options)]


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("CYX", (6,), [[0, 10, 20, 30, 40, 50]]),
        ("ZYX", (6,), [[0], [10], [20], [30], [40], [50]]),
        ("TYX", (6,), [[0], [10], [20], [30], [40], [50]]),
        ("ZCYX", (3, 2), [[0, 10], [20, 30], [40, 50]]),
        ("TCYX", (2, 3), [[0, 10, 20], [30, 40, 50]]),
    ],
)
@pytest.mark.parametrize("writer", ["imagej", "ome", "tifffile"])
def test_channels_are_channels_and_planes_are_slices_whoever_wrote_the_axes(tmp_path, writer, axes, shape, expected):
    kind = {"imagej": {"imagej": True}, "ome": {"ome": True}, "tifffile": {"photometric": "minisblack"}}[writer]
    tifffile.imwrite(tmp_path / "a.tif", PAGES.reshape(*shape, 2, 5), metadata={"axes": axes}, **kind)
    assert firsts(tmp_path / "a.tif") == expected
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], PAGES[0])


def test_channels_that_vary_slowest_come_together_in_ome(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", PAGES.reshape(2, 3, 2, 5), ome=True, metadata={"axes": "CZYX"})
    assert firsts(tmp_path / "a.ome.tif") == [[0, 30], [10, 40], [20, 50]]


def test_pages_stand_where_tiffdata_puts_them(tmp_path):
    planes = "".join(f'<TiffData IFD="{5 - z}" FirstZ="{z}"/>' for z in range(6))
    pixels = f'DimensionOrder="XYZCT" SizeX="5" SizeY="2" SizeZ="6" SizeC="1" SizeT="1">{planes}</Pixels>'
    text = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels {pixels}</Image></OME>'
    tifffile.imwrite(tmp_path / "a.tif", PAGES, photometric="minisblack", description=text, metadata=None)
    assert firsts(tmp_path / "a.tif") == [[50], [40], [30], [20], [10], [0]]
    assert read_label(tmp_path / "a.tif", 1)[0, 0] == 40


def test_channels_within_each_pixel_stay_one_image_whichever_way_they_lie(tmp_path):
    pixels = np.moveaxis(PAGES[:3], 0, -1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", metadata={"axes": "YXS"})
    assert firsts(tmp_path / "a.tif") == firsts(tmp_path / "a.tif", axes="YXS") == [[0, 10, 20]]
    tifffile.imwrite(tmp_path / "b.tif", PAGES[:3], photometric="rgb", planarconfig="separate")
    assert firsts(tmp_path / "b.tif") == firsts(tmp_path / "b.tif", axes="CYX") == [[0, 10, 20]]
    tifffile.imwrite(tmp_path / "c.tif", np.stack([pixels, pixels + 1]), photometric="rgb", metadata=None)
    assert firsts(tmp_path / "c.tif", axes="ZYX") == [[0, 10, 20], [1, 11, 21]]
    assert firsts(tmp_path / "c.tif", axes="CYX") == [[0, 10, 20, 1, 11, 21]]


def test_where_the_file_says_nothing_a_page_is_a_slice_and_a_person_may_say_otherwise(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGES, photometric="minisblack", metadata=None)
    assert len(open_pages(tmp_path / "a.tif")) == 6
    assert firsts(tmp_path / "a.tif", axes="CYX") == [[0, 10, 20, 30, 40, 50]]
    assert firsts(tmp_path / "a.tif", axes="TZYX"[1:]) == firsts(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a.tif: 6 pages do not fit the axes Z and C that data.axes names"):
        open_pages(tmp_path / "a.tif", axes="ZCYX")
    tifffile.imwrite(tmp_path / "b.tif", PAGES.reshape(3, 2, 2, 5), photometric="minisblack")  # its shape is written
    assert firsts(tmp_path / "b.tif", axes="ZCYX") == [[0, 10], [20, 30], [40, 50]]
    tifffile.imwrite(tmp_path / "c.tif", PAGES, imagej=True)  # which tifffile calls channels
    assert firsts(tmp_path / "c.tif", axes="ZYX") == firsts(tmp_path / "a.tif")


@pytest.mark.parametrize("axes", ["XYC", "cyx", "CYYX", "", "Y", "C-YX"])
def test_axes_that_are_none_are_refused(tmp_path, axes):
    with pytest.raises(ConfigError, match="data.axes is .*Name each axis once, the outermost first: CYX for pages"):
        open_pages(tmp_path / "a.tif", axes=axes)


def test_rows_as_pages_are_refused_by_name(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((6, 2, 3), np.uint8), photometric="minisblack", metadata=None)
    with pytest.raises(
        DataError, match="a.tif: its axes are YXC, but each of its pages is YX. Save it as pages of whole"
    ):
        open_pages(tmp_path / "a.tif", axes="YXC")


def test_of_a_label_every_page_is_one_whatever_it_is_called(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGES, imagej=True, metadata={"axes": "CYX"})
    assert label_pages(tmp_path / "a.tif") == 6 and len(open_pages(tmp_path / "a.tif")) == 1
    assert [int(read_label(tmp_path / "a.tif", page)[0, 0]) for page in range(6)] == [0, 10, 20, 30, 40, 50]


def test_overviews_and_masks_are_no_slices(tmp_path):
    for order in "<>":
        for big in (False, True):
            with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order, bigtiff=big) as file:
                file.write(PAGES[0], metadata=None)
                file.write(PAGES[0, ::2, ::2], subfiletype=1, metadata=None)
                file.write(PAGES[0] > 2, subfiletype=4, metadata=None, photometric="mask")
                file.write(PAGES[3], subfiletype=2, metadata=None)  # "one page of several"
                file.write(PAGES[0, ::2, ::2] > 2, subfiletype=5, metadata=None)
            assert firsts(tmp_path / "a.tif") == [[0], [30]] and label_pages(tmp_path / "a.tif") == 2
            assert read_label(tmp_path / "a.tif", 1)[0, 0] == 30
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:  # where all are called so, all are images
        file.write(PAGES[1], subfiletype=1, metadata=None)
    assert firsts(tmp_path / "b.tif") == [[10]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ImageJ=1.54f\nimages=4\nchannels=2\nslices=2\n",
            "6 pages, but its ImageJ description says T 1, Z 2, C 2. Say",
        ),
        (json.dumps({"shape": [4, 2, 5], "axes": "CYX"}), "6 pages, but its tifffile description says C 4. Say what"),
        ('<OME><Image><Pixels SizeC="6"', "6 pages, but its OME-XML is broken. Save it again. Say what the pages are"),
        (
            "<OME><Image><Pixels/></Image><Image><Pixels/></Image></OME>",
            "6 pages, but it holds 2 images .OME-XML.. Save",
        ),
        ('<!DOCTYPE a [<!ENTITY b "c">]><OME><Image><Pixels/></Image></OME>', "6 pages, but its OME-XML is broken"),
        ('<?xml version="1.0" encoding="nobodys"?><OME/>', "6 pages, but its OME-XML is broken"),
    ],
)
def test_channels_that_do_not_fit_the_pages_are_asked_about(tmp_path, text, message):
    tifffile.imwrite(tmp_path / "a.tif", PAGES, photometric="minisblack", description=text, metadata=None)
    with pytest.raises(DataError, match=f"a.tif: {message}"):
        open_pages(tmp_path / "a.tif")
    assert len(open_pages(tmp_path / "a.tif", axes="ZYX")) == label_pages(tmp_path / "a.tif") == 6
    tifffile.imwrite(tmp_path / "b.tif", PAGES[0], description=text, metadata=None)
    if " 4" not in message and "Z 2" not in message:  # one directory may stand for all
        assert firsts(tmp_path / "b.tif") == [[0]]  # of one page there is nothing to ask


@pytest.mark.parametrize(
    "text",
    [
        "ImageJ=1.54f\nimages=4\nslices=4\n",
        "ImageJ=\nchannels=99999999999999999999\nslices=-2\n",
        '{"shape": ["a", -1, 1e400], "axes": "CYX"}',
        '{"shape": [6, 2, 5], "axes": "??X"}',
        '{"shape": ' + "[" * 5000,
        "<OME/>",
    ],
)
def test_a_description_that_says_nothing_of_channels_leaves_pages_slices(tmp_path, text):
    tifffile.imwrite(tmp_path / "a.tif", PAGES, photometric="minisblack", description=text, metadata=None)
    assert len(open_pages(tmp_path / "a.tif")) == 6


def test_no_other_file_is_opened_that_a_description_names(tmp_path):
    data = "".join(
        f'<TiffData IFD="0" FirstC="{c}"><UUID FileName="{name}">urn:uuid:{c}</UUID></TiffData>'
        for c, name in enumerate(("a.tif", "/etc/passwd"))
    )
    pixels = f'DimensionOrder="XYZCT" SizeX="5" SizeY="2" SizeZ="1" SizeC="2" SizeT="1">{data}</Pixels>'
    text = f"<OME><Image><Pixels {pixels}</Image></OME>"
    tifffile.imwrite(tmp_path / "a.tif", PAGES[0], description=text, metadata=None)
    assert firsts(tmp_path / "a.tif") == [[0]]


def test_a_network_s_channels_settle_what_a_file_leaves_open(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGES[:2], photometric="minisblack", metadata=None)
    plain = open_pages(tmp_path / "a.tif")
    assert [len(plain.for_channels(count)) for count in (1, 2, 3, 4)] == [2, 1, 2, 2]
    tifffile.imwrite(tmp_path / "b.tif", PAGES[:2], imagej=True, metadata={"axes": "ZYX"})
    assert len(open_pages(tmp_path / "b.tif").for_channels(2)) == 2  # the file says that they are slices
    tifffile.imwrite(tmp_path / "c.tif", np.moveaxis(PAGES[:4], 0, -1), photometric="rgb", extrasamples=["unassalpha"])
    assert open_pages(tmp_path / "c.tif").for_channels(4)[0].shape == (2, 5, 4)
    with pytest.raises(DataError, match="pass alpha='channel'"):
        open_pages(tmp_path / "c.tif").for_channels(3)[0]


def test_pages_that_are_called_channels_and_are_not_those_of_the_network_are_refused_with_the_way_on(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGES, imagej=True)  # a stack of slices, which tifffile calls channels
    with pytest.raises(
        DataError, match=r"a.tif: its pages are 6 channels of 1 slice, but the network takes 1. .* axes='ZYX'"
    ):
        open_pages(tmp_path / "a.tif").for_channels(1)
    assert len(open_pages(tmp_path / "a.tif", axes="ZYX").for_channels(1)) == 6


def test_an_extra_channel_called_alpha_is_one_like_the_others_where_a_person_says_so(tmp_path):
    pixels = np.moveaxis(PAGES[:4], 0, -1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(open_pages(tmp_path / "a.tif", alpha=True)[0], pixels)
    full = np.concatenate([pixels[..., :3], np.full((2, 5, 1), 255, np.uint8)], axis=2)
    tifffile.imwrite(tmp_path / "a.tif", full, photometric="rgb", extrasamples=["unassalpha"])
    assert open_pages(tmp_path / "a.tif", alpha=True)[0].shape == (2, 5, 4)  # as many channels as its neighbours
    assert read_image(tmp_path / "a.tif").shape == (2, 5, 3)


def test_a_png_s_fourth_channel_is_one_like_the_others_where_a_person_says_so(tmp_path):
    pixels = np.moveaxis(PAGES[:4], 0, -1)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_pages(tmp_path / "a.png", alpha=True)[0], pixels)


def test_the_stem_of_an_ome_tiff_is_that_of_its_label(tmp_path):
    names = ["x.ome.tif", "x.OME.TIFF", "x.tif", "x.ome.png", "y.z.tif"]
    assert [stem_of(tmp_path / name) for name in names] == ["x", "x", "x", "x.ome", "y.z"]
