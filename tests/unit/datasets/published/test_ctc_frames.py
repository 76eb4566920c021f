from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kseg.datasets.folds import in_folds
from kseg.datasets.published.ctc import CellTracking, unlabelled
from kseg.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path) -> Path:
    """Two sequences, nine and two frames segmented; frame 004 of the first has a marker without a cell."""
    for sequence, numbers in (("01", range(9)), ("02", (3, 10))):
        for number in numbers:
            cells = np.zeros((40, 50), np.uint16)
            cells[5:15, 5:15], cells[5:15, 15:25] = 7, 300
            markers = cells.copy()
            if number == 4:
                markers[30:33, 40:43] = 9
            for path, pixels in (
                (f"{sequence}/t{number:03d}.tif", cells.astype(np.uint8)),
                (f"{sequence}_GT/SEG/man_seg{number:03d}.tif", cells),
                (f"{sequence}_GT/TRA/man_track{number:03d}.tif", markers),
            ):
                (tmp_path / "Set" / path).parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(tmp_path / "Set" / path, pixels)
    return tmp_path


def test_the_last_quarter_of_each_sequence_is_held_out(root):
    assert CellTracking(root, split="val").ids == ["01_006", "01_007", "01_008", "02_010"]
    assert len(CellTracking(root / "Set", split="train")) == 7
    assert CellTracking(root, split="02").ids == ["02_003", "02_010"]
    assert len(CellTracking(root, split="all", drop=[3, 8])) == 8


def test_a_cross_validation_holds_out_whole_sequences(root):
    parts = {split: CellTracking(root, split=split) for split in ("train", "val")}
    held = [{name[:2] for name in in_folds(parts, 2, fold)["val"].ids} for fold in (1, 2)]
    assert sorted(held, key=min) == [{"01"}, {"02"}]
    with pytest.raises(ConfigError, match="folds is 3, but there are 2 files"):
        in_folds(parts, 3)


def test_cells_keep_their_numbers(root):
    item = CellTracking(root, split="01")[0]
    assert set(np.unique(item.instances)) == {0, 7, 300}
    assert set(np.unique(item.label)) == {0, 1} and item.label.dtype == np.int32


def test_around_a_marker_without_a_cell_background_is_void(root):
    label = CellTracking(root, split="01")[4].label
    assert (label[30:33, 40:43] == 255).all()
    # Both cells are 100 pixels: a disc of their area is 11.3 wide.
    assert label[31, 31] == 255 and label[31, 28] == 0 and label[10, 10] == 1


def test_markers_of_another_size_are_named(root):
    tifffile.imwrite(root / "Set" / "01_GT" / "TRA" / "man_track004.tif", np.ones((50, 40), np.uint16))
    with pytest.raises(DataError, match="man_track004.tif: 50 x 40, but the cells are 40 x 50. Is this the set as"):
        CellTracking(root, split="01")[4]


def test_a_marker_mostly_inside_a_cell_is_labelled():
    cells, markers = np.zeros((8, 8), int), np.zeros((8, 8), int)
    cells[:, :4] = 3
    markers[2, 1:6] = 1  # three of five pixels inside
    assert not unlabelled(cells, markers).any()
    markers[2, 6] = 1  # three of six
    assert unlabelled(cells, markers).any()


def lonely_one_by_one(cells: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """The markers of which half or less lies in one cell, each looked at on its own."""
    lonely = np.zeros(cells.shape, bool)
    for marker in set(markers.ravel().tolist()) - {0}:
        inside = cells[markers == marker].tolist()
        if 2 * max(inside.count(cell) if cell else 0 for cell in inside) <= len(inside):
            lonely |= markers == marker
    return lonely


@given(
    pixels=st.integers(1, 7).flatmap(
        lambda width: st.tuples(
            *(arrays.arrays(np.uint16, (6, width), elements=st.sampled_from([0, 0, 1, 2, 65_535])) for _ in range(2))
        )
    )
)
def test_markers_are_held_against_cells_as_if_one_by_one(pixels):
    cells, markers = pixels
    lonely = lonely_one_by_one(cells, markers)
    areas = np.unique(cells[cells > 0], return_counts=True)[1]
    diameter = 2 * np.sqrt(np.median(areas) / np.pi) if areas.size else 32.0
    places = np.argwhere(lonely)
    expected = np.zeros(cells.shape, bool)
    for row, column in np.argwhere(cells == 0):
        expected[row, column] = any(np.hypot(row - y, column - x) <= diameter for y, x in places)
    np.testing.assert_array_equal(unlabelled(cells, markers), expected)


def test_silver_truth_that_is_not_there_is_missed(root):
    with pytest.raises(DataError, match="01_ST/SEG"):
        CellTracking(root, split="all", truth="silver")
    with pytest.raises(ConfigError, match=r"data\.truth is 'bronze'"):
        CellTracking(root, split="all", truth="bronze")


def test_volumes_are_refused(root):
    for path in (root / "Set" / "02_GT" / "SEG").iterdir():
        path.rename(path.with_name(path.stem + "_07.tif"))
    with pytest.raises(DataError, match="Volumes"):
        CellTracking(root, split="all")


def test_the_computed_truth_heeds_the_markers_set_by_hand(root):
    for name in ("01", "02"):
        gold, silver = (root / "Set" / f"{name}_{kind}" / "SEG" for kind in ("GT", "ST"))
        silver.mkdir(parents=True)
        for file in gold.iterdir():
            (silver / file.name).write_bytes(file.read_bytes())
    for truth in ("gold", "silver"):
        label = CellTracking(root, split="01", truth=truth)[4].label
        assert (label[30:33, 40:43] == 255).all()
