"""How image and label of a person's own lie on each other."""

import numpy as np
import pytest
import tifffile
from PIL import Image

import kseg
from kseg import datasets
from kseg.check import check
from kseg.datasets import survey
from kseg.errors import DataError, Setting
from kseg.reports import evaluate

LABEL = np.zeros((4, 4), np.uint8)
LABEL[0, 0] = 1  # the upper left pixel alone


def put(folder, image, label, names="abc", **about):
    for name in names:
        for kind, array in (("images", image), ("labels", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            more = about if kind == "images" else {}
            tifffile.imwrite(folder / kind / f"{name}.tif", array, **{"photometric": "minisblack", **more})
    return folder


def opened(folder, **options):
    return datasets.open("folder", folder, split="all", **options)


def turned_by(tag):
    return {"extratags": [(274, 3, 1, tag, True)]}


@pytest.mark.parametrize("tag", [2, 3, 4, 5, 6, 7, 8])
def test_a_square_or_half_turned_image_s_label_is_asked_about_before_anything_is_learned_or_scored(tmp_path, tag):
    data = opened(put(tmp_path, 200 * LABEL, LABEL, **turned_by(tag)))
    network = kseg.build("unet", depth=1, width=2, padding="same", classes=2)
    for ask in (lambda: survey(data), lambda: survey(data[1:]), lambda: evaluate(network, data)):
        with pytest.raises(
            DataError, match=r"a.tif \(3 of 3\): the label's image is .* orientation tag \(EXIF, \d\)"
        ) as asked:
            ask()
        for drawn in ("follow", "stored"):
            assert Setting("data.orientation", drawn) in asked.value.fix
    for said, lies in (("stored", True), ("follow", False)):
        data = opened(tmp_path, orientation=said)
        item = data[0]
        assert survey(data).images == 3 and (item.image[item.label == 1] == 200).all() == (lies or tag == 5)


def test_where_the_size_or_the_label_s_own_tag_tells_nothing_is_asked(tmp_path):
    image, label = np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8)
    image[0, 0], label[0, 0] = 200, 1
    item = opened(put(tmp_path / "stored", image, label, **turned_by(6)))[0]
    assert item.label.shape == (4, 2) and item.image[item.label == 1].tolist() == [[200]]
    put(tmp_path / "both", 200 * LABEL, LABEL, **turned_by(3))
    for path in (tmp_path / "both/labels").iterdir():
        tifffile.imwrite(path, LABEL, **turned_by(3))
    data = opened(tmp_path / "both")
    assert survey(data).images == 3 and data[0].image[data[0].label == 1].tolist() == [[200]]


def test_a_photograph_s_tag_asks_as_a_tiff_s(tmp_path):
    put(tmp_path, LABEL, LABEL)
    exif = Image.Exif()
    exif[274] = 3
    (tmp_path / "images/b.tif").unlink()
    Image.fromarray(200 * LABEL).save(tmp_path / "images/b.jpg", exif=exif)
    assert "b.tif (1 of 3)" in opened(tmp_path).question.what


def test_pixels_without_data_are_void_in_label_and_objects(tmp_path):
    image = np.array([[-9999, 0.5], [0.25, 1]], np.float32)
    label = np.array([[300, 255], [0, 300]], np.uint16)
    data = opened(put(tmp_path, image, label, extratags=[(42113, 2, 0, "-9999", True)]), instances=True)
    item = data[0]
    assert item.image[..., 0].tolist() == [[0, 0.5], [0.25, 1]]
    assert item.label.tolist() == [[255, 1], [0, 1]] and item.instances.tolist() == [[0, 255], [0, 300]]
    assert data.doubts[0].what.startswith("3 of 3 images mark -9999 as pixels without data (GDAL_NODATA)")
    with_void = opened(tmp_path, instances=True, ignore_class=300)[0]
    assert with_void.label.tolist() == [[255, 1], [0, 255]] and with_void.instances.tolist() == [[0, 255], [0, 0]]


@pytest.mark.parametrize("kind", [np.int16, np.int64, np.float32])
def test_void_may_be_any_number_and_objects_as_large_as_int32(tmp_path, kind):
    label = np.array([[-9999, 0], [1, 0]], kind)
    item = opened(put(tmp_path / "a", np.zeros((2, 2), np.uint8), label), ignore_class=-9999)[0]
    assert item.label.tolist() == [[255, 0], [1, 0]]
    label = np.array([[100_000, 0], [2, 100_000]]).astype(np.uint32 if kind != np.float32 else kind)
    item = opened(put(tmp_path / "b", np.zeros((2, 2), np.uint8), label), instances=True)[0]
    assert item.instances.tolist() == [[100_000, 0], [2, 100_000]]


@pytest.mark.parametrize("options", [{"classes": 2}, {"instances": True}])
def test_a_number_below_0_that_nobody_calls_void_is_refused_and_told_by_the_check(tmp_path, options):
    put(tmp_path, np.zeros((2, 2), np.uint8), np.array([[0, 1], [-7, 1]], np.int16), names="a")
    put(tmp_path, np.ones((2, 2), np.uint8), np.array([[0, 1], [0, 1]], np.int16), names="b")
    with pytest.raises(DataError, match=r"a.tif: label -7 at row 1, column 0 .*pass ignore_class=-7"):
        opened(tmp_path, **options)[0]
    (finding,) = check("folder", tmp_path, **options).findings
    assert finding.what == "label -7, below 0" and finding.advice() == "where it is void, pass ignore_class=-7"
    assert not check("folder", tmp_path, **options, ignore_class=-7).findings


def test_channels_in_pages_are_one_image_and_a_plain_file_s_where_a_person_says_so(tmp_path):
    image = np.stack([LABEL, 2 * LABEL])
    data = opened(put(tmp_path / "said", image, LABEL, imagej=True, metadata={"axes": "CYX"}, photometric=None))
    assert len(data) == 3 and data[0].image[0, 0].tolist() == [1, 2]
    put(tmp_path / "plain", image, LABEL, metadata=None)
    with pytest.raises(DataError, match=r"a.tif: 2 pages, but .*a.tif has 1. .* pass axes='CYX'"):
        opened(tmp_path / "plain")
    assert opened(tmp_path / "plain", axes="CYX")[0].image[0, 0].tolist() == [1, 2]
    put(
        tmp_path / "z", image, image, imagej=True, photometric=None, metadata={"axes": "CYX"}
    )  # tifffile calls these channels
    with pytest.raises(DataError, match=r"a.tif: 1 page of 2 channels, but .*a.tif has 2. .* pass axes='ZYX'"):
        opened(tmp_path / "z", ignore_class=9)
    assert len(opened(tmp_path / "z", axes="ZYX", classes=3)) == 6


def test_the_list_takes_the_same_options(tmp_path):
    put(tmp_path, np.stack([LABEL, 2 * LABEL]), LABEL, metadata=None)
    rows = [f"images/{name}.tif,labels/{name}.tif" for name in "abc"]
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *rows]))
    assert datasets.open("list", tmp_path, split="all", axes="CYX")[0].image.shape == (4, 4, 2)


def test_a_fourth_band_called_alpha_is_a_channel_where_a_person_says_so(tmp_path):
    image = np.dstack([LABEL, LABEL, LABEL, 7 + LABEL])
    put(tmp_path, image, LABEL, photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(DataError, match="pass alpha='channel'"):
        opened(tmp_path)[0]
    assert opened(tmp_path, alpha="channel")[0].image[0, 0].tolist() == [1, 1, 1, 8]
