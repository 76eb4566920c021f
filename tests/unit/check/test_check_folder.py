"""What is wrong with the files of a person's folder, told all at once."""

import csv

import numpy as np
import pytest
import tifffile
from check_trees import LABEL, fix_of, image, kinds, lines, put, tree
from PIL import Image

from kseg.check import check
from kseg.errors import ConfigError, DataError


def test_a_whole_folder_has_no_findings(tmp_path):
    found = check("folder", tree(tmp_path))
    assert not found.findings and found.splits == {"train": 2, "val": 2}


def test_several_troubles_are_told_in_one_pass(tmp_path):
    tree(tmp_path, LABEL, LABEL, LABEL, LABEL)
    (tmp_path / "train/labels/a.png").unlink()
    (tmp_path / "train/images/b.png").unlink()
    path = tmp_path / "train/images/c.png"
    path.write_bytes(path.read_bytes()[:80])
    (tmp_path / "val/labels/a.png").write_text("no image")
    (tmp_path / "val/labels/b.png").write_bytes(b"")
    put(tmp_path / "val/labels/c.png", LABEL.T)
    assert lines(tmp_path) == [
        "train/images/a.png: there is no label of that name",
        "train/labels/b.png: there is no image of that name",
        "train/images/c.png: the image is truncated or damaged (image file is truncated)",
        "val/labels/b.png: the file is empty (0 bytes)",
        "val/labels/a.png: this is no image that can be read (PNG, JPEG, ...; TIFF by the ending .tif)",
        "val/labels/c.png: 8 x 6 (turned by a quarter), but the image is 6 x 8",
    ]


def test_a_folder_with_a_full_stop_in_its_name_leaves_the_findings_whole(tmp_path):
    root = tree(tmp_path / "St. Anna", LABEL, LABEL)
    (root / "train/labels/a.png").write_text("no image")
    (finding,) = check("folder", root).findings
    assert finding.what == "this is no image that can be read (PNG, JPEG, ...; TIFF by the ending .tif)"
    assert fix_of(finding) == "Remove it from the folder, or export it again; --fix DIR leaves the pair out"
    one = tree(tmp_path / "Dr. Who", LABEL, splits=("train",))
    (finding,) = check("folder", one).findings
    assert finding.kind == "refused" and finding.what.startswith(f"{one}: a single image of ")
    assert fix_of(finding).startswith("There must be two at least, or one of 64 pixels: to train on")


def test_a_folder_called_as_an_error_keeps_the_kind_of_its_findings(tmp_path):
    root = tree(tmp_path / "truncated or damaged (0 bytes) blur", LABEL, LABEL)
    (root / "train/labels/a.png").write_text("no image")
    put(root / "train/labels/b.png", np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8))
    assert kinds(check("folder", root)) == ["unreadable", "colours"]


def test_hidden_and_foreign_files_are_passed_over(tmp_path):
    tree(tmp_path)
    for name in (".DS_Store", "._a.png", "Thumbs.db", "notes.txt"):
        (tmp_path / "train/images" / name).write_text("x")
    assert not lines(tmp_path)


def test_two_files_that_could_both_be_meant_are_told_and_never_chosen_from(tmp_path):
    tree(tmp_path)
    put(tmp_path / "train/labels/b.tif", LABEL)
    put(tmp_path / "train/labels/a_mask.png", LABEL)
    found = check("folder", tmp_path)
    assert kinds(found) == ["name"] * 6 and len(found.pairs) == 2
    assert str(found.findings[0]) == (
        "train/images/a.png: it is not clear which of these belong together: "
        "train/images/a.png, train/labels/a.png, train/labels/a_mask.png"
    )
    assert found.findings[5].file == "train/labels/b.tif" and "remove or rename" in found.findings[5].fix[0]


def test_a_missing_folder_of_labels_is_named(tmp_path):
    tree(tmp_path)
    for path in (tmp_path / "val/labels").iterdir():
        path.unlink()
    (tmp_path / "val/labels").rmdir()
    assert lines(tmp_path)[0] == "val/labels: there is no such folder" and kinds(check("folder", tmp_path))[1:] == [
        "unpaired",
        "unpaired",
    ]


