import os

import numpy as np
import pytest
import tifffile
from dataset_case import blobs, put, write_list

from kseg import datasets
from kseg.datasets.labels import label_files
from kseg.errors import DataError
from kseg.images import read_label


@pytest.fixture
def root(tmp_path):
    write_list(tmp_path / "mine")
    return tmp_path / "mine"


def test_rows_give_image_label_split_and_weight(root):
    data = datasets.open("list", root, split="held out")
    assert data.splits == ("train", "held out", "all") and data.ids == ["scan4_image", "scan5_image"]
    assert [item.weight for item in data] == [2, 2.5]
    image, label = blobs(14, 18, 5)
    np.testing.assert_array_equal(data[1].image[..., 0], image)
    np.testing.assert_array_equal(data[1].label, label)


def test_the_table_itself_may_be_named_whatever_it_is_called(root):
    (root / "list.csv").rename(root / "patients.csv")
    assert len(datasets.open("list", root / "patients.csv", split="train")) == 4
    with pytest.raises(
        DataError, match="list: .*mine does not hold it. .* for list.csv;.*itself: data_dir='TABLE.csv'"
    ):
        datasets.open("list", root, split="train")


def test_without_splits_a_fifth_is_held_out_and_paths_may_lead_elsewhere(root, tmp_path):
    rows = [f"../mine/scan{number}/image.png,{root}/drawn/{number}.png" for number in range(6)]
    table = tmp_path / "tables" / "other.csv"
    table.parent.mkdir()
    table.write_text("\n".join(["image,label", *rows]))
    parts = {split: datasets.open("list", table, split=split) for split in ("train", "val")}
    assert parts["val"].ids == ["mine_scan0_image", "mine_scan1_image"]  # SHA-256 / 2^256: 0.104, 0.102, 0.965, ...
    assert len(parts["train"]) == 4 and parts["train"][0].weight == 1
    assert set(parts["train"].ids) | set(parts["val"].ids) == {f"mine_scan{number}_image" for number in range(6)}


def test_stacks_are_read_page_by_page_and_labels_as_the_folder_s_options_say(root):
    pages = [blobs(14, 18, number) for number in range(3)]
    for place, name in ((0, "stack.tif"), (1, "cells.tif")):
        tifffile.imwrite(root / name, np.stack([page[place] for page in pages]), photometric="minisblack")
    (root / "list.csv").write_text("label,image,weight\ncells.tif,stack.tif,0.5\n")
    data = datasets.open("list", root, split="train", instances=True)
    assert len(data) == 2 and set(data.ids) < {"stack_000", "stack_001", "stack_002"}
    assert data[0].instances.max() == 2 and data[0].weight == 0.5 and data.classes == ("background", "object")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("picture,label\na,b", "the first line names the columns picture, label. They must be image and label; split"),
        ("image;label\na;b", "the first line names the columns image;label. They must be image and label; split"),
        ("image,label,image\na,b,c", "the first line names the columns image, label, image"),
        ("", r"the first line names the columns \(none\)"),
        ("image,label\n", "there is no line below the names of the columns"),
        ("image,label\na,b\nc,\n", "line 3 does not have 2 cells with something in each"),
        ("image,label\na,b,c\n", "line 2 does not have 2 cells"),
        ("image,label\na\n", "line 2 does not have 2 cells"),
        ("image,label,weight\na,b,heavy\n", "line 2 has the weight 'heavy'. It must be a number, 0 or above"),
        ("image,label,weight\na,b,-1\n", "line 2 has the weight '-1'"),
        ("image,label,weight\na,b,nan\n", "line 2 has the weight 'nan'"),
        ('image,label\n"a,b\n', "no table in UTF-8"),
        ("image,label,split\na,b,train\na,b,all\n", "line 3 names the split all, which stands for every line"),
        ("image,label\na,b\n", "a single image of 4 x 4. There must be two at least"),
    ],
)
def test_a_table_that_does_not_hold_is_refused_with_the_line(tmp_path, text, complaint):
    (tmp_path / "list.csv").write_text(text)
    for name in ("a", "b"):
        put(tmp_path / f"{name}.png", np.zeros((4, 4), np.uint8))
        (tmp_path / f"{name}.png").rename(tmp_path / name)
    with pytest.raises(DataError, match=f"list.csv: {complaint}"):
        datasets.open("list", tmp_path, split="train")


def test_a_folder_in_place_of_an_image_is_told(root):
    (root / "list.csv").write_text("image,label\n.,drawn/0.png\nscan0/image.png,drawn/0.png\n")
    with pytest.raises(DataError, match="mine: this is a folder, not an image"):
        datasets.open("list", root, split="train")


def test_a_table_in_another_encoding_or_with_a_missing_file_is_named(root):
    (root / "list.csv").write_bytes("image,label\nHöhe.png,b.png\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"list.csv: no table in UTF-8 .* Save it as CSV with commas"):
        datasets.open("list", root, split="train")
    (root / "list.csv").write_text("image,label\nnowhere.png,drawn/0.png\nscan0/image.png,drawn/0.png\n")
    with pytest.raises(DataError, match="nowhere.png: there is no such file"):
        datasets.open("list", root, split="train")


def test_the_labels_of_a_table_are_looked_through_once(root, monkeypatch, tmp_path):
    reads: list[str] = []
    monkeypatch.setenv("KSEG_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        label_files, "read_label", lambda path, page=0: reads.append(path.name) or read_label(path, page)
    )
    for path in (root / "drawn").iterdir():
        os.utime(path, (1, 1))
    for split in ("train", "held out", "train"):
        assert len(datasets.open("list", root, split=split).classes) == 3
    assert sorted(reads) == [f"{number}.png" for number in range(6)]
