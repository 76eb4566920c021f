import os
import re
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from kseg import datasets
from kseg.datasets.labels import label_files
from kseg.errors import ConfigError, DataError, Setting
from kseg.images import read_label

IMAGE = np.arange(20, dtype=np.uint8).reshape(4, 5)
LABEL = np.array([[0, 0, 1, 1, 2]] * 4, np.uint8)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="minisblack", metadata=None)
    else:
        Image.fromarray(array).save(path)


def fill(folder, *labels, names="abcdefghij", image=IMAGE, ending=".png"):
    """Writes each label and an image beside it."""
    for name, label in zip(names, labels, strict=False):
        write(folder / "images" / f"{name}{ending}", image)
        write(folder / "labels" / f"{name}{ending}", label)


def opened(root, split="train", **options):
    return datasets.open("folder", root, split=split, **options)


def items(root, **options):
    return {item.id: item for split in ("train", "val") for item in opened(root, split, **options)}


# Splits


def test_without_splits_the_files_are_held_out_whose_names_say_so(tmp_path):
    fill(tmp_path, *[LABEL] * 10)
    assert opened(tmp_path, "val").ids == list("cdfj") and opened(tmp_path).ids == list("abeghi")
    assert opened(tmp_path, "val", split_rule="shuffle").ids == ["e", "g"]
    assert opened(tmp_path).splits == ("train", "val", "all") and opened(tmp_path, "all").ids == list("abeghicdfj")


def test_a_folder_with_test_alone_can_be_opened(tmp_path):
    fill(tmp_path / "test", LABEL, LABEL)
    for split in ("test", "all"):
        assert opened(tmp_path, split).ids == ["a", "b"]
    with pytest.raises(DataError, match="folder: there is no split 'train'"):
        opened(tmp_path)


def test_all_is_every_split_once_and_tells_images_of_one_name_apart(tmp_path):
    for split, names in (("train", "ab"), ("val", "c")):
        fill(tmp_path / split, *[LABEL] * len(names), names=names)
    assert opened(tmp_path, "all").ids == ["a", "b", "c"]
    fill(tmp_path / "test", LABEL, names="a")
    assert opened(tmp_path, "all").ids == ["train_a", "train_b", "val_c", "test_a"]


@pytest.mark.parametrize("count", [2, 3])
def test_few_images_leave_one_to_choose_by(tmp_path, count):
    fill(tmp_path, *[LABEL] * count)
    assert (len(opened(tmp_path)), len(opened(tmp_path, "val"))) == (count - 1, 1)


def test_folders_of_splits_are_taken_as_they_are(tmp_path):
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        fill(tmp_path / split, *[LABEL] * count)
    assert [opened(tmp_path, split).ids for split in ("train", "val", "test")] == [list("abc"), list("ab"), ["a"]]


@pytest.mark.parametrize("root", ["train", ""])
def test_without_val_a_fifth_of_train_is_held_out_and_test_left_alone(tmp_path, root):
    fill(tmp_path / root, *[LABEL] * 5)
    fill(tmp_path / "test", LABEL, names="z")
    assert (opened(tmp_path).ids, opened(tmp_path, "val").ids) == (["a", "b", "e"], ["c", "d"])
    assert opened(tmp_path, "test").ids == ["z"]
    with pytest.raises(
        DataError, match="folder: there is no split 'tset'. Did you mean 'test'. Known: all, test, train, val"
    ):
        opened(tmp_path, "tset")


def test_a_single_stack_is_split_by_page(tmp_path):
    pages = np.stack([IMAGE + page for page in range(5)])
    fill(tmp_path, np.stack([LABEL] * 5), image=pages, ending=".tif")
    found = items(tmp_path)
    assert sorted(found) == [f"a_{page:03d}" for page in range(5)] and len(opened(tmp_path, "val")) == 1
    for page in range(5):
        np.testing.assert_array_equal(found[f"a_{page:03d}"].image[..., 0], pages[page])


def test_pages_of_one_stack_stay_on_one_side_of_the_split(tmp_path):
    fill(tmp_path, *[np.stack([LABEL] * 3)] * 4, image=np.stack([IMAGE] * 3), ending=".tif")
    assert {item_id[0] for item_id in opened(tmp_path).ids} == {"a", "b"} and len(opened(tmp_path)) == 6
    assert opened(tmp_path, "val").ids == [f"{name}_{page:03d}" for name in "cd" for page in range(3)]


