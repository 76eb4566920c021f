import numpy as np
import pytest
from dataset_case import classes_of, put_mat, write_kit, write_sbd, write_voc_aug, write_voc_fcn

from kseg import datasets
from kseg.errors import DataError


def test_masks_are_the_segmentation_of_the_cls_files(tmp_path):
    write_sbd(tmp_path)
    data = datasets.open("sbd", tmp_path, split="train")
    np.testing.assert_array_equal(data[1].label, classes_of(14, 18, 21, 51)[1])
    release = tmp_path / "benchmark_RELEASE"
    for folder in (release, release / "dataset", release / "dataset" / "img"):
        assert datasets.open("sbd", folder, split="val").ids == ["2008_3"]


def test_files_that_are_no_such_masks_are_named(tmp_path):
    write_sbd(tmp_path)
    data, path = datasets.open("sbd", tmp_path, split="val"), tmp_path / "benchmark_RELEASE/dataset/cls/2008_3.mat"
    whole = path.read_bytes()
    for content, complaint in (
        (whole[:200], "no MATLAB file, or a damaged one"),
        (b"", "no MATLAB file, or a damaged one"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n", "MATLAB's version 7.3"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"2008_3.mat: {complaint}"):
            data[0]
    put_mat(path, GTinst=np.zeros(3))
    with pytest.raises(DataError, match="2008_3.mat: there is no variable GTcls.Segmentation in it"):
        data[0]
    path.unlink()
    with pytest.raises(DataError, match="2008_3.mat: there is no such file. Is this the data set as published"):
        data[0]


def test_voc_fcn_trains_on_sbd_and_holds_out_the_paper_s_images_with_voc_s_masks(tmp_path):
    write_voc_fcn(tmp_path)
    train, val = (datasets.open("voc-fcn", tmp_path, split=split) for split in ("train", "val"))
    assert train.ids == ["2011_000000", "2011_000009"] and val.ids == ["2007_000129", "2007_006449"]
    # 2011_000009 is of VOC's val too: it is trained on, as in the paper, with SBD's mask.
    np.testing.assert_array_equal(train[1].label, classes_of(14, 18, 21, 51)[1])
    assert 255 in val[0].label and 255 not in train[0].label and "cls" in train.location(0)


def test_voc_fcn_makes_do_with_voc_2012(tmp_path):
    write_voc_fcn(tmp_path)
    (tmp_path / "TrainVal").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="voc-fcn: .* does not hold it"):
        datasets.open("voc-fcn", tmp_path / "benchmark_RELEASE", split="val")
    write_kit(tmp_path / "VOC2012", 2012)
    assert datasets.open("voc-fcn", tmp_path, split="val").ids == ["2007_000129", "2007_006449"]


def test_voc_aug_joins_both_without_voc_s_val_and_prefers_voc_s_masks(tmp_path):
    write_voc_aug(tmp_path)
    train = datasets.open("voc-aug", tmp_path, split="train")
    assert train.ids == ["2008_2", "2008_3", "2012_000000", "2012_000001", "2012_000002"]
    assert [255 in item.label for item in train] == [False, False, True, True, True]
    assert "SegmentationClass" in train.location(2) and "cls" in train.location(0)
    assert datasets.open("voc-aug", tmp_path, split="val").ids == ["2007_000129", "2007_006449", "2012_000009"]


def test_voc_aug_has_the_published_number_of_images(shared, tmp_path):
    lists = shared / "data" / "lists"
    aug, val = ((lists / name).read_text().split() for name in ("train_aug_10582.txt", "voc12_val_1449.txt"))
    write_sbd(tmp_path, train=["2008_1"], val=["2008_2"])
    write_kit(tmp_path / "VOC2012", 2012)
    folder, kit = tmp_path / "benchmark_RELEASE" / "dataset", tmp_path / "VOC2012" / "ImageSets" / "Segmentation"
    for path, ids in (
        (folder / "train.txt", aug[::2]),
        (folder / "val.txt", aug[1::3] + val[:5]),
        (kit / "val.txt", val),
    ):
        path.write_text("\n".join(ids))
    (kit / "train.txt").write_text("\n".join(aug))
    assert datasets.open("voc-aug", tmp_path, split="train").ids == sorted(aug)


def test_the_real_images_are_read_in_sbd_s_layout(shared):
    data = datasets.open("sbd", shared / "data" / "voc", split="train")
    assert data.ids == ["2008_002536"] and set(np.unique(data[0].label)) == {0, 12, 17}
    assert datasets.open("voc-fcn", shared / "data" / "voc", split="val").ids == ["2007_000129", "2007_006449"]
