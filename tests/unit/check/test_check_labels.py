"""How labels are saved, told from the whole set."""

import numpy as np
import pytest
from check_trees import HEIGHT, LABEL, WIDTH, fix_of, image, kinds, lines, put, tree
from PIL import Image

from kseg.check import check
from kseg.cli.spelling import as_option
from kseg.errors import DataError, spelled
from kseg.pictures import palette

MASK = (LABEL == 1).astype(np.uint8)


def coloured(label: np.ndarray, colours: np.ndarray) -> np.ndarray:
    return colours[label].astype(np.uint8)


def only(root, **options):
    (finding,) = check("folder", root, **options).findings
    return finding


def test_masks_of_0_and_255_are_found_by_pixel_and_the_options_named(tmp_path):
    found = check("folder", tree(tmp_path, 255 * MASK, 255 * MASK)).findings
    assert {finding.kind for finding in found} == {"binary"} and len(found) == 4
    first = found[0]
    assert (first.file, first.row, first.column, first.pixels, first.share) == ("train/labels/a.png", 1, 2, 6, 6 / 48)
    assert "--set data.values=0,255" in fix_of(first) and "--set data.ignore_class=255" in fix_of(first)
    assert str(first) == "train/labels/a.png: 0 and 255 only, first at row 1, column 2 (6 pixels, 12.5%)"
    for options in ({"values": (0, 255)}, {"classes": 2, "values": (0, 255)}):
        assert not lines(tmp_path, **options)


def test_a_mask_of_0_and_255_among_masks_of_0_and_1(tmp_path):
    found = check("folder", tree(tmp_path, MASK, 255 * MASK)).findings
    assert [finding.file for finding in found] == ["train/labels/b.png", "val/labels/b.png"]
    assert "while other labels have 0 and 1" in found[0].what and found[0].kind == "binary"


def test_void_among_the_classes(tmp_path):
    label = LABEL.copy()
    label[0, 3] = label[5, 0] = 255
    found = check("folder", tree(tmp_path, LABEL, label)).findings
    assert [(finding.kind, finding.file, finding.row, finding.pixels) for finding in found] == [
        ("void", "train/labels/b.png", 0, 2), ("void", "val/labels/b.png", 0, 2),
    ]  # fmt: skip
    assert fix_of(found[0]) == "--set data.ignore_class=255" and not lines(tmp_path, ignore_class=255)


def test_a_class_that_is_named_void(tmp_path):
    (tree(tmp_path) / "classes.txt").write_text("road\ncar\nvoid\n")
    finding = only(tmp_path)
    assert str(finding) == "classes.txt: line 3 names class 2 'void': void would be learned like any other"
    assert fix_of(finding) == "take the line out and pass --set data.ignore_class=2"


@pytest.mark.parametrize("names", ["", "a\nb\nc\n"])
def test_classes_that_begin_at_1(tmp_path, names):
    tree(tmp_path, LABEL + 1, LABEL + 1)
    if names:
        (tmp_path / "classes.txt").write_text(names)
    finding = only(tmp_path)
    assert str(finding).startswith(
        "train/labels/a.png: 0 never occurs in 4 labels, 1 to 3 do, first at row 4, column 6"
    )
    assert fix_of(finding) == "--set data.values=1,2,3; --fix DIR makes them 0 to 2" and not lines(
        tmp_path, values=(1, 2, 3)
    )


def test_classes_that_begin_at_1_with_void_at_0_and_at_255(tmp_path):
    label = LABEL + 1
    label[0, 0] = 255
    found = check("folder", tree(tmp_path / "a", label, label)).findings
    assert [finding.kind for finding in found] == ["void"] * 4 + ["off by one"]
    assert spelled(found[-1].fix, as_option) == "--set data.values=1,2,3 --set data.ignore_class=255"
    finding = only(tree(tmp_path / "b"), ignore_class=0)
    assert finding.kind == "off by one" and "0 is void, so that the classes are 1 to 2" in finding.what
    assert not lines(tmp_path / "b", ignore_class=0, values=(1, 2))