def test_a_folder_of_several_sets_is_not_guessed_from(tmp_path):
    for name in ("old", "new"):
        fill(tmp_path / name, LABEL, LABEL)
    with pytest.raises(DataError, match=f"folder: {tmp_path} holds it more than once: new, old. Name one of them"):
        opened(tmp_path)
    assert len(opened(tmp_path / "old")) == 1


# Pairs


def test_endings_may_differ_and_hidden_or_other_files_do_not_count(tmp_path):
    fill(tmp_path, LABEL, LABEL)
    (tmp_path / "labels" / "a.png").unlink()
    write(tmp_path / "labels" / "a.tif", LABEL)
    for name in ("images/._a.png", "images/.DS_Store", "labels/notes.txt", "images/Thumbs.db"):
        (tmp_path / name).touch()
    (tmp_path / "images" / "old.png").mkdir()
    assert sorted(items(tmp_path)) == ["a", "b"]


def test_an_image_or_label_without_partner_is_named(tmp_path):
    fill(tmp_path, LABEL, LABEL, LABEL)
    (tmp_path / "labels" / "b.png").unlink()
    (tmp_path / "images" / "c.png").unlink()
    message = (
        "2 images and 2 labels, 2 of them without a partner: images/b.png, labels/c.png. "
        "An image and its label have the same name"
    )
    with pytest.raises(DataError, match=message):
        opened(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path):
    fill(tmp_path, LABEL, LABEL)
    write(tmp_path / "images" / "a.tif", IMAGE)
    with pytest.raises(DataError, match="belong together: images/a.png, images/a.tif, labels/a.png. Remove or rename"):
        opened(tmp_path)


def test_a_page_and_a_file_of_one_name_are_refused(tmp_path):
    for split in ("train", "val"):
        fill(tmp_path / split, np.stack([LABEL] * 2), image=np.stack([IMAGE] * 2), ending=".tif")
        fill(tmp_path / split, LABEL, names=["a_000"])
    with pytest.raises(DataError, match="folder: two items are called a_000. Rename one of the files"):
        opened(tmp_path)


def test_missing_empty_and_single_folders_are_said(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(
        DataError, match="labels: there is no such folder. Put images into images/ and their labels into"
    ):
        opened(tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match="there is no image with a label. Put PNG, TIFF, ... files into images/"):
        opened(tmp_path)
    fill(tmp_path, LABEL)
    with pytest.raises(
        DataError, match=r"a single image of \d+ x \d+. There must be two at least, or one of 64 pixels"
    ):
        opened(tmp_path)


@pytest.mark.parametrize(("height", "width"), [(100, 60), (60, 100), (64, 3)])
def test_a_single_image_is_divided_with_a_gap(tmp_path, height, width):
    number = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    fill(tmp_path, (number % 3).astype(np.uint8), image=number)
    train, val, whole = (opened(tmp_path, split) for split in ("train", "val", "all"))
    assert (len(train), len(val), len(whole)) == (1, 1, 1)
    assert (train.ids, val.ids, whole.ids) == (["a_train"], ["a_val"], ["a"])
    assert train.location(0) != val.location(0) and whole.location(0).endswith("a.png")
    assert "its %s fifth is held out" % ("lowest" if height >= width else "rightmost") in train.notes[-1]
    seen = {data.split: data[0].image[..., 0] for data in (train, val, whole)}
    np.testing.assert_array_equal(seen["all"], number)
    for data in (train, val, whole):
        np.testing.assert_array_equal(data[0].label, seen[data.split] % 3)
    along = 0 if height >= width else 1
    length = max(height, width)
    lengths = {part: seen[part].shape[along] for part in ("train", "val")}
    assert lengths["val"] == length - round(0.8 * length)
    assert length - sum(lengths.values()) == round(0.05 * length)  # the gap
    assert not set(seen["train"].ravel().tolist()) & set(seen["val"].ravel().tolist())


def test_a_single_training_image_beside_a_test_is_divided(tmp_path):
    label = np.zeros((70, 80), np.uint8)
    for split in ("train", "test"):
        fill(tmp_path / split, label, image=label, names=[split])
    ids = {split: opened(tmp_path, split).ids for split in ("train", "val", "test", "all")}
    assert ids == {"train": ["train_train"], "val": ["train_val"], "test": ["test"], "all": ["train", "test"]}


def test_stacks_of_different_lengths_are_refused(tmp_path):
    fill(tmp_path, np.stack([LABEL] * 3), image=np.stack([IMAGE] * 4), ending=".tif")
    with pytest.raises(DataError, match=r"images/a.tif: 4 pages, but .*labels/a.tif has 3. They are paired page by"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (
            LABEL.T,
            r"the image is 4 x 5, the label 5 x 4 \(turned by a quarter: was one of them rotated by its EXIF tag",
        ),
        (LABEL[:3], r"the image is 4 x 5, the label 3 x 5. They must be of one size"),
    ],
)
def test_an_image_and_label_of_different_sizes_are_refused(tmp_path, label, words):
    fill(tmp_path, np.ascontiguousarray(label), np.ascontiguousarray(label))
    with pytest.raises(DataError, match=r"labels/[ab].png: " + words):
        opened(tmp_path)[0]