def test_the_same_pixels_in_two_splits_are_a_leak_whatever_the_file(tmp_path):
    tree(tmp_path)
    put(tmp_path / "train/images/c.bmp", image(10))
    put(tmp_path / "train/labels/c.png", 2 - LABEL)
    put(tmp_path / "train/images/d.png", image(0))
    put(tmp_path / "train/labels/d.png", LABEL)
    found = check("folder", tmp_path)
    assert kinds(found) == ["leak", "duplicate"]
    assert str(found.findings[0]) == "train/images/c.bmp: the same pixels as val/images/a.png, with another label"
    assert str(found.findings[1]) == "train/images/d.png: the same pixels as train/images/a.png"


@pytest.mark.parametrize(("upright", "said"), [(True, "kseg follows it"), (False, "fits only the image as stored")])
def test_an_orientation_tag_is_told_and_whether_the_label_fits(tmp_path, upright, said):
    tree(tmp_path)
    tag = Image.Exif()
    tag[274] = 6
    put(tmp_path / "train/images/a.png", np.rot90(image(0)), exif=tag)
    if not upright:
        put(tmp_path / "train/labels/a.png", np.rot90(LABEL))
    (line,) = lines(tmp_path)
    assert line.startswith("train/images/a.png: orientation tag 6: ") and said in line


def test_images_of_another_depth_or_other_channels_are_named(tmp_path):
    tree(tmp_path, LABEL, LABEL, LABEL)
    put(tmp_path / "train/images/a.png", image(0)[..., 0].astype(np.uint16) * 100)
    tifffile.imwrite(tmp_path / "train/images/b.tif", np.concatenate([image(1)] * 2, axis=2), photometric="rgb")
    (tmp_path / "train/images/b.png").unlink()
    assert lines(tmp_path) == [
        "train/images/a.png: uint16, but most are uint8",
        "train/images/a.png: 1 channel, but most images have 3",
        "train/images/b.tif: 6 channels, but most images have 3",
    ]


def test_stacks_are_compared_page_by_page(tmp_path):
    for name, pages, labels in (("a", 3, 3), ("b", 3, 2)):
        for kind, count in (("images", pages), ("labels", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            stack = np.stack([image(ord(name) + page)[..., 0] if kind == "images" else LABEL for page in range(count)])
            tifffile.imwrite(tmp_path / kind / f"{name}.tif", stack, photometric="minisblack", metadata=None)
    stack = tifffile.imread(tmp_path / "labels/a.tif")
    stack[1, 5, 7] = 255
    tifffile.imwrite(tmp_path / "labels/a.tif", stack, photometric="minisblack", metadata=None)
    found = lines(tmp_path)
    assert found[-1].startswith(
        "labels/a.tif, page 1: 255, which is often void, among the classes, first at row 5, colu"
    )
    assert "labels/b.tif: 2 pages, but b.tif has 3" in found


def test_one_split_is_looked_at_alone(tmp_path):
    tree(tmp_path)
    (tmp_path / "val/labels/a.png").unlink()
    assert not lines(tmp_path, split="train") and len(lines(tmp_path, split="val")) == 1
    with pytest.raises(DataError, match="there is nothing in the split 'test'"):
        lines(tmp_path, split="test")


def test_what_only_the_reader_refuses_is_told_too(tmp_path):
    tree(tmp_path, LABEL, splits=("train",))
    found = check("folder", tmp_path)
    assert kinds(found) == ["refused"] and "a single image" in str(found.findings[0])


def test_a_folder_of_something_else_and_an_unknown_option_are_refused(tmp_path):
    with pytest.raises(DataError, match="folder: .* does not hold it"):
        check("folder", tmp_path)
    with pytest.raises(ConfigError, match="takes no option 'drop'"):
        check("folder", tree(tmp_path), drop=(1,))


def test_a_table_is_checked_row_by_row(tmp_path):
    tree(tmp_path, LABEL, LABEL, splits=("x",))
    put(tmp_path / "x/images/c.png", image(0))
    rows = [
        ("image", "label", "split"),
        *((f"x/images/{a}.png", f"x/labels/{b}.png", c) for a, b, c in ("aat", "bbt", "cav", "gbt")),
    ]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    found = check("list", tmp_path)
    assert [str(finding) for finding in found.findings] == [
        "x/images/g.png: there is no such file",
        "x/images/c.png: the same pixels as x/images/a.png",
    ]
    assert kinds(found) == ["unreadable", "leak"] and found.splits == {"t": 3, "v": 1}