def test_labels_beyond_the_classes_that_are_named(tmp_path):
    (tree(tmp_path, LABEL, LABEL) / "classes.txt").write_text("road\ncar\n")
    found = check("folder", tmp_path).findings
    assert len(found) == 4 and str(found[0]) == (
        "train/labels/a.png: label 2, but there are 2 classes, first at row 4, column 6 (4 pixels, 8.3%)"
    )
    assert fix_of(found[0]).startswith(
        "--set data.ignore_class=2 where it is void; else name every class in classes.txt"
    )
    (tmp_path / "classes.txt").unlink()
    assert "--set data.classes=3" in fix_of(check("folder", tmp_path, classes=2).findings[0])


def test_a_number_that_is_not_among_the_values(tmp_path):
    assert lines(tree(tmp_path), values=(0, 1))[0] == (
        "train/labels/a.png: label 2 is not among data.values=0,1, first at row 4, column 6 (4 pixels, 8.3%)"
    )


@pytest.mark.parametrize(("levels", "values"), [((0, 127, 255), "0,127,255"), ((0, 100, 200), "0,100,200")])
def test_grey_levels_to_be_looked_at(tmp_path, levels, values):
    found = check("folder", tree(tmp_path, *[np.array(levels, np.uint8)[LABEL]] * 2)).findings
    assert {finding.kind for finding in found} == {"levels"} and fix_of(
        found[0]
    ) == f"--set data.values={values}; --fix DIR makes them 0 to 2"
    assert not lines(tmp_path, values=levels)


def test_palette_colours_read_as_grey_are_recognised(tmp_path):
    label = np.where(LABEL == 2, 15, LABEL)
    grey = np.asarray(Image.fromarray(coloured(label, palette())).convert("L"))
    assert set(np.unique(grey)) == {0, 38, 147}
    finding = only(tree(tmp_path, grey, grey))
    assert finding.kind == "levels" and "brightness of PASCAL VOC's colours" in finding.what and not finding.mendable


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_labels_saved_with_loss(tmp_path, ending):
    found = check("folder", tree(tmp_path, LABEL, LABEL, ending=ending)).findings
    assert {finding.kind for finding in found} == {"jpeg"} and len(found) == 4
    assert (
        "compressed with loss" in str(found[0]) and not found[0].mendable and "the numbers are lost" in fix_of(found[0])
    )


def test_black_and_white_saved_with_loss_can_be_mended(tmp_path):
    mask = np.kron(255 * MASK, np.ones((16, 16), np.uint8))
    for name in "ab":
        put(tmp_path / "images" / f"{name}.png", np.kron(image(ord(name)), np.ones((16, 16, 1), np.uint8)))
        put(tmp_path / "labels" / f"{name}.jpg", mask, quality=80)
    assert [finding.mendable for finding in check("folder", tmp_path).findings] == [True, True]
    put(tmp_path / "labels" / "b.jpg", np.where(mask, 128, 0).astype(np.uint8))
    assert [finding.mendable for finding in check("folder", tmp_path).findings] == [False, False]


@pytest.mark.parametrize(
    ("black", "grey", "level", "mendable"),
    [
        # Of 100 blocks: at least 90 black or white, to 8 levels, and at most 2 in the middle third of the levels.
        (60, 10, 40, True),
        (60, 11, 40, False),
        (60, 30, 40, False),
        (60, 30, 8, True),
        (60, 11, 9, False),
        (60, 2, 128, True),
        (60, 3, 128, False),
        (60, 10, 85, True),
        (60, 10, 86, False),
        (60, 10, 169, False),
        (60, 10, 170, True),
        (99, 1, 40, False),  # nothing is bright
    ],
)
def test_how_much_of_a_lossy_label_has_to_be_black_and_white(tmp_path, black, grey, level, mendable):
    blocks = np.full(100, 255, np.uint8)
    blocks[:black], blocks[black : black + grey] = 0, level
    mask = np.kron(blocks.reshape(10, 10), np.ones((16, 16), np.uint8))  # blocks of JPEG's own: each stays one level
    put(tmp_path / "images" / "a.png", np.kron(blocks.reshape(10, 10), np.ones((16, 16), np.uint8)))
    put(tmp_path / "labels" / "a.jpg", mask, quality=100)
    assert [each.mendable for each in check("folder", tmp_path).findings if each.kind == "jpeg"] == [mendable]


