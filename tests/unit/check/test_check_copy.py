"""The corrected copy: what is mended in it, what is left out, and that the original stays as it was."""

import csv
import hashlib

import numpy as np
import pytest
import tifffile
from check_trees import HEIGHT, LABEL, WIDTH, image, kinds, put, tree
from PIL import Image, ImageOps

from kseg import datasets
from kseg.check import check, write_copy
from kseg.check.copy import turned
from kseg.errors import ConfigError, DataError, Setting
from kseg.images import read_image, read_label
from kseg.pictures import palette

MASK = (LABEL == 1).astype(np.uint8)


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def state(root):
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in files(root)}


def copied(root, **options):
    """The corrected copy of `root`, which must be as it was; and what changes.csv says of each file."""
    before = state(root)
    folder = root.with_name(root.name + "-mended")
    write_copy(check("folder", root, **options), folder)
    assert state(root) == before
    with (folder / "changes.csv").open(newline="") as file:
        return folder, {row["file"]: row["change"] for row in csv.DictReader(file)}


def label_of(folder, name="train/labels/a.png"):
    return read_label(folder / name)


def test_what_can_not_be_mended_is_left_out(tmp_path):
    root = tree(tmp_path / "mine", *[LABEL] * 5)
    (root / "train/labels/a.png").unlink()
    (root / "train/images/b.png").write_bytes(b"")
    put(root / "train/labels/c.png", LABEL[:4])
    put(root / "val/images/a.png", image(0)[::-1].copy())
    put(root / "train/images/d.png", image(0)[::-1].copy())
    folder, changes = copied(root)
    assert files(folder / "train") == ["images/e.png", "labels/e.png"] and len(files(folder / "val")) == 10
    assert changes == {
        "train/images/a.png": "left out: there is no label of that name",
        "train/images/b.png": "left out: b.png can't be read",
        "train/labels/b.png": "left out: b.png can't be read",
        "train/images/c.png": "left out: image and label differ in size",
        "train/labels/c.png": "left out: image and label differ in size",
        "train/images/d.png": "left out: another image has the same pixels",
        "train/labels/d.png": "left out: another image has the same pixels",
    }
    assert not check("folder", folder).findings


def test_what_is_whole_is_copied_byte_by_byte(tmp_path):
    root = tree(tmp_path / "mine")
    (root / "classes.txt").write_text("a\nb\nc\n")
    folder, changes = copied(root)
    assert state(root).items() <= state(folder).items() and not changes
    assert files(folder)[:2] == ["changes.csv", "classes.txt"]


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [(255 * MASK, MASK), (LABEL + 1, LABEL), (np.array([0, 100, 200], np.uint8)[LABEL], LABEL)],
    ids=["0 and 255", "off by one", "grey levels"],
)
def test_numbers_become_classes(tmp_path, stored, wanted):
    folder, changes = copied(tree(tmp_path / "mine", stored, stored))
    for name in changes:
        np.testing.assert_array_equal(label_of(folder, name), wanted)
    assert len(changes) == 4 and not check("folder", folder).findings


def test_void_stays_void_where_classes_are_shifted(tmp_path):
    stored = LABEL + 1
    stored[0, 0] = 255
    folder, _ = copied(tree(tmp_path / "mine", stored, stored))
    wanted = LABEL.astype(int)
    wanted[0, 0] = 255
    np.testing.assert_array_equal(label_of(folder), wanted)
    folder, _ = copied(tree(tmp_path / "other"), ignore_class=0)
    np.testing.assert_array_equal(label_of(folder), np.where(LABEL == 0, 255, LABEL - 1.0))
    assert check("folder", folder, ignore_class=255).findings == []


def test_only_the_masks_that_differ_are_mended_in_a_mixed_set(tmp_path):
    folder, changes = copied(tree(tmp_path / "mine", MASK, 255 * MASK))
    assert changes == dict.fromkeys(["train/labels/b.png", "val/labels/b.png"], "numbers 255 to 1")
    np.testing.assert_array_equal(label_of(folder, "val/labels/b.png"), MASK)


