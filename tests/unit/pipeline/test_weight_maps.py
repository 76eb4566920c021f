import numpy as np
import pytest

from kseg.errors import ConfigError, DataError
from kseg.pipeline import border_weight_map

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
    with pytest.raises(DataError, match="border_weight_map: cells are"):
        border_weight_map(cells)


def test_sigma_must_be_above_zero():
    with pytest.raises(ConfigError, match="sigma 0"):
        border_weight_map(CELLS, sigma=0)
