from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kseg import datasets
from kseg.datasets import demo
from kseg.datasets.demo import COUNTS, SIZE, draw_cells, write_demo
from kseg.errors import EnvironmentFailure
from kseg.instances import components, separate


def test_the_same_seed_gives_the_same_picture_and_another_another():
    (image, cells), (again, same_cells) = draw_cells(3, 96, 80), draw_cells(3, 96, 80)
    assert image.shape == (96, 80) and image.dtype == np.uint8 and cells.dtype == np.uint16
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(cells, same_cells)
    assert (draw_cells(4, 96, 80)[0] != image).any()


@pytest.mark.parametrize("seed", range(6))
def test_cells_touch_and_each_is_one_piece_with_a_number_in_sequence(seed):
    image, cells = draw_cells(seed, *SIZE)
    assert np.unique(cells).tolist() == list(range(cells.max() + 1)) and cells.max() >= 5
    for cell in range(1, cells.max() + 1):
        inside = cells == cell
        assert components(inside).max() == 1 and inside.sum() >= 12
    assert (separate(cells) != cells).sum() > 20
    assert 0.1 < (cells > 0).mean() < 0.9 and image.std() > 10


def test_of_a_cell_in_pieces_the_largest_is_kept_and_numbers_close_up():
    owner = np.zeros((8, 12), np.uint16)
    owner[:4, :4], owner[:4, 4], owner[:4, 5] = 3, 7, 3  # cell 7 cuts 3 in two and is itself too small
    owner[5:, 4:] = 9
    expected = np.where(owner == 9, 2, 0)
    expected[:4, :4] = 1
    np.testing.assert_array_equal(demo._renumber(owner), expected)


def test_it_is_written_once_to_the_cache_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KSEG_HOME", str(tmp_path))
    first = datasets.open("demo", split="train")
    assert {split: len(datasets.open("demo", split=split)) for split in COUNTS} == COUNTS
    assert first.classes == ("background", "cell") and first.root.parent == tmp_path
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    datasets.open("demo", split="val")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == written


def test_two_that_write_it_at_once_both_get_it(tmp_path, monkeypatch):
    counts = {"train": 4, "val": 2}
    monkeypatch.setattr(demo, "COUNTS", counts)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda split: datasets.open("demo", tmp_path / "demo", split=split), counts))
    assert [len(data) for data in both] == list(counts.values())
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(EnvironmentFailure, match="a/demo: can't be written"):
        write_demo(tmp_path / "a" / "demo")
    with pytest.raises(EnvironmentFailure, match="a/demo: can't be written"):
        datasets.open("demo", tmp_path / "a" / "demo", split="train")