def test_colours_of_voc_become_its_numbers(tmp_path):
    label = np.where(LABEL == 2, 255, 15 * LABEL)
    folder, _ = copied(tree(tmp_path / "mine", *[palette()[label]] * 2))
    np.testing.assert_array_equal(label_of(folder), label)
    assert (folder / "colours.csv").read_text() == "class,red,green,blue\n0,0,0,0\n15,192,128,128\n255,224,224,192\n"


def test_colours_of_ones_own_are_numbered_alike_in_all_files(tmp_path):
    own = np.array([[0, 0, 0], [10, 200, 7], [255, 0, 0]], np.uint8)
    folder, _ = copied(tree(tmp_path / "mine", own[LABEL], own[np.where(LABEL == 1, 2, 0)]))
    np.testing.assert_array_equal(label_of(folder), LABEL)
    np.testing.assert_array_equal(label_of(folder, "train/labels/b.png"), 2 * (LABEL == 1))
    assert "1,#0ac807,10,200,7\n2,#ff0000,255,0,0\n" in (folder / "colours.csv").read_text()
    assert (folder / "classes.txt").read_text() == "#000000\n#0ac807\n#ff0000\n"


def test_black_and_white_jpegs_become_masks_and_others_are_left_out(tmp_path):
    mask = np.kron(MASK, np.ones((16, 16), np.uint8))
    root = tmp_path / "mine"
    for name in "abc":
        put(root / "images" / f"{name}.png", np.kron(image(ord(name)), np.ones((16, 16, 1), np.uint8)))
        put(root / "labels" / f"{name}.jpg", 255 * mask, quality=80)
    folder, _ = copied(root)
    np.testing.assert_array_equal(label_of(folder, "labels/b.png"), mask)
    assert not check("folder", folder).findings
    put(root / "labels/a.png", 3 * mask)
    (root / "labels/a.jpg").unlink()
    folder.rename(tmp_path / "before")
    folder, changes = copied(root)
    assert files(folder / "images") == ["a.png"] and changes["labels/b.jpg"] == "left out: the label's numbers are lost"


