import numpy as np
import pytest
from dataset_case import classes_of, put, put_text, write_camvid

from kseg import datasets
from kseg.errors import DataError


@pytest.fixture
def root(tmp_path):
    write_camvid(tmp_path / "CamVid")
    return tmp_path / "CamVid"


def test_both_layouts_hold_the_same(root, tmp_path):
    other = tmp_path / "other"
    for split in ("train", "val"):
        for kind, folder in (("images", split), ("labels", f"{split}annot")):
            (other / split).mkdir(parents=True, exist_ok=True)
            (root / folder).rename(other / split / kind)
    data = datasets.open("camvid", other, split="val")
    assert data.splits == ("train", "val") and data.ids == ["0001TP_4", "0001TP_5"]
    image, label = classes_of(14, 18, 12, 4)
    np.testing.assert_array_equal(data[0].image, image)
    np.testing.assert_array_equal(data[0].label, np.where(label == 11, 255, label))


def test_the_classes_are_the_tutorial_s_or_those_of_classes_txt(root):
    assert datasets.open("camvid", root, split="val").classes[7:] == ("Fence", "Car", "Pedestrian", "Bicyclist")
    names = [f"thing {number}" for number in range(11)]
    put_text(root / "classes.txt", *names)
    assert datasets.open("camvid", root, split="val").classes == tuple(names)
    put_text(root / "classes.txt", *names, "Unlabelled")
    with pytest.raises(DataError, match="classes.txt: 12 names, but there are 11 classes, and 11 is void. Name each"):
        datasets.open("camvid", root, split="val")


def test_each_class_has_the_tutorial_s_colour(root):
    data = datasets.open("camvid", root, split="val")
    colours = dict(zip(data.classes, data.colours, strict=True))
    assert (colours["Sky"], colours["Pavement"]) == ((128, 128, 128), (60, 40, 222))
    assert (colours["Tree"], colours["Car"], colours["Bicyclist"]) == ((128, 128, 0), (64, 0, 128), (0, 128, 192))


def test_another_number_names_the_file_and_what_is_read(root):
    put(root / "valannot" / "0001TP_4.png", np.full((14, 18), 31, np.uint8))
    data = datasets.open("camvid", root, split="val")
    with pytest.raises(DataError, match=r"0001TP_4.png: label 31 at row 0, .* there are 11 classes. Is this CamVid in"):
        data[0]


def test_a_frame_without_a_label_is_named(root):
    (root / "valannot" / "0001TP_4.png").unlink()
    with pytest.raises(DataError, match="2 images and 1 labels, 1 of them without a partner: val/0001TP_4.png"):
        datasets.open("camvid", root, split="val")


def test_the_real_frames_are_read(shared):
    data = datasets.open("camvid", shared / "data" / "camvid", split="val")
    assert len(data) == 101 and data.classes[0] == "Sky" and data.splits == ("train", "val")
    assert data[3].image.shape == (180, 240, 3) and set(np.unique(data[3].label)) <= {*range(11), 255}
