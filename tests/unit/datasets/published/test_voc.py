import shutil

import numpy as np
import pytest
from dataset_case import classes_of, put_mask, put_text, write_kit

from kseg import datasets
from kseg.errors import DataError

SEGMENTATION = "ImageSets/Segmentation"


def test_palette_masks_are_read_as_numbers_and_255_is_void(tmp_path):
    write_kit(tmp_path / "VOC2012", 2012)
    data = datasets.open("voc2012", tmp_path, split="train")
    _, label = classes_of(14, 18, 22, 2012)
    np.testing.assert_array_equal(data[0].label, np.where(label == 21, 255, label))
    assert data.classes[15] == "person" and len(data.classes) == 21


@pytest.mark.parametrize("above", ["", "VOCdevkit", "TrainVal/VOCdevkit"])
def test_any_folder_of_the_archive_will_do(tmp_path, above):
    kit = tmp_path / above / "VOC2011"
    write_kit(kit, 2011)
    for folder in (tmp_path, kit.parent, kit, kit / "JPEGImages"):
        assert datasets.open("voc2011", folder, split="train").ids == ["2011_000000", "2011_000001", "2011_000002"]
    kit.rename(kit.with_name("pascal"))
    assert len(datasets.open("voc2011", kit.with_name("pascal"), split="train")) == 3


def test_another_year_is_refused(tmp_path):
    write_kit(tmp_path / "VOCdevkit" / "VOC2011", 2011)
    with pytest.raises(DataError, match="voc2012: .*VOC2011 is of 2011. Name the folder that holds VOC2012"):
        datasets.open("voc2012", tmp_path / "VOCdevkit" / "VOC2011", split="train")
    with pytest.raises(DataError, match="voc2012: .* does not hold it"):
        datasets.open("voc2012", tmp_path, split="train")


def test_seg11valid_is_the_736_ids_of_the_paper(tmp_path):
    kit = tmp_path / "VOC2011"
    write_kit(kit, 2011)
    listed = (datasets.voc.IDS / "seg11valid.txt").read_text().split()
    assert len(listed) == len(set(listed)) == 736 and listed == sorted(listed)
    assert (listed[0], listed[-1]) == ("2007_000033", "2011_003271")
    put_text(kit / SEGMENTATION / "val.txt", *reversed(listed), "2011_000009")
    assert datasets.open("voc2011", tmp_path, split="seg11valid").ids == listed


def test_a_missing_mask_or_list_and_a_stray_number_are_named(tmp_path):
    write_kit(tmp_path / "VOC2012", 2012)
    data = datasets.open("voc2012", tmp_path, split="train")
    masks = tmp_path / "VOC2012" / "SegmentationClass"
    put_mask(masks / "2012_000001.png", np.full((14, 18), 38, np.uint8))
    with pytest.raises(DataError, match="SegmentationClass/2012_000001.png: label 38 .*, but there are 21 classes"):
        data[1]
    (masks / "2012_000000.png").unlink()
    with pytest.raises(DataError, match="2012_000000.png: there is no such file"):
        data[0]
    (tmp_path / "VOC2012" / SEGMENTATION / "val.txt").unlink()
    with pytest.raises(DataError, match="val.txt: there is no such file"):
        datasets.open("voc2012", tmp_path, split="val")


def test_the_real_masks_are_read(shared, tmp_path):
    data = datasets.open("voc2012", shared / "data" / "voc", split="trainval")
    assert data.ids[0] == "2007_000129" and [set(np.unique(item.label)) for item in data] == [
        {0, 2, 15, 255},
        {0, 12, 255},
        {0, 2, 255},
        {0, 12, 17, 255},
        {0, 5, 15, 255},
    ]
    shutil.copytree(shared / "data" / "voc" / "VOCdevkit" / "VOC2012", tmp_path / "VOC2011")
    assert datasets.open("voc2011", tmp_path, split="seg11valid").ids == ["2007_000129", "2007_006449"]