def test_links_that_lead_nowhere_are_missed(tmp_path):
    fill(tmp_path, LABEL, LABEL, LABEL)
    for kind in ("images", "labels"):
        (tmp_path / kind / "b.png").unlink()
        (tmp_path / kind / "b.png").symlink_to(tmp_path / "not-fetched")
    with pytest.raises(DataError, match="images/b.png: there is no such file"):
        opened(tmp_path)


def test_a_broken_file_is_named_before_training(tmp_path):
    fill(tmp_path, LABEL, LABEL)
    (tmp_path / "images" / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match="images/b.png: the file is empty"):
        opened(tmp_path)


# Classes


def test_classes_are_counted_from_all_labels_where_nothing_names_them(tmp_path):
    fill(tmp_path, LABEL, LABEL, np.full_like(LABEL, 4), LABEL * 0)
    assert opened(tmp_path).classes == opened(tmp_path, "val").classes == tuple(f"class {n}" for n in range(5))
    found = items(tmp_path)["a"]
    assert found.label.dtype == np.int32 and found.label.tolist() == LABEL.tolist() and found.instances is None


def test_classes_txt_names_them(tmp_path):
    fill(tmp_path, LABEL, LABEL)
    (tmp_path / "classes.txt").write_bytes(b"\xef\xbb\xbfsky\r\nroad\r\n\r\nZ\xc3\xa4hne\r\n")
    assert opened(tmp_path).classes == ("sky", "road", "Zähne")
    assert len(opened(tmp_path, classes=3).classes) == 3
    with pytest.raises(ConfigError, match="data.classes is 4, but the classes named are sky, road, Zähne. Mend .*txt"):
        opened(tmp_path, classes=4)
    (tmp_path / "classes.txt").write_bytes(b"sky\nroad\nZ\xe4hne\n")
    with pytest.raises(DataError, match="classes.txt: this is no text in UTF-8. Save it again"):
        opened(tmp_path)


