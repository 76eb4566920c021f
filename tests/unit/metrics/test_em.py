"""The ISBI 2012 measures on slices small enough to count by hand.

A row per line, `.` membrane, `#` cell. Two cells of 9 pixels beside a line are 18 true cell pixels:
S_A = 2 * 9**2 = 162.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

import kseg.metrics
from kseg.errors import DataError
from kseg.metrics import em_kernels
from kseg.metrics.em import MEASURES, THRESHOLDS, em_scores


def plane(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows], np.float32)


TWO_CELLS = plane("###.###", "###.###", "###.###")
ONE_CELL = plane("#######", "#######", "#######")
# The line of TWO_CELLS has a gap in its middle row: one pixel joins the cells.
GAP = plane("###.###", "#######", "###.###")


def values(prediction, label, measures=MEASURES):
    return {name: best.value for name, best in em_scores(prediction, label, measures).items()}


def test_a_perfect_proposal_has_full_scores_and_no_error():
    assert values(TWO_CELLS, TWO_CELLS) == pytest.approx(
        {"v_rand": 1, "v_info": 1, "rand_error": 0, "warping_error": 0, "pixel_error": 0}, abs=1e-15
    )


def test_a_false_gap_merges_two_cells():
    # Rand: one region holds all 18, S_AB = 162, S_B = 18**2 = 324: F = 2 * 162 / (162 + 324) = 2/3.
    # Pixels: 18 right of 19 white ones and 18 true ones: F = 36/37. Warping: the gap can't be flipped,
    # as that would join two segments: one merger in 21 pixels.
    assert values(GAP, TWO_CELLS) == pytest.approx(
        {"v_rand": 2 / 3, "v_info": 0, "rand_error": 1 / 3, "warping_error": 1 / 21, "pixel_error": 1 / 37}, abs=1e-15
    )


def test_a_false_line_splits_a_cell():
    # The label is one cell of 21. Rand: regions of 9 and 9 and three lone pixels: S_AB = S_B = 165,
    # S_A = 441. The slice is all cell, which counts no warping error; V_info of one cell is 0.
    found = values(TWO_CELLS, ONE_CELL)
    f_score = 2 * 165 / (165 + 441)
    assert found == pytest.approx(
        {"v_rand": f_score, "v_info": 0, "rand_error": 1 - f_score, "warping_error": 0, "pixel_error": 3 / 39}
    )


def test_a_split_is_a_white_pixel_without_which_its_neighbours_fall_apart():
    # The black middle of the proposal is wrong, and not simple: without it the label's cell is cut.
    label = plane(".....", "##.##", "#####", "##.##", ".....")
    proposal = plane(".....", "##.##", "##.##", "##.##", ".....")
    assert values(proposal, label)["warping_error"] == 1 / 25


def test_a_detour_within_the_window_makes_a_hole_and_no_split():
    # As above, but the halves are joined by a detour; the flip would only open a ring.
    label = plane("#####", "#...#", "##.##", "#####", "##.##", ".....")
    proposal = plane("#####", "#...#", "##.##", "##.##", "##.##", ".....")
    assert values(proposal, label)["warping_error"] == 0


@pytest.mark.parametrize(("reach", "error"), [(20, 0), (21, 1)])
def test_a_detour_counts_up_to_20_pixels_away(reach, error):
    # A ring `reach` pixels tall above the wrong pixel, in the middle of a slice larger than the window.
    label = np.zeros((64, 64), np.float32)
    label[40 - reach, 29:36] = label[40, 29:36] = 1
    label[40 - reach : 41, 29] = label[40 - reach : 41, 35] = 1
    proposal = label.copy()
    proposal[40, 32] = 0
    assert values(proposal, label)["warping_error"] * label.size == pytest.approx(error)


def test_displaced_and_thicker_membranes_have_no_warping_error():
    label = plane(*[".........", *["####.####"] * 5, "........."])
    proposal = plane(*[".........", *["###...###"] * 2, *["#####.###"] * 3, "........."])
    found = values(proposal, label)
    assert found["warping_error"] == 0
    assert found["pixel_error"] > 0


def test_thinning_hides_the_width_of_a_membrane_from_v_rand_only():
    label = plane(*["####.####"] * 3)
    proposal = plane(*["##.....##"] * 3)  # the flood meets in the middle, on the label's line
    found = values(proposal, label)
    assert found["v_rand"] == found["v_info"] == 1
    # 12 white pixels of 24 right: regions of 6 and 6 and 12 lone ones. S_AB = S_B = 84, S_A = 288.
    assert found["rand_error"] == pytest.approx(1 - 2 * 84 / (84 + 288))


def test_each_pixel_without_a_segment_is_an_object_of_its_own():
    # Cells of 4 and 4; the proposal's line runs through the first: basins of 2 and 4 and 2 lone pixels.
    label = plane(*["####.####"])
    proposal = plane(*["#..#.####"])
    segments = np.zeros((3, 11), np.int32)
    segments[1, [1, 4, 6, 7, 8, 9]] = [1, 2, 3, 3, 3, 3]
    cells = np.zeros((3, 11), np.int32)
    cells[1, 1:5], cells[1, 6:10] = 1, 2
    *pairs, joint, proposed, true = em_kernels.overlaps(*em_kernels.group_by_cell(cells), segments, 3)
    # n = 8. Columns 1, 1, 4 and two lone pixels.
    assert pairs == [1 + 1 + 16 + 2, 1 + 1 + 16 + 2, 32]
    assert proposed == pytest.approx(4 / 8 * np.log(1 / 8) + 1 / 2 * np.log(1 / 2))
    assert joint == pytest.approx(proposed)
    assert true == pytest.approx(np.log(1 / 2))
    # The white regions through the front door.
    assert values(proposal, label)["rand_error"] == pytest.approx(1 - 2 * 20 / (20 + 32))


def test_all_white_and_all_black_have_the_same_v_rand():
    white, black = np.ones_like(TWO_CELLS), np.zeros_like(TWO_CELLS)
    assert values(white, TWO_CELLS)["v_rand"] == values(black, TWO_CELLS)["v_rand"] == pytest.approx(2 / 3)
    assert values(white, TWO_CELLS)["v_info"] == values(black, TWO_CELLS)["v_info"] == 0
    # All black: 18 lone pixels, S_AB = S_B = 18.
    assert values(black, TWO_CELLS)["rand_error"] == pytest.approx(1 - 2 * 18 / (18 + 162))
    assert values(black, TWO_CELLS)["pixel_error"] == 1


def test_a_slice_with_one_true_cell_has_no_v_info():
    label = plane("..###..", "..###..")
    assert values(label, label)["v_info"] == 0
    assert values(label, label)["v_rand"] == 1


def test_a_line_through_a_cell_shares_information_with_it():
    # Rows of 4 true pixels, 2 left and 2 right; basins above and below the line, which holds 4 of 20.
    label = plane(*["##.##"] * 5)
    proposal = plane("#####", "#####", ".....", "#####", "#####")
    # B: two of 8/20, four of 1/20; A: two of 1/2. I = H(A) - H(A|B), and only lone pixels tell A: I = 0.2 ln 2.
    h_b = -(0.8 * np.log(0.4) + 0.2 * np.log(0.05))
    precision, recall = 0.2, 0.2 * np.log(2) / h_b
    assert values(proposal, label)["v_info"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_scores_are_means_over_slices_and_errors_sums():
    label, proposal = np.stack([TWO_CELLS, TWO_CELLS]), np.stack([TWO_CELLS, GAP])
    # Pixels: 36 right of 37 and 36. Rand: S_AB = 324, S_B = 162 + 324, S_A = 324.
    assert values(proposal, label) == pytest.approx(
        {
            "v_rand": (1 + 2 / 3) / 2,
            "v_info": 1 / 2,
            "rand_error": 1 - 2 * 324 / (324 + 486),
            "warping_error": 1 / 42,
            "pixel_error": 1 - 72 / 73,
        }
    )


def test_a_slice_without_cells_adds_nothing_to_the_rand_error():
    label = np.stack([TWO_CELLS, np.zeros_like(TWO_CELLS)])
    found = values(np.stack([GAP, GAP]), label)
    assert found["rand_error"] == pytest.approx(1 / 3)
    assert found["v_rand"] == pytest.approx(1 / 3)
    assert values(GAP, np.zeros_like(GAP))["rand_error"] == 1
    assert values(np.zeros_like(GAP), np.zeros_like(GAP))["pixel_error"] == 0


def test_thresholds_are_eleven_and_white_is_strictly_above_in_double_precision():
    assert len(THRESHOLDS) == 11
    assert THRESHOLDS[3] == 0.1 + 0.1 + 0.1
    label = plane("#")
    for value, white in ((1.0, 11), (0.5, 5), (0.1, 2)):  # float32 0.1 lies above 0.1
        curve = em_scores(np.full((1, 1), value, np.float32), label)["pixel_error"].curve
        assert curve == (0.0,) * white + (1.0,) * (11 - white)
    assert len(em_scores(label, label)["warping_error"].curve) == 10


def test_the_first_of_the_best_thresholds_is_named():
    best = em_scores(TWO_CELLS * 0.65 + 0.15, TWO_CELLS)["pixel_error"]
    assert (best.value, best.threshold) == (0, 0.2)


def test_functions_equal_the_scores_of_one_pass():
    random = np.random.default_rng(0)
    label = random.integers(0, 2, (2, 12, 17)) * 7
    prediction = np.clip(label / 7 * 0.5 + random.random(label.shape) * 0.5, 0, 1)
    scores = em_scores(prediction, label)
    assert list(scores) == list(MEASURES)
    for name in MEASURES:
        assert getattr(kseg.metrics, name)(prediction, label) == scores[name].value
        assert type(scores[name].value) is float
        json.dumps(scores[name].curve)


@pytest.mark.parametrize(
    ("prediction", "label", "words"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), r"\(2, 3\), the label \(3, 2\)"),
        (np.zeros(3), np.zeros(3), r"the prediction is \(3,\)"),
        (np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2)), r"the prediction is \(1, 1, 2, 2\)"),
        (np.zeros((0, 4, 4)), np.zeros((0, 4, 4)), r"the prediction is \(0, 4, 4\)"),
        (np.array([[0, 2.5]]), np.zeros((1, 2)), r"2\.5 at row 0, column 1 \(1 pixels\).*from 0 to 1.*255"),
        (np.array([[[0.0]], [[np.nan]]]), np.zeros((2, 1, 1)), "nan at slice 1, row 0, column 0"),
        (np.array([[-0.1]]), np.zeros((1, 1)), "-0.1 at row 0, column 0"),
    ],
)
@pytest.mark.parametrize("name", MEASURES)
def test_bad_input_is_named(name, prediction, label, words):
    with pytest.raises(DataError, match=words):
        getattr(kseg.metrics, name)(prediction, label)


def test_metrics_are_imported_without_numba():
    code = "import sys, kseg.metrics; kseg.metrics.mean_iu; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no 'v_rnd'"):
        _ = kseg.metrics.v_rnd
    assert "v_rand" in dir(kseg.metrics)
