"""Images and labels in the layouts and under the names that people and programs give them."""

import unicodedata

import numpy as np
import pytest
from PIL import Image

from kseg import datasets
from kseg.check import check, write_copy
from kseg.errors import ConfigError, DataError, Setting

LABEL = np.zeros((6, 8), np.uint8)
LABEL[1:3, 2:5] = 1


def put(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def image(seed):
    return np.random.default_rng(seed).integers(0, 256, (6, 8)).astype(np.uint8)


def fill(root, images, labels):
    """Writes an image for each name of `images`, and a label for each of `labels`."""
    for seed, name in enumerate(images):
        put(root / name, image(seed))
    for name in labels:
        put(root / name, LABEL)


def opened(root, **options):
    """All items of the folder by their names; what the check says of it must be what a training sees."""
    data = datasets.open("folder", root, split="all", **options)
    found = check("folder", root, **options)
    assert not found.findings, found.findings
    assert {pair.pair.image for pair in found.pairs} == {pair.image for pair in data._pairs}
    return data, {data.ids[number]: data[number] for number in range(len(data))}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("{}.png", "labels/{}_mask.png"),
        ("{}.png", "labels/{}_label.png"),
        ("{}.png", "labels/{}-labels.png"),
        ("{}.png", "labels/{}_cp_masks.png"),
        ("{}.png", "labels/{}_seg.png"),
        ("img_{}.png", "labels/mask_{}.png"),
        ("image{}.png", "labels/label{}.png"),
        ("{}_img.png", "masks/{}_mask.png"),
        ("img{}.png", "labels/img{}_mask.png"),
        ("image_{}.png", "labels/image_{}_cp_masks.png"),
        ("{}.PNG", "Masks/{}.png"),
        ("{}.png", "groundtruth/{}_GT.bmp"),
        ("Cell{}.png", "labels/cell{}.png"),
        ("x{}_masked.png", "labels/x{}_masked.png"),
    ],
)
def test_names_that_programs_change_are_paired_and_what_was_done_is_said(tmp_path, name, label):
    numbers = ["1", "2", "12"]
    fill(tmp_path, ["images/" + name.format(n) for n in numbers], [label.format(n) for n in numbers])
    data, items = opened(tmp_path)
    assert len(items) == 3
    for pair in data._pairs:
        assert [n for n in numbers if pair.image.name == name.format(n)] == [
            n for n in numbers if pair.label == tmp_path / label.format(n)
        ]
    plain = label.startswith("labels/") and label[7:].removesuffix(".png") == name.removesuffix(".png")
    assert bool(data.notes) != plain


def test_forms_of_unicode_are_one_name(tmp_path):
    name = "Zähne"
    fill(tmp_path, [f"images/{unicodedata.normalize('NFC', name)}{n}.png" for n in "ab"], [])
    fill(tmp_path, [], [f"labels/{unicodedata.normalize('NFD', name)}{n}.png" for n in "ab"])
    data, items = opened(tmp_path)
    assert len(items) == 2 and "form of Unicode" in data.notes[0]


def test_x_ome_tif_pairs_with_x_png(tmp_path):
    fill(tmp_path, ["images/a.ome.tif", "images/b.ome.tif"], ["labels/a.png", "labels/b.png"])
    assert set(opened(tmp_path)[1]) == {"a", "b"}


@pytest.mark.parametrize(
    ("images", "labels", "rivals"),
    [
        (["images/a.png", "images/b.png"], ["labels/a.png", "labels/a_mask.png", "labels/b.png"], "labels/a_mask.png"),
        (["images/a.png"], ["labels/a_mask.png", "labels/a_label.png"], "labels/a_label.png, labels/a_mask.png"),
        (["images/a.png", "images/a.bmp"], ["labels/a.png"], "images/a.bmp, images/a.png, labels/a.png"),
        (["images/A.png", "images/a.bmp"], ["labels/a_mask.png"], "images/A.png, images/a.bmp, labels/a_mask.png"),
    ],
)
def test_two_candidates_are_an_error_that_names_both(tmp_path, images, labels, rivals):
    fill(tmp_path, images, labels)
    with pytest.raises(DataError) as caught:
        datasets.open("folder", tmp_path, split="all")
    assert rivals in str(caught.value) and "it is not clear which of these belong together" in str(caught.value)
    found = check("folder", tmp_path).findings
    assert {"name"} <= {finding.kind for finding in found} and all(name in str(found[0]) for name in rivals.split(", "))