@pytest.mark.parametrize("by", ["option", "file"])
def test_label_above_classes_names_file_and_pixel(tmp_path, by):
    wrong = LABEL.copy()
    wrong[2, 3:] = 7
    fill(tmp_path, wrong, wrong)
    if by == "file":
        (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    advice = "pass classes=8" if by == "option" else "name all 8 in .*classes.txt"
    message = (
        r"labels/[ab].png: label 7 at row 2, column 3 \(2 pixels, 10.0%\), but there are 3 classes. "
        rf"Where every object has its own number, pass instances=True; where these are classes, {advice}; "
        r"where 7 is void, pass ignore_class=7\."
    )
    with pytest.raises(DataError, match=message):
        opened(tmp_path, **({"classes": 3} if by == "option" else {}))[0]


def test_a_wrong_label_in_a_stack_names_the_page(tmp_path):
    stack = np.stack([LABEL] * 3)
    stack[:, 1, 1] = 9
    fill(tmp_path, stack, image=np.stack([IMAGE] * 3), ending=".tif")
    with pytest.raises(DataError, match=r"labels/a.tif, page \d: label 9 at row 1, column 1 \(1 pixels, 5.0%\)"):
        opened(tmp_path, classes=3)[0]


@pytest.mark.parametrize("classes", [-3, 0, 1, 256])
def test_a_number_of_classes_that_can_not_be_is_refused(tmp_path, classes):
    fill(tmp_path, LABEL, LABEL)
    with pytest.raises(
        ConfigError, match=f"data.classes is {classes}, but there can be 2 to 255. Count the background"
    ):
        opened(tmp_path, classes=classes)


def test_there_can_be_255_classes(tmp_path):
    fill(tmp_path, LABEL, LABEL)
    assert len(opened(tmp_path, classes=255).classes) == 255


def test_many_numbers_are_not_taken_for_classes(tmp_path):
    fill(tmp_path, LABEL * 50, LABEL)
    with pytest.raises(
        DataError, match=r"labels/a.png: label 100 at row 0, column 4 .*, which makes 101 classes. Where"
    ):
        opened(tmp_path)
    assert len(opened(tmp_path, classes=101).classes) == 101


# Void, masks of 0 and 255, other numbers


@pytest.mark.parametrize("options", [{}, {"classes": 2}])
def test_masks_of_0_and_255_are_told_both_ways_and_both_work(tmp_path, options):
    mask = (LABEL > 0).astype(np.uint8) * 255
    fill(tmp_path, mask, mask)
    message = re.escape(
        "png: label 255 at row 0, column 2 (12 pixels, 60.0%), which is no class. "
        "Only 0 and 255 occur: where 255 is the object, pass values=(0, 255); "
        "where 0 is, values=(255, 0); where 255 is void, ignore_class=255."
    )
    with pytest.raises(DataError, match=message):
        items(tmp_path, **options)
    found = items(tmp_path, values=(0, 255), **options)["a"]
    assert found.label.tolist() == (LABEL > 0).astype(int).tolist() and found.label.dtype == np.int32
    found = items(tmp_path, ignore_class=255, **options)["a"]
    assert found.label.tolist() == mask.tolist()
    assert opened(tmp_path, values=(0, 255)).classes == ("class 0", "class 1")
    found = items(tmp_path, values=(255, 0), **options)["a"]
    assert found.label.tolist() == (LABEL == 0).astype(int).tolist()


def test_255_beside_few_classes_is_often_void(tmp_path):
    label = np.where(LABEL == 2, 255, LABEL).astype(np.uint8)
    fill(tmp_path, label, label)
    with pytest.raises(DataError, match=r"which is no class. 255 is often void: pass ignore_class=255\."):
        opened(tmp_path)
    data = opened(tmp_path, ignore_class=255)
    assert data.classes == ("class 0", "class 1") and set(np.unique(data[0].label)) == {0, 1, 255}


@pytest.mark.parametrize("most", [255, 300, 400])
@pytest.mark.parametrize("options", [{}, {"classes": 2}])
def test_numbers_beyond_classes_that_include_255_are_objects(tmp_path, most, options):
    image = np.zeros((20, 21), np.uint8)
    objects = np.minimum(np.arange(420).reshape(20, 21), most).astype(np.uint16)
    fill(tmp_path, objects, objects, image=image)
    with pytest.raises(DataError) as caught:
        items(tmp_path, **options)
    assert "pass instances=True" in str(caught.value)
    assert ("pass ignore_class=255" in str(caught.value)) == (most == 255)  # may be void beside 64 classes
    found = items(tmp_path, instances=True)["a"]
    np.testing.assert_array_equal(found.instances, objects)
    np.testing.assert_array_equal(found.label, objects > 0)


def test_advice_does_not_repeat_what_was_done(tmp_path):
    label = np.where(LABEL == 2, 255, LABEL * 7).astype(np.uint8)
    fill(tmp_path, label, label)
    with pytest.raises(DataError, match="label 7 .*, but there are 3 classes. .* pass classes=8"):
        opened(tmp_path, classes=3, ignore_class=255)[0]


def test_void_may_have_any_number(tmp_path):
    label = np.where(LABEL == 2, 11, LABEL).astype(np.uint8)
    fill(tmp_path, label, label)
    data = opened(tmp_path, ignore_class=11)
    assert len(data.classes) == 2 and data[0].label.tolist() == np.where(LABEL == 2, 255, LABEL).tolist()
    stray = label.copy()
    stray[3, 0] = 255
    fill(tmp_path, stray, stray)
    message = (
        r"label 255 at row 3, column 0 \(1 pixels, 5.0%\), which is no class. Void is 11 .*: give what is 255 another"
    )
    with pytest.raises(DataError, match=message):
        items(tmp_path, ignore_class=11, classes=2)


def test_numbers_of_classes_may_be_named_in_any_order(tmp_path):
    label = np.array([30, 10, 20], np.uint8)[LABEL]
    fill(tmp_path, label, label)
    data = opened(tmp_path, values=(30, 10, 20))
    assert data[0].label.tolist() == LABEL.tolist() and len(data.classes) == 3
    with pytest.raises(
        DataError, match=r"label 20 at row 0, column 4 .* is not among data.values=\(30, 10\). Name the"
    ):
        opened(tmp_path, values=(30, 10), classes=2)[0]
    data = opened(tmp_path, values=(30, 10), ignore_class=20)
    assert data[0].label.tolist() == np.where(LABEL == 2, 255, LABEL).tolist() and len(data.classes) == 2
    for values in ((30,), (30, 10, 30), ()):
        with pytest.raises(
            ConfigError, match=r"data.values is \(.*\), but there are two classes at least, each with a"
        ):
            opened(tmp_path, values=values)
    with pytest.raises(ConfigError, match="data.values names 2 numbers, but there are 3 classes. Name the number of"):
        opened(tmp_path, values=(30, 10), classes=3)
    with pytest.raises(ConfigError, match=r"20 is both void \(data.ignore_class\) and class 2 \(data.values\)"):
        opened(tmp_path, values=(30, 10, 20), ignore_class=20)


# Objects


def test_objects_are_numbered_and_their_label_is_0_and_1(tmp_path):
    objects = np.where(LABEL == 2, 700, LABEL.astype(np.uint16))
    fill(tmp_path, objects, objects)
    data = opened(tmp_path, instances=True)
    assert data.has_instances and data.classes == ("background", "object")
    assert data[0].instances.tolist() == objects.tolist() and data[0].label.tolist() == (LABEL > 0).astype(int).tolist()
    assert data[0].label.dtype == data[0].instances.dtype == np.int32
    (tmp_path / "classes.txt").write_text("ground\nnucleus\n")
    assert opened(tmp_path, instances=True).classes == ("ground", "nucleus")


@pytest.mark.parametrize("void", [255, 65535, 2])
def test_void_among_objects_is_void_in_the_label_and_no_object(tmp_path, void):
    objects = np.array([[0, 1, 255 if void != 255 else 7, void, void]] * 4, np.uint16)
    fill(tmp_path, objects, objects)
    item = opened(tmp_path, instances=True, ignore_class=void)[0]
    assert item.label.tolist() == [[0, 1, 1, 255, 255]] * 4 and item.label.dtype == np.int32
    assert item.instances[:, [0, 3, 4]].max() == 0 and len(np.unique(item.instances)) == 3


def test_a_splits_own_folder_stands_for_the_whole(tmp_path):
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / split / kind).mkdir(parents=True)
            Image.fromarray(np.ones((4, 4), np.uint8)).save(tmp_path / split / kind / f"{split}.png")
    assert datasets.open("folder", tmp_path / "train", split="val").ids == ["val"]