@pytest.mark.parametrize(("options", "white"), [({}, 1), ({"values": (0, 255)}, 255)])
def test_what_loss_made_grey_is_white_from_128_on_and_8_bits_hold_255(tmp_path, options, white):
    blocks = np.repeat([0, 255], 50)
    blocks[:2] = 127, 128
    levels = np.kron(blocks.reshape(10, 10), np.ones((16, 16), int)).astype(np.uint8)  # a JPEG keeps such blocks
    for name in "ab":
        put(tmp_path / "mine" / "images" / f"{name}.png", levels // 2 + ord(name))
        put(tmp_path / "mine" / "labels" / f"{name}.jpg", levels, quality=100)
    folder, _ = copied(tmp_path / "mine", **options)
    np.testing.assert_array_equal(label_of(folder, "labels/a.png"), np.where(levels >= 128, white, 0))
    with Image.open(folder / "labels" / "a.png") as label:
        assert label.mode == "L"


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("as_stored", [False, True])
def test_images_are_turned_upright_and_labels_with_them_where_they_fit_so(tmp_path, orientation, as_stored):
    root = tree(tmp_path / "mine")
    tag = Image.Exif()
    tag[274] = orientation
    put(root / "train/images/a.png", image(0), exif=tag)
    upright, quarter = read_image(root / "train/images/a.png"), orientation >= 5
    with Image.fromarray(LABEL) as picture:
        picture.getexif()[274] = orientation
        label = np.asarray(ImageOps.exif_transpose(picture))
    put(root / "train/labels/a.png", LABEL if as_stored else label)
    said = {} if quarter else {"orientation": "stored" if as_stored else "follow"}  # of a quarter turn the sizes tell
    folder, changes = copied(root, **said)
    np.testing.assert_array_equal(read_image(folder / "train/images/a.png"), upright)
    np.testing.assert_array_equal(label_of(folder), label)
    assert len(changes) == 1 + as_stored
    assert not check("folder", folder).findings and upright.shape[:2] == (
        (WIDTH, HEIGHT) if quarter else (HEIGHT, WIDTH)
    )


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_nothing_is_turned_where_nothing_tells_how_the_label_was_drawn(tmp_path, orientation):
    root = tree(tmp_path / "mine")
    tag = Image.Exif()
    tag[274] = orientation
    put(root / "train/images/a.png", image(0), exif=tag)
    (finding,) = check("folder", root).findings
    assert "nothing tells whether the label was drawn on the image as it is seen or as it is stored" in finding.what
    assert Setting("data.orientation", "follow") in finding.fix and not finding.mendable
    folder, changes = copied(root)
    assert not changes
    for name in ("images", "labels"):
        copy, mine = (place / "train" / name / "a.png" for place in (folder, root))
        assert copy.read_bytes() == mine.read_bytes()


def test_numbers_that_a_png_can_not_hold_are_written_as_tiff(tmp_path):
    root = tree(tmp_path / "mine")
    tag = Image.Exif()
    tag[274] = 3
    put(root / "train/images/a.png", image(0), exif=tag)
    objects = LABEL.astype(np.int32)
    objects[0, 0] = 70_000
    (root / "train/labels/a.png").unlink()
    tifffile.imwrite(root / "train/labels/a.tif", objects)
    folder, _ = copied(root, instances=True, orientation="stored")
    np.testing.assert_array_equal(label_of(folder, "train/labels/a.tif"), objects[::-1, ::-1])


def test_a_turn_is_what_pillow_does():
    for orientation in (5, 6, 7, 8):
        picture = Image.fromarray(LABEL)
        picture.getexif()[274] = orientation
        np.testing.assert_array_equal(turned(LABEL, orientation), np.asarray(ImageOps.exif_transpose(picture)))


def test_a_label_gets_the_name_of_its_image(tmp_path):
    root = tree(tmp_path / "mine")
    (root / "train/labels/a.png").rename(root / "train/labels/a_mask.png")
    folder, changes = copied(root)
    assert files(folder / "train/labels") == ["a.png", "b.png"]
    assert changes == {"train/labels/a_mask.png": "renamed to a"}


def test_stacks_are_mended_page_by_page(tmp_path):
    root = tmp_path / "mine"
    for name, seed in (("a", 0), ("b", 9)):
        for kind in ("images", "labels"):
            (root / kind).mkdir(parents=True, exist_ok=True)
            pages = [image(seed + page)[..., 0] if kind == "images" else 255 * MASK for page in range(3)]
            tifffile.imwrite(root / kind / f"{name}.tif", np.stack(pages), photometric="minisblack", metadata=None)
    folder, changes = copied(root)
    np.testing.assert_array_equal(read_label(folder / "labels/b.tif", 2), MASK)
    assert changes == dict.fromkeys(["labels/a.tif", "labels/b.tif"], "numbers 255 to 1")
    assert len(datasets.open("folder", folder, split="train")) == 3


def test_a_folder_that_exists_or_a_copy_of_nothing_is_refused(tmp_path):
    root = tree(tmp_path / "mine")
    found = check("folder", root)
    with pytest.raises(ConfigError, match="mine: this exists already. Name a new folder"):
        write_copy(found, root)
    for path in root.rglob("labels/*.png"):
        path.unlink()
    with pytest.raises(DataError, match="new: no pair would be left"):
        write_copy(check("folder", root), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_copy_that_fails_leaves_nothing(tmp_path):
    root = tree(tmp_path / "mine", 255 * MASK, 255 * MASK)
    found = check("folder", root)
    (root / "val/labels/b.png").unlink()
    with pytest.raises(DataError, match="there is no such file"):
        write_copy(found, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"] and kinds(found)