def test_folders_of_experiments_are_one_set_and_their_names_part_of_the_items(tmp_path):
    names = ["one/a.png", "one/b.png", "two/a.png"]
    fill(tmp_path, [f"images/{name}" for name in names], [f"labels/{name}" for name in names])
    data, items = opened(tmp_path)
    assert set(items) == {"one_a", "one_b", "two_a"} and "one, two in images/ and labels/ are one set" in data.notes[0]


def test_experiments_with_images_of_their_own_are_told_how_to_lie(tmp_path):
    for name in ("one", "two"):
        fill(tmp_path / name, ["images/a.png", "images/b.png"], ["labels/a.png", "labels/b.png"])
    with pytest.raises(DataError, match="more than once: one, two. Name one of them.* images/NAME/..., labels/NAME/"):
        datasets.open("folder", tmp_path, split="all")


@pytest.mark.parametrize(("val", "test"), [("valid", "testing"), ("validation", "Test")])
@pytest.mark.parametrize("within", ["{split}/images", "images/{split}"])
def test_splits_of_other_names_are_understood_and_said(tmp_path, val, test, within):
    for split in ("training", val, test):
        place = within.format(split=split)
        fill(tmp_path, [f"{place}/{split}{n}.png" for n in "ab"], [])
        fill(tmp_path, [], [f"{place}/{split}{n}.png".replace("images", "labels") for n in "ab"])
    data = datasets.open("folder", tmp_path, split="val")
    assert data.splits == ("train", "val", "test", "all") and data.ids == [f"{val}a", f"{val}b"]
    assert f"{val}/ is taken for val/" in data.notes and "training/ is taken for train/" in data.notes
    assert check("folder", tmp_path).splits == {"train": 2, "val": 2, "test": 2}


def test_two_folders_that_could_both_be_a_split_or_the_labels_are_refused(tmp_path):
    for split in ("train", "val", "valid"):
        fill(tmp_path / split, ["images/a.png"], ["labels/a.png"])
    with pytest.raises(DataError, match="val and valid could both be val. Keep one"):
        datasets.open("folder", tmp_path, split="train")
    other = tmp_path / "other"
    fill(other, ["images/a.png", "images/b.png"], ["masks/a.png", "annotations/a.png"])
    with pytest.raises(DataError, match="annotations and masks could both be labels/. Rename the one"):
        datasets.open("folder", other, split="train")


def test_a_folder_without_images_says_where_they_go(tmp_path):
    wanted = (
        "does not hold it.* found nothing. Put the images into images/ and their labels into labels/, under the same"
    )
    with pytest.raises(DataError, match=wanted):
        datasets.open("folder", tmp_path, split="train")


@pytest.mark.parametrize("folder", ["", "images/"])
def test_labels_beside_their_images_are_told_by_their_names(tmp_path, folder):
    fill(tmp_path / "mine", [f"{folder}{n}.png" for n in "abc"], [f"{folder}{n}_cp_masks.png" for n in "abc"])
    data, items = opened(tmp_path / "mine")
    assert set(items) == set("abc") and any("beside" in note for note in data.notes)


@pytest.mark.parametrize("train", ["train", "Train"])
def test_labels_beside_their_images_in_splits_are_understood(tmp_path, train):
    for split in (train, "val"):
        fill(tmp_path / "mine" / split, [f"{split}{n}.png" for n in "ab"], [f"{split}{n}_seg.png" for n in "ab"])
    for place in (tmp_path / "mine", tmp_path, tmp_path / "mine/val"):
        assert datasets.open("folder", place, split="train").ids == [f"{train}a", f"{train}b"]


def test_a_label_beside_images_that_belongs_to_none_is_not_passed_over(tmp_path):
    fill(tmp_path / "mine", ["a.png", "b.png"], ["a_mask.png", "b_mask.png", "c_mask.png"])
    with pytest.raises(DataError, match="1 of them without a partner: c_mask.png"):
        datasets.open("folder", tmp_path / "mine", split="all")


def objects(folder, *places):
    for number, (row, column) in enumerate(places):
        mask = np.zeros((6, 8), np.uint8)
        mask[row, column] = 255
        put(folder / f"{number}.png", mask)