def rows_of(count):
    """`count` objects of two rows each, which touch, beside a background of one column."""
    label = np.repeat(np.arange(1, count + 1, dtype=np.uint8), 2)[:, None] * np.ones(4, np.uint8)
    return np.pad(label, ((0, 60 - 2 * count), (1, 0)))


def test_labels_that_seem_to_number_objects_are_doubted_unless_something_was_said(tmp_path):
    numbered = [rows_of(count) for count in (9, 12, 20, 7, 30)]
    fill(tmp_path / "a", *numbered, image=np.zeros((60, 5), np.uint8))
    data = opened(tmp_path / "a")
    (doubt,) = data.doubts
    assert "up to 30; they are taken for 31 classes" in doubt.what and Setting("data.instances", True) in doubt.fix
    assert not opened(tmp_path / "a", classes=31).doubts and not opened(tmp_path / "a", instances=True).doubts
    fill(tmp_path / "b", *[rows_of(12)] * 5, image=np.zeros((60, 5), np.uint8))
    assert len(opened(tmp_path / "b").classes) == 13 and not opened(tmp_path / "b").doubts


# What is found by looking at every label is kept


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """The names of the label files read, one for each time; with a cache folder of the test's own."""
    names: list[str] = []
    monkeypatch.setenv("KSEG_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        label_files, "read_label", lambda path, page=0: names.append(path.name) or read_label(path, page)
    )
    return names


