import numpy as np
import pytest

from kseg.errors import ConfigError, DataError
from kseg.pipeline import balanced_weight_map, border_weight_map

CELLS = np.array([[1, 1, 0, 2, 2]])


def test_the_gap_between_two_cells_weighs_most():
    weights = border_weight_map(CELLS)
    assert weights[0, 2] == pytest.approx(1 + 10 * np.exp(-4 / 50))
    assert (np.delete(weights[0], 2) == 1).all()


def test_the_printed_equation_weighs_cells_too():
    weights = border_weight_map(CELLS, where="everywhere", class_weights=(0.5, 2.0))
    assert weights[0, 1] == pytest.approx(2 + 10 * np.exp(-4 / 50))  # d1 = 0, d2 = 2
    assert weights[0, 2] == pytest.approx(0.5 + 10 * np.exp(-4 / 50))


@pytest.mark.parametrize("cells", [np.zeros((3, 4), int), np.eye(3, dtype=int)[:1]])
def test_without_two_cells_there_is_no_border(cells):
    assert (border_weight_map(cells, where="everywhere") == 1).all()


@pytest.mark.parametrize("cells", [np.zeros((3, 4)), np.zeros((2, 3, 4), int), np.full((2, 2), -1)])
def test_what_is_no_instance_map_is_refused(cells):
    for function in (border_weight_map, balanced_weight_map):
        with pytest.raises(DataError, match=f"{function.__name__}: cells are"):
            function(cells)


def test_sigma_must_be_above_zero():
    with pytest.raises(ConfigError, match="sigma 0"):
        border_weight_map(CELLS, sigma=0)


def test_background_counts_less_the_further_it_is_from_a_cell():
    weights = balanced_weight_map(np.array([[0] * 300 + [7]]))[0]
    assert weights[300] == 1 and weights[0] == np.float32(0.1)
    assert weights[290] == pytest.approx(0.1 + 0.9 * np.exp(-100 / 200))


def test_the_gap_made_between_touching_cells_counts_fifty_times():
    weights = balanced_weight_map(np.array([[1, 1, 2, 2]]))[0]
    # The first pixel of the second cell becomes the gap: 0 from the one cell, 1 from the other.
    np.testing.assert_allclose(weights, [1, 1, 1 + 50 * np.exp(-1 / 72), 1], rtol=2**-24)


@pytest.mark.parametrize("wrong", [{"background": 0}, {"separation": -1}, {"separation_sigma": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(
        ConfigError,
        match=r"balanced_weight_map: background is .* Give 0 < background <= 1, separation >= 0 and sigmas > 0\.",
    ):
        balanced_weight_map(CELLS, **wrong)
