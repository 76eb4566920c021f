"""The ISBI 2012 measures against golden/isbi: figures of the challenge's own Java code.

Every figure is held: the boards' and those at each threshold. Two are the official code's habits,
which kseg copies: `l64_label_ones` has no warping error, because a conversion to 8 bit loses the
components of a slice that is cell everywhere; `m64_label_zeros` has Rand error 1, not the 0 of "P = 1
where nothing is false".
"""

import json

import numpy as np
import pytest

from kseg.instances import components
from kseg.metrics import em, em_kernels

CASES = [
    "a64_real",
    "b64_binary",
    "c128_real",
    "d128_quant",
    "e128_rough",
    "f256_real",
    "g512_real",
    "h64_ones",
    "i64_zeros",
    "j64_identical",
    "k64_inverted",
    "l64_label_ones",
    "m64_label_zeros",
    "n64_half",
    "o48x96_tenths",
    "p3x64x96_stack",
    "q16_small",
    "r48_synthetic",
]
# Our name: the board's, then that of the figures at all thresholds.
FIGURES = {
    "v_rand": ("v_rand_thinned_max", "v_rand_thinned", "f_score"),
    "v_info": ("v_info_thinned_max", "v_info_thinned", "f_score"),
    "rand_error": ("rand_error_foreground", "rand_foreground", "f_score"),
    "warping_error": ("warping_error", "warping", "error"),
    "pixel_error": ("pixel_error", "pixel", "f_score"),
}
SAME = {"rtol": 0, "atol": 1e-9}
MERGER, SPLIT = 1, 2
single_slices = pytest.mark.parametrize("case", [name for name in CASES if name != "p3x64x96_stack"], indirect=True)


@pytest.fixture(scope="module", params=CASES)
def case(request, shared):
    folder = shared / "golden" / "isbi"
    figures = json.loads((folder / f"{request.param}.json").read_text())
    with np.load(folder / f"{request.param}.npz") as file:
        arrays = dict(file)
    return figures, arrays, em.em_scores(arrays["prob"], arrays["label"])


def test_every_case_is_tested(shared):
    assert sorted(path.stem for path in (shared / "golden" / "isbi").glob("*.json")) == CASES


@pytest.mark.parametrize("name", FIGURES)
def test_figures_equal_the_official_ones(case, name):
    figures, arrays, scores = case
    board, group, key = FIGURES[name]
    np.testing.assert_allclose(scores[name].value, figures["summary"][board], **SAME)
    assert getattr(em, name)(arrays["prob"], arrays["label"]) == scores[name].value
    curve = np.array(figures[group][key], np.float64)  # null becomes NaN
    if name in ("rand_error", "pixel_error"):
        curve = 1 - curve
    np.testing.assert_allclose(scores[name].curve, curve, **SAME)
    best = curve.min() if name.endswith("error") else curve.max()
    thresholds = figures["warping_thresholds" if name == "warping_error" else "thresholds"]
    np.testing.assert_allclose(curve[thresholds.index(scores[name].threshold)], best, **SAME)


def test_thresholds_are_the_java_loop_s(shared):
    figures = json.loads((shared / "golden" / "isbi" / "a64_real.json").read_text())
    assert list(em.THRESHOLDS) == figures["thresholds"]
    assert list(em.THRESHOLDS[:-1]) == figures["warping_thresholds"]


def test_simple_points_equal_the_official_table(shared):
    table = np.load(shared / "golden" / "isbi" / "simple_point_table.npy")
    np.testing.assert_array_equal(em_kernels.SIMPLE, table)


@single_slices
def test_basins_equal_the_official_ones(case):
    _, arrays, _ = case
    segments = components(np.pad(np.ascontiguousarray(arrays["prob"].T) > 0.5, 1))
    em_kernels.flood(segments)
    # Not only the same basins: the same numbers, which follow from the order of the scan.
    np.testing.assert_array_equal(segments[1:-1, 1:-1].T, arrays["thinned_05"])


@single_slices
def test_warped_label_and_wrong_pixels_equal_the_official_ones(case):
    figures, arrays, _ = case
    probabilities = np.pad(np.ascontiguousarray(arrays["prob"].T, np.float64), 1)
    label = np.pad(np.ascontiguousarray(arrays["label"].T) > 0, 1).astype(np.uint8)
    left = em_kernels.warp(label, em.wrong_pixels(probabilities, label > 0, probabilities > 0.5, 0.5))
    np.testing.assert_array_equal(label[1:-1, 1:-1].T, arrays["warped_05"])
    columns, rows = np.divmod(left, label.shape[1])
    np.testing.assert_array_equal(np.stack([columns - 1, rows - 1], axis=1), arrays["mismatch_xy_05"])
    if figures["name"] != "l64_label_ones":
        counts = em_kernels.mergers_and_splits(components(label), left)
        types = arrays["mismatch_type_05"]
        assert counts == (np.count_nonzero(types == MERGER), np.count_nonzero(types == SPLIT))
