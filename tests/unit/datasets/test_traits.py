"""What is seen in the images and labels of a data set."""

import numpy as np
import pytest

from kseg.datasets import VOID, Item
from kseg.datasets.traits import Traits, touching


def seen(*items: Item, classes: int = 2) -> Traits:
    traits = Traits()
    for item in items:
        traits.add(item, classes, VOID)
    return traits


def item(label: np.ndarray, instances: np.ndarray | None = None) -> Item:
    return Item("one", np.zeros((*label.shape, 1), np.uint8), label.astype(np.int32), instances)


def discs(*centres: tuple[int, int], radius: int = 10, side: int = 100) -> np.ndarray:
    row, column = np.mgrid[:side, :side]
    found = np.zeros((side, side), np.int32)
    for number, (y, x) in enumerate(centres, start=1):
        found[(row - y) ** 2 + (column - x) ** 2 <= radius**2] = number
    return found


def test_objects_that_are_near_touch():
    gap = [discs((50, 20), (50, 20 + 21 + pixels)) for pixels in range(4)]  # so many pixels between two discs
    assert [touching(instances) for instances in gap] == [2, 2, 2, 0]
    assert touching(discs((20, 50), (41, 50), (80, 80))) == 2  # one above the other, and one apart
    assert touching(np.zeros((5, 5), np.int32)) == touching(np.ones((5, 5), np.int32)) == 0


def test_the_width_of_objects():
    numbered = seen(*(item(discs((50, 50)) > 0, discs((50, 50))) for _ in range(3)))
    assert numbered.objects == 3 and numbered.large_diameter == pytest.approx(20, abs=0.3)
    masks = seen(item(discs((20, 20), (70, 70)) > 0))  # of masks the connected parts
    assert masks.objects == 2 and masks.large_diameter == numbered.large_diameter
    assert masks.touching_share == 0 and numbered.median_area == (discs((50, 50)) > 0).sum()
    scene = seen(item(discs((20, 20))), classes=3)
    assert scene.objects == 0 and scene.large_diameter is None and scene.median_area is None


def test_a_class_that_lies_above_shows_an_up():
    rng = np.random.default_rng(0)
    horizons = rng.integers(20, 60, size=8)
    streets = [item(np.arange(100)[:, None].repeat(50, axis=1) < horizon) for horizon in horizons]
    leans = seen(*streets).leans
    assert leans[1] == pytest.approx(horizons.mean() / 200) and leans[0] > 0.5
    assert not seen(*streets[:7]).leans  # too few to tell
    turned = [item(np.rot90(street.label, number)) for number, street in enumerate(streets)]
    assert not seen(*turned).leans


def test_cells_anywhere_show_no_up():
    rng = np.random.default_rng(0)
    assert not seen(*(item(discs(*rng.integers(0, 100, size=(3, 2)))) for _ in range(200)), classes=4).leans


def test_void_is_no_class():
    label = np.full((100, 100), VOID)
    label[:10] = 1
    traits = seen(item(label))
    assert traits.items == 1 and list(traits.rows) == [1]
