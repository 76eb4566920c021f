"""Published data sets through their own readers, and the findings as words, JSON and a picture."""

import shutil

import numpy as np
import pytest
from check_trees import image, put

from kseg.check import Finding, check, contact_sheet, in_words
from kseg.check.sheet import PANEL, RING, draw_pair
from kseg.cli.spelling import as_option
from kseg.errors import DataError

CLASSES = np.arange(48, dtype=np.uint8).reshape(6, 8) % 12


@pytest.fixture
def camvid(tmp_path):
    for seed, split in enumerate(("train", "val", "test")):
        for number in range(2):
            put(tmp_path / split / f"{number}.png", image(10 * seed + number))
            put(tmp_path / f"{split}annot" / f"{number}.png", CLASSES)
    return tmp_path


def texts(root, **options):
    return [str(finding) for finding in check("camvid", root, **options).findings]


def test_a_whole_set_has_no_findings(camvid):
    found = check("camvid", camvid)
    assert not found.findings and found.splits == {"train": 2, "val": 2, "test": 2}


def test_items_that_can_not_be_read_are_all_named(camvid):
    (camvid / "train/0.png").write_bytes((camvid / "train/0.png").read_bytes()[:90])
    put(camvid / "valannot/1.png", CLASSES + 3)
    put(camvid / "testannot/0.png", CLASSES[:5])
    found = check("camvid", camvid)
    assert [finding.kind for finding in found.findings] == ["truncated", "size", "outside"]
    assert [finding.file for finding in found.findings] == ["train/0", "test/0", "val/1"]
    assert "valannot/1.png: label 14 at row 0, column 11" not in str(found.findings[2])
    assert "valannot/1.png: label 12 at row 1, column 1" in str(found.findings[2])


def test_a_kind_comes_from_the_error_and_not_from_the_folder_s_name(camvid):
    root = camvid.rename(camvid.with_name("St. truncated or damaged, but there are"))
    put(root / "valannot/1.png", np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8))
    put(root / "testannot/0.png", CLASSES + 3)
    unreadable, outside = check("camvid", root).findings
    assert (unreadable.kind, outside.kind) == ("unreadable", "outside")
    assert unreadable.what.endswith("colours, not class numbers") and unreadable.advice().startswith("Save it as")
    assert outside.what.endswith("but there are 11 classes") and outside.advice().startswith("Is this CamVid")


def test_an_image_in_two_splits_and_one_twice_are_found(camvid):
    shutil.copy(camvid / "test/1.png", camvid / "train/1.png")
    shutil.copy(camvid / "val/0.png", camvid / "val/1.png")
    assert texts(camvid) == ["train/1: the same pixels as test/1", "val/0: the same pixels as val/1"]
    assert not texts(camvid, split="train")


def test_classes_without_a_pixel_and_classes_only_held_out(camvid):
    for split in ("train", "val", "test"):
        for number in range(2):
            put(camvid / f"{split}annot/{number}.png", np.minimum(CLASSES, 9 if split == "test" else 8))
    assert texts(camvid) == [
        "all splits: no label has 1 of 11 classes: Bicyclist",
        "test: Pedestrian: here, but never in train",
    ]


def test_a_split_that_can_not_be_opened_does_not_hide_the_others(camvid):
    (camvid / "train/0.png").unlink()
    put(camvid / "valannot/0.png", CLASSES + 100)
    found = check("camvid", camvid)
    assert [finding.kind for finding in found.findings] == ["layout", "outside"] and "train" not in found.splits
    assert "1 of them without a partner: trainannot/0.png" in str(found.findings[0])


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="camvid: .* does not hold it"):
        check("camvid", tmp_path)


# Words and pictures


def test_findings_of_a_kind_stand_together_the_first_five_in_words(camvid):
    found = check("camvid", camvid)
    found.findings = [
        Finding("unpaired", f"{number}.png", "alone", ("bring it",), in_copy="leaves it out") for number in range(7)
    ]
    assert in_words(found, as_option, "--fix DIR", "--json FILE") == (
        "camvid: 6 images with a label (train 2, val 2, test 2), 7 findings\n\nfiles without a partner (7)\n"
        + "".join(f"  {number}.png: alone\n" for number in range(5))
        + "  ... and 2 more; --json FILE names all\n  fix: bring it; --fix DIR leaves it out"
    )
    found.findings = []
    assert in_words(found).endswith(", nothing wrong")


def test_the_picture_rings_the_first_pixel(tmp_path):
    put(tmp_path / "a.png", image(0))
    put(tmp_path / "b.png", CLASSES)
    draw = [lambda: draw_pair(tmp_path / "a.png", tmp_path / "b.png", 0)]
    findings = [Finding("void", f"{number}.png", "255", ("x",), 3, 4, 1, 0.1, draw=draw[0]) for number in range(9)]
    picture = contact_sheet(findings)
    assert picture.shape[1] == 4 * PANEL + 12 and picture.shape[0] < 2 * PANEL  # four of a kind
    assert (picture == RING).all(axis=2).any()
    assert contact_sheet([Finding("unpaired", "a.png", "alone", ("bring it",))]) is None


def test_what_can_not_be_read_is_drawn_grey(tmp_path):
    put(tmp_path / "a.png", image(0))
    (tmp_path / "b.png").write_text("no image")
    picture = draw_pair(tmp_path / "a.png", tmp_path / "b.png", 0)
    assert (picture[:6, :8] == image(0)).all() and (picture[:, -1] == 128).all()


def test_a_label_of_half_the_size_is_drawn_as_high_as_its_image(tmp_path):
    put(tmp_path / "a.png", image(0))
    height, width = image(0).shape[:2]
    put(tmp_path / "b.png", np.ones((height // 2, width // 2), np.uint8))
    picture = draw_pair(tmp_path / "a.png", tmp_path / "b.png", 0)
    assert picture.shape == (height, 2 * width + 4, 3) and (picture[:, width : width + 4] == 255).all()
    assert (picture[1:-1, width + 5 : -1] == picture[1, -2]).all() and picture[1, -2].any()