@pytest.mark.parametrize(
    ("image_of", "masks_of"), [("{}/images/{}.png", "{}/masks"), ("images/{}.png", "masks/{}")], ids=["DSB", "flat"]
)
def test_one_mask_file_per_object_becomes_numbered_objects(tmp_path, image_of, masks_of):
    root = tmp_path / "stage1_train"
    for seed, name in enumerate("abcde"):
        put(root / image_of.format(name, name), image(seed))
        objects(root / masks_of.format(name), (1, 2), (4, 6), (5, 0))
    data, items = opened(root)
    assert data.has_instances and data.classes == ("background", "object") and len(items) == 5
    found = items["c"].instances
    assert [found[1, 2], found[4, 6], found[5, 0]] == [1, 2, 3] and np.count_nonzero(found) == 3
    found = check("folder", root)
    write_copy(found, tmp_path / "new")
    copied = datasets.open("folder", tmp_path / "new", split="all", instances=True)
    assert sorted(copied.ids) == sorted(data.ids) and found.labels.settings == {"data.instances": "true"}
    np.testing.assert_array_equal(copied[0].instances, items[copied.ids[0]].instances)
    assert "5 images in" in " ".join(data.notes) and "one for each object" in " ".join(data.notes)


def test_images_without_a_label_are_left_out_on_request_and_counted(tmp_path):
    fill(tmp_path, [f"images/{n}.png" for n in "abcd"], ["labels/a.png", "labels/c.png"])
    with pytest.raises(DataError, match=r"images/b.png, images/d.png.*data check.*pass unlabelled='leave'"):
        datasets.open("folder", tmp_path, split="all")
    data, items = opened(tmp_path, unlabelled="leave")
    assert set(items) == {"a", "c"} and "2 images without a label are left out" in data.notes
    fill(tmp_path, [], ["labels/x.png"])
    with pytest.raises(DataError, match="without a partner: labels/x.png"):
        datasets.open("folder", tmp_path, split="all", unlabelled="leave")


def test_a_smaller_label_is_enlarged_on_request_to_the_nearest_pixel(tmp_path):
    small = np.array([[0, 1], [2, 0], [1, 1]], np.uint8)
    for seed, name in enumerate("ab"):
        put(tmp_path / f"images/{name}.png", image(seed)[:, :4])
        put(tmp_path / f"labels/{name}.png", small)
    with pytest.raises(DataError, match="the label is 3 x 2, the image 6 x 4.*pass enlarge_labels=True"):
        datasets.open("folder", tmp_path, split="all")[0]
    (finding, _) = check("folder", tmp_path).findings
    assert finding.kind == "size" and Setting("data.enlarge_labels", True) in finding.fix
    _, items = opened(tmp_path, enlarge_labels=True)
    assert items["a"].label.tolist() == np.kron(small, np.ones((2, 2), int)).tolist()


# What was not looked at


def test_what_is_not_looked_at_is_said_in_one_list(tmp_path):
    fill(tmp_path, ["images/a.png", "images/b.png"], ["labels/a.png", "labels/b.png"])
    for name in ("images/c.czi", "images/d.czi", "labels/a.txt", "labels/a.json", "labels/a_seg.npy"):
        (tmp_path / name).write_bytes(b"x")
    put(tmp_path / "extra/z.png", image(9))
    put(tmp_path / "stray.png", image(9))
    (note,) = datasets.open("folder", tmp_path, split="all").notes
    for words in ("2 .czi in images/ (c.czi, d.czi)", "1 .txt in labels/ (a.txt; boxes or outlines of YOLO?)"):
        assert words in note
    assert "1 .json in labels/" in note and "1 .npy in labels/" in note and "the folder extra/" in note
    assert "1 images directly in" in note
    found = check("folder", tmp_path)
    assert found.notes == [note] and not found.findings


def test_what_nobody_misses_stays_unsaid(tmp_path):
    fill(tmp_path, ["images/a.png", "images/b.png"], ["labels/a.png", "labels/b.png"])
    for name in ("images/Thumbs.db", "images/.DS_Store", "labels/._a.png", "labels/desktop.ini", "images/notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("README.md", "classes.txt", "changes.csv"):
        (tmp_path / name).write_text("a\nb\n")
    assert datasets.open("folder", tmp_path, split="all").notes == ()


def test_splits_of_a_table_that_are_called_training_or_validation_are_understood(tmp_path):
    fill(tmp_path, [f"{n}.png" for n in "abc"], [f"{n}_m.png" for n in "abc"])
    rows = ["a.png,a_m.png,Training", "b.png,b_m.png,validation", "c.png,c_m.png,hospital 2"]
    (tmp_path / "list.csv").write_text("\n".join(["image,label,split", *rows]))
    data = datasets.open("list", tmp_path, split="val")
    assert data.splits == ("train", "val", "hospital 2", "all") and data.ids == ["b"]
    with pytest.raises(ConfigError, match="data.unlabelled can't apply to a table"):
        datasets.open("list", tmp_path, split="val", unlabelled="leave")
    assert check("list", tmp_path).splits == {"train": 1, "val": 1, "hospital 2": 1}
