"""Each advice is followed to the letter; then nothing is found, and the labels read are those that were drawn."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import tifffile
from check_trees import fix_of, put
from PIL import Image

from kseg import datasets
from kseg.check import Needs, check, write_copy
from kseg.datasets import options_from
from kseg.errors import DataError
from kseg.geometry import unet_geometry
from kseg.pictures import palette

SIZE = 48


def truth(seed, classes=2):
    """(48, 48) uint8: a square of each class but 0, which are apart; they cover less than a third."""
    label = np.zeros((SIZE, SIZE), np.uint8)
    for number in range(1, classes):
        row, column = 2 + 20 * (number - 1), 4 + 3 * (seed + number) % 25
        label[row : row + 9, column : column + 12] = number
    return label


def image(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE)).astype(np.uint8)


def smooth(array):
    """What resizing there and back leaves: shades along edges, which stay where they were."""
    small = Image.fromarray(array).resize((SIZE * 2, SIZE * 2), Image.BILINEAR)
    return np.asarray(small.resize((SIZE, SIZE), Image.BILINEAR))


def fill(root, save, classes=2, ending=".png"):
    for seed in range(4):
        put(root / "images" / f"{seed}.png", image(seed))
        save(root / "labels" / f"{seed}{ending}", truth(seed, classes))


OWN = np.array([[0, 0, 0], [250, 20, 30], [20, 30, 240]], np.uint8)


def no_labels(path, label):
    if path.stem != "3":
        put(path, label)


def half(path, label):
    put(path, label[1::2, 1::2])
    put(path.parents[1] / "images" / path.name, np.kron(image(int(path.stem))[1::2, 1::2], np.ones((2, 2), np.uint8)))


def doubled(label):
    return np.kron(label[1::2, 1::2], np.ones((2, 2), int))


def float_image(path, label):
    put(path, label)
    (path.parents[1] / "images" / path.name).unlink()
    tifffile.imwrite(path.parents[1] / "images" / f"{path.stem}.tif", image(int(path.stem)) / np.float32(255))


def twelve_bits(path, label):
    put(path, label)
    put(path.parents[1] / "images" / path.name, image(int(path.stem)).astype(np.uint16) * 16)


def objects(path, label):
    """Twelve objects in rows of two pixels, numbered; the truth is where one is."""
    numbers = np.repeat(np.arange(1, 13 + int(path.stem), dtype=np.uint16), 3)[:SIZE]
    put(path, np.pad(numbers, (0, SIZE - len(numbers)))[:, None] * np.ones(SIZE, np.uint16))


@dataclass
class Case:
    """A fault: how a label is saved, the kind of the finding, which of its advices is followed, what is read then.

    `advice` is a pattern in the fix, and "--fix" stands for the corrected copy.
    """

    save: Callable
    kind: str
    advice: str
    classes: int = 2
    ending: str = ".png"
    read: Callable = lambda label: label


CASES = {
    "0 and 255, the object is 255": Case(lambda p, a: put(p, a * 255), "binary", r"--set data.values=0,255"),
    "0 and 255, mended": Case(lambda p, a: put(p, a * 255), "binary", "--fix"),
    "0 and 255, the object is 0": Case(lambda p, a: put(p, 255 - a * 255), "binary", r"--set data.values=255,0"),
    "0 and 255, 255 is void": Case(
        lambda p, a: put(p, np.where(a == 2, 255, a).astype(np.uint8)),
        "void",
        r"--set data.ignore_class=255",
        3,
        read=lambda a: np.where(a == 2, 255, a),
    ),
    "smoothed masks": Case(lambda p, a: put(p, smooth(a * 255)), "smoothed", "--fix"),
    "grey levels": Case(lambda p, a: put(p, a * 100), "levels", r"--set data.values=0,100,200", 3),
    "grey levels, mended": Case(lambda p, a: put(p, a * 100), "levels", "--fix", 3),
    "classes from 1": Case(lambda p, a: put(p, a + 1), "off by one", r"--set data.values=1,2,3", 3),
    "classes from 1, mended": Case(lambda p, a: put(p, a + 1), "off by one", "--fix", 3),
    "colours of VOC": Case(lambda p, a: put(p, palette()[a].astype(np.uint8)), "colours", "--fix", 3),
    "own colours": Case(lambda p, a: put(p, OWN[a]), "colours", "--fix", 3, read=lambda a: np.array([0, 2, 1])[a]),
    "own colours, smoothed": Case(
        lambda p, a: put(p, smooth(OWN[a])), "colours", "--fix", 3, read=lambda a: np.array([0, 2, 1])[a]
    ),
    "JPEG masks": Case(lambda p, a: put(p, a * 255, quality=92), "jpeg", "--fix", ending=".jpg"),
    "an image without label": Case(no_labels, "unpaired", r"--set data.unlabelled=leave"),
    "an image without label, left out": Case(no_labels, "unpaired", "--fix"),
    "a smaller label": Case(half, "size", r"--set data.enlarge_labels=true", read=doubled),
    "numbered objects": Case(objects, "objects", r"--set data.instances=true", read=lambda a: None),
    "float images": Case(float_image, "refused", r"--set data.white=[\d.]+"),
    "12 bits in 16": Case(twelve_bits, "grey", r"--set data.white=4095"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_advice_that_is_followed_ends_in_labels_as_they_were_drawn(tmp_path, name):
    case, root = CASES[name], tmp_path / "mine"
    fill(root, case.save, case.classes, case.ending)
    found = check("folder", root, needs=needs({}))
    assert {finding.kind for finding in found.findings} == {case.kind}
    fix = fix_of(found.findings[0])
    settings = {}
    if case.advice == "--fix":
        assert all(finding.mendable for finding in found.findings)
        write_copy(found, tmp_path / "new")
        root, settings = tmp_path / "new", found.labels.settings
    else:
        (words,) = re.findall(case.advice, fix, re.IGNORECASE)
        settings = dict([words.removeprefix("--set ").split("=", 1)])
    options = options_from("folder", {key: value for key, value in settings.items() if key != "data.white"})
    again = check("folder", root, needs=needs(settings), **options)
    assert not again.findings, again.findings
    data = datasets.open("folder", root, split="all", **options)
    assert len(data) >= 3
    for item in data:
        wanted = case.read(truth(int(item.id), case.classes))
        if wanted is not None:
            np.testing.assert_array_equal(item.label, wanted)
        else:
            assert item.instances.max() == 12 + int(item.id)


def needs(settings):
    """What a small U-Net asks."""
    white = settings.get("data.white")
    return Needs(crop=(32, 32), white=white and float(white), is_scaled=True, geometry=unet_geometry(2, "same"))


def test_masks_with_smoothed_edges_are_no_objects_either(tmp_path):
    fill(tmp_path, lambda path, label: put(path, smooth(label * 255)))
    for options in ({}, {"instances": True}, {"classes": 2}):
        found = check("folder", tmp_path, **options).findings
        assert {finding.kind for finding in found} == {"smoothed"} and "instances" not in fix_of(found[0])
    assert "smoothed" in datasets.open("folder", tmp_path, split="train", instances=True).doubts[0].what


def test_numbers_of_classes_and_objects_up_to_255_are_no_smoothed_mask(tmp_path):
    def many(path, label):
        numbers = np.arange(256, dtype=np.uint8).reshape(16, 16)
        put(path, np.kron(numbers, np.ones((3, 3), np.uint8)))

    fill(tmp_path, many)
    assert {finding.kind for finding in check("folder", tmp_path).findings} == {"objects"}
    assert not check("folder", tmp_path, instances=True).findings


def test_a_mask_that_covers_most_is_asked_about_and_not_mended_by_a_guess(tmp_path):
    fill(tmp_path, lambda path, label: put(path, 255 - label * 255))
    found = check("folder", tmp_path).findings
    assert "255 covers 95% of all: perhaps 0 is the object" in found[0].what and not found[0].mendable
    fill(tmp_path / "b", lambda path, label: put(path, 1 - label))
    found = check("folder", tmp_path / "b")
    assert not found.findings and "where 0 is the object, pass values=(1, 0)" in str(found.doubts[0])
    assert not check("folder", tmp_path / "b", values=(1, 0)).doubts


def test_thin_lines_of_a_colour_of_their_own_are_no_shades(tmp_path):
    def lined(path, label):
        colours = OWN[label]
        colours[40, :] = 120, 10, 15  # halfway between background and class 1
        put(path, colours)

    fill(tmp_path / "mine", lined, 3)
    found = check("folder", tmp_path / "mine")
    write_copy(found, tmp_path / "new")
    assert len(found.labels.colours) == 4
    data = datasets.open("folder", tmp_path / "new", split="all")
    assert data.classes == ("#000000", "#141ef0", "#780a0f", "#fa141e") and set(data[0].label[40]) == {2}


def test_shades_where_three_colours_meet_are_no_classes(tmp_path):
    def met(path, label):
        colours = np.zeros((40, 40, 3), np.uint8)
        colours[10:30, 10:20], colours[10:30, 20:30] = (250, 20, 30), (20, 30, 240)
        put(path, cv2.GaussianBlur(colours, (5, 5), 1))

    fill(tmp_path / "mine", met, 3)
    assert list(check("folder", tmp_path / "mine").labels.colours) == [(0, 0, 0), (20, 30, 240), (250, 20, 30)]


TABLES = {
    "colours.csv": "class,red,green,blue\nbackground,0,0,0\ncell,250,20,30\nwall,20,30,240\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\ncell:250,20,30::\nbackground:0,0,0::\nwall:20,30,240::\n",
    "class_dict.csv": "name,r,g,b\nbackground,0,0,0\ncell,250,20,30\nwall,20,30,240\n",
    "label_colors.txt": "0 0 0\tbackground\n250 20 30\tcell\n20 30 240\twall\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_colours_gives_the_same_numbers_in_every_set(tmp_path, name):
    for root, save in (("a", lambda p, a: put(p, OWN[a])), ("b", lambda p, a: put(p, OWN[np.where(a == 1, 0, a)]))):
        fill(tmp_path / root, save, 3)
        (tmp_path / root / name).write_text(TABLES[name])
        kinds = {finding.kind for finding in check("folder", tmp_path / root).findings}
        assert kinds == (set() if root == "a" else {"unseen"})
        data = datasets.open("folder", tmp_path / root, split="all")
        assert data.classes == ("background", "cell", "wall")
        for item in data:
            drawn = truth(int(item.id), 3)
            np.testing.assert_array_equal(item.label, drawn if root == "a" else np.where(drawn == 1, 0, drawn))


def test_a_table_can_be_named_and_void_in_it_is_void(tmp_path):
    fill(tmp_path / "mine", lambda p, a: put(p, OWN[a]), 3)
    table = tmp_path / "table.csv"
    table.write_text("number,class,red,green,blue\n0,background,0,0,0\n1,cell,250,20,30\n9,void,20,30,240\n")
    options = {"colours": str(table)}
    assert not check("folder", tmp_path / "mine", **options).findings
    data = datasets.open("folder", tmp_path / "mine", split="all", **options)
    for item in data:
        drawn = truth(int(item.id), 3)
        np.testing.assert_array_equal(item.label, np.where(drawn == 2, 255, drawn))
    assert data.classes == ("background", "cell") and set(np.unique(data[0].label)) == {0, 1, 255}


def test_shades_beside_colours_of_a_table_are_mended_by_the_table(tmp_path):
    fill(tmp_path / "mine", lambda p, a: put(p, smooth(OWN[a])), 3)
    (tmp_path / "mine/colours.csv").write_text(TABLES["colours.csv"])
    with pytest.raises(DataError, match="is not in colours.csv.*without the shades along smoothed edges"):
        datasets.open("folder", tmp_path / "mine", split="all")[0]
    found = check("folder", tmp_path / "mine")
    assert {finding.kind for finding in found.findings} == {"colours"} and found.findings[0].mendable
    write_copy(found, tmp_path / "new")
    data = datasets.open("folder", tmp_path / "new", split="all")
    assert data.classes == ("background", "cell", "wall")
    np.testing.assert_array_equal(data[1].label, truth(int(data[1].id), 3))


def test_copies_of_two_sets_with_other_colours_do_not_pass_for_the_same_classes(tmp_path):
    fill(tmp_path / "a", lambda p, a: put(p, OWN[a]), 3)
    fill(tmp_path / "b", lambda p, a: put(p, OWN[np.where(a == 1, 0, a)]), 3)
    for name in "ab":
        write_copy(check("folder", tmp_path / name), tmp_path / f"{name}-new")
    classes = [datasets.open("folder", tmp_path / f"{name}-new", split="all").classes for name in "ab"]
    assert classes == [("#000000", "#141ef0", "#fa141e"), ("#000000", "#141ef0")]
    table = str(tmp_path / "a-new/colours.csv")
    found = check("folder", tmp_path / "b", colours=table).findings
    assert {finding.kind for finding in found} == {"unseen"}
    np.testing.assert_array_equal(
        np.unique(datasets.open("folder", tmp_path / "b", split="all", colours=table)[0].label), [0, 1]
    )
