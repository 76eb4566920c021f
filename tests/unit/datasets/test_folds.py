"""Cross-validation: which images are held out together, and what is refused."""

import cv2
import numpy as np
import pytest
import tifffile

from kseg import datasets
from kseg.datasets.folds import Pool, in_folds
from kseg.datasets.own.division import folds_of
from kseg.errors import ConfigError


def fill(root, names, splits=("",), size=6):
    for number, split in enumerate(splits):
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True)
        for name in names:
            cv2.imwrite(str(root / split / "images" / f"{name}.png"), np.full((size, size), 9 * number, np.uint8))
            cv2.imwrite(str(root / split / "labels" / f"{name}.png"), np.eye(size, dtype=np.uint8))
    return root


def parts_of(root, **options):
    there = datasets.open("folder", root, split="all", **options).splits
    return {split: datasets.open("folder", root, split=split, **options) for split in there if split != "all"}


@pytest.mark.parametrize(("count", "folds"), [(5, 5), (5, 2), (11, 4), (40, 7)])
def test_folds_are_of_nearly_equal_size_and_hold_every_image_once(count, folds):
    names = [f"image_{number}" for number in range(count)]
    found = folds_of(names, folds)
    sizes = [found.count(fold) for fold in range(1, folds + 1)]
    assert sum(sizes) == count and max(sizes) - min(sizes) <= 1
    assert dict(zip(names[::-1], folds_of(names[::-1], folds), strict=True)) == dict(zip(names, found, strict=True))


def test_an_image_that_is_added_moves_at_most_one_from_each_fold_to_another():
    names = [f"image_{number}" for number in range(40)]
    before, after = folds_of(names, 5), folds_of([*names, "new"], 5)
    assert sum(one != other for one, other in zip(before, after, strict=False)) <= 4


def test_train_and_val_are_pooled_and_each_fold_is_held_out_of_the_others(tmp_path):
    parts = parts_of(fill(tmp_path, "abcde"))
    whole = in_folds(parts, 5)
    assert [*whole] == ["train"] and whole["train"].ids == list("abcde")
    assert (whole["train"].classes, whole["train"].name) == (("class 0", "class 1"), "folder")
    held = []
    for fold in range(1, 6):
        found = in_folds(parts, 5, fold)
        assert (found["train"].split, found["val"].split) == ("train", "val")
        assert sorted([*found["train"].ids, *found["val"].ids]) == list("abcde") and len(found["val"]) == 1
        assert found["val"].location(0).endswith(f"{found['val'].ids[0]}.png")
        held += found["val"].ids
    assert sorted(held) == list("abcde")


def test_the_same_name_in_train_and_val_is_two_images_and_test_stays_as_it_is(tmp_path):
    parts = parts_of(fill(tmp_path, "ab", ("train", "val", "test")))
    found = in_folds(parts, 2)
    assert found["train"].ids == ["train_a", "train_b", "val_a", "val_b"]
    assert [found["train"][index].image.max() for index in range(4)] == [0, 0, 9, 9]
    assert [found["train"][index].id for index in range(4)] == found["train"].ids
    assert found["test"] is parts["test"]
    assert sorted(in_folds(parts, 2, 1)["val"].ids) in (
        ["train_a", "val_a"],
        ["train_b", "val_b"],
    )


def test_the_pages_of_a_stack_stay_together_but_those_of_a_single_stack_are_divided(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for name in "abc":
            tifffile.imwrite(tmp_path / kind / f"{name}.tif", np.ones((2, 6, 6), np.uint8), photometric="minisblack")
    parts = parts_of(tmp_path)
    pages = [sorted(in_folds(parts, 3, fold)["val"].ids) for fold in (1, 2, 3)]
    assert sorted(pages) == [["a_000", "a_001"], ["b_000", "b_001"], ["c_000", "c_001"]]
    with pytest.raises(ConfigError, match="folds is 4, but there are 3 files to divide. At most as many: folds=3."):
        in_folds(parts, 4)
    for kind in ("images", "labels"):
        for name in "bc":
            (tmp_path / kind / f"{name}.tif").unlink()
    assert [len(in_folds(parts_of(tmp_path), 2, fold)["val"]) for fold in (1, 2)] == [1, 1]


def test_more_folds_than_images_and_a_single_image_are_refused(tmp_path):
    parts = parts_of(fill(tmp_path / "two", "ab"))
    with pytest.raises(ConfigError, match="folds is 3, but there are 2 images to divide. At most as many: folds=2."):
        in_folds(parts, 3)
    with pytest.raises(ConfigError, match="folds is 2, but there is 1 file to divide. Leave it out."):
        in_folds(parts_of(fill(tmp_path / "one", "a", size=80)), 2)


def test_a_data_set_with_parts_of_its_own_is_refused(few_cells):
    demo = {split: datasets.open("demo", few_cells, split=split) for split in ("train", "val")}
    with pytest.raises(ConfigError, match="folds is 2, but demo has parts that belong to the data set"):
        in_folds(demo, 2)


def test_a_part_of_a_pool_reads_the_same_items(tmp_path):
    pool = in_folds(parts_of(fill(tmp_path, "abcd")), 2)["train"]
    assert isinstance(pool, Pool)
    part = pool.only([1, 3]).only([1])
    assert part.ids == ["d"] and part[0].id == "d" and part.source(0) == "d" and pool[2:].source(1) == "d"