def age(root, *, seconds=3600):
    """Makes all files look as if they were last changed an hour ago."""
    for path in root.rglob("*.*"):
        then = path.stat().st_mtime_ns - seconds * 10**9
        os.utime(path, ns=(then, then))


@pytest.fixture
def five(tmp_path):
    """Five images; the largest id is 4, in one label alone."""
    root = tmp_path / "five"
    fill(root, *[LABEL] * 4, np.full_like(LABEL, 4))
    age(root)
    return root


def test_the_labels_are_looked_through_once_for_all_splits_and_every_later_time(five, reads):
    assert len(opened(five).classes) == 5 and sorted(reads) == [f"{name}.png" for name in "abcde"]
    for split in ("train", "val", "train"):
        assert len(opened(five, split).classes) == 5
    assert len(reads) == 5
    list(opened(five))
    assert len(reads) == 5 + 3  # the items themselves, of which two are held out


def test_a_label_that_is_changed_added_or_removed_is_noticed(five, reads):
    opened(five)
    write(five / "labels" / "e.png", np.full_like(LABEL, 3))
    age(five)
    assert len(opened(five).classes) == 4 and len(reads) == 10
    fill(five, np.full_like(LABEL, 6), names="f")
    age(five)
    assert len(opened(five).classes) == 7 and len(reads) == 16
    for kind in ("images", "labels"):
        (five / kind / "f.png").unlink()
    assert len(opened(five).classes) == 4


def test_a_label_of_the_same_size_and_time_as_before_is_noticed(five, reads):
    path = five / "labels" / "e.png"
    write(path, np.full_like(LABEL, 4))
    os.utime(path, ns=(10**18, 10**18))
    opened(five)
    before = path.stat()
    write(path, np.full_like(LABEL, 5))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert len(opened(five).classes) == 6


def test_what_was_changed_a_moment_ago_is_looked_at_again(five, reads):
    write(five / "labels" / "e.png", np.full_like(LABEL, 3))
    assert [len(opened(five).classes) for _ in range(2)] == [4, 4] and len(reads) == 10


def test_other_options_and_another_folder_are_looked_through_on_their_own(five, reads, tmp_path):
    assert len(opened(five).classes) == 5
    assert len(opened(five, ignore_class=4).classes) == 3 and len(reads) == 10
    shutil.copytree(five, tmp_path / "copy")
    assert len(opened(tmp_path / "copy").classes) == 5 and len(reads) == 15
    assert len(opened(five, ignore_class=4).classes) == 3 and len(reads) == 15


@pytest.mark.parametrize("damage", [b"", b"[9, false]", b"00000000 [9, false]", b"\xff\xfe", None])
def test_a_damaged_note_is_not_believed_and_made_anew(five, reads, tmp_path, damage):
    opened(five)
    (note,) = (tmp_path / "cache").rglob("*.txt")
    whole = note.read_bytes()
    note.write_bytes(whole[:-3] if damage is None else damage)
    assert len(opened(five).classes) == 5 and len(reads) == 10
    assert note.read_bytes() == whole and len(opened(five).classes) == 5 and len(reads) == 10


def test_where_no_cache_can_be_written_the_labels_are_looked_through_each_time(five, reads, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert [len(opened(five).classes) for _ in range(2)] == [5, 5] and len(reads) == 10


def test_the_doubt_and_the_refusal_are_the_same_the_second_time(tmp_path, reads):
    numbered = [rows_of(count) for count in (9, 12, 20, 7, 30)]
    fill(tmp_path / "a", *numbered, image=np.zeros((60, 5), np.uint8))
    fill(tmp_path / "b", *[np.full_like(LABEL, 70)] * 2)
    age(tmp_path)
    doubts = [opened(tmp_path / "a", split).doubts for split in ("train", "val")]
    assert "up to 30; they are taken for 31 classes" in doubts[0][0].what and doubts[1] == doubts[0] and len(reads) == 5
    for _ in range(2):
        with pytest.raises(DataError, match="label 70 at row 0, column 0 .* which makes 71 classes"):
            opened(tmp_path / "b")