def test_colours_are_counted_and_voc_s_known(tmp_path):
    found = check("folder", tree(tmp_path, *[coloured(LABEL, palette())] * 2)).findings
    assert {str(finding).partition(": ")[2] for finding in found} == {"3 colours, not class numbers"}
    assert found[0].mendable and "they are PASCAL VOC's" in found[0].in_copy


def test_colours_of_ones_own_are_numbered_unless_something_contradicts(tmp_path):
    own = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]])
    found = check("folder", tree(tmp_path, *[coloured(LABEL, own)] * 2)).findings
    assert found[0].mendable and "the 3 of the set are numbered in colours.csv" in found[0].in_copy
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert not check("folder", tmp_path).findings[0].mendable


def test_colours_with_smoothed_edges_are_hopeless(tmp_path):
    root = tree(tmp_path)
    noisy = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    put(root / "train/images/a.png", noisy)
    put(root / "train/labels/a.png", noisy)
    finding = only(root)
    assert "over 64 colours" in str(finding) and "without smoothed edges" in fix_of(finding) and not finding.mendable


def test_numbers_of_objects_are_asked_about(tmp_path):
    label = np.arange(48, dtype=np.uint8).reshape(HEIGHT, WIDTH) * 2
    finding = only(tree(tmp_path, label, label))
    assert finding.kind == "objects" and fix_of(finding) == "--set data.instances=true" and "up to 94" in finding.what
    assert not lines(tmp_path, instances=True)
    assert "--set data.instances=true where objects are numbered" in fix_of(
        check("folder", tmp_path, classes=2).findings[0]
    )
    put(tmp_path / "val/labels/a.png", label.astype(np.uint16) * 3)
    finding = only(tmp_path)
    assert finding.kind == "objects" and "up to 282" in finding.what


def test_a_few_objects_in_each_label_are_asked_about_too(tmp_path):
    labels = [np.arange(48, dtype=np.uint8).reshape(HEIGHT, WIDTH).clip(max=most) for most in (9, 15, 20)]
    finding = only(tree(tmp_path, *labels))
    assert finding.kind == "objects" and fix_of(finding) == "--set data.instances=true" and "up to 20" in finding.what
    assert not lines(tmp_path, instances=True) and not lines(tmp_path, classes=21)
    assert fix_of(only(tmp_path, classes=2)) == fix_of(finding)


def test_classes_without_a_pixel_and_classes_only_held_out(tmp_path):
    (tree(tmp_path) / "classes.txt").write_text("road\ncar\ntree\nsky\n")
    put(tmp_path / "train/labels/a.png", MASK)
    put(tmp_path / "train/labels/b.png", MASK)
    assert lines(tmp_path) == [
        "labels: no label has class 3 (sky) of 4",
        "val: class 2 (tree) occurs here, but never in train",
    ]


def test_labels_without_foreground_are_told_where_most_are(tmp_path):
    tree(tmp_path, MASK, 0 * MASK)
    assert not lines(tmp_path)
    put(tmp_path / "val/labels/a.png", 0 * MASK)
    assert kinds(check("folder", tmp_path)) == ["blank"]
    assert "3 of 4 labels hold nothing but class 0" in lines(tmp_path)[0]


def test_a_training_refuses_what_the_check_found(tmp_path):
    from kseg import datasets

    tree(tmp_path, LABEL, 255 * MASK)
    assert kinds(check("folder", tmp_path))
    with pytest.raises(DataError):
        datasets.open("folder", tmp_path, split="train")
