"""What augmentations draw: both ends are reached, each axis for itself, and all follows from seed, epoch and place."""

import math
import time

import numpy as np
import pytest

import kseg
from kseg.datasets import Dataset, Item
from kseg.pipeline import Grey, Rotation, Saturation, Scale, Shift
from kseg.pipeline.warp import Warp


class End:
    """A generator whose even draws are all at one end of what may be drawn."""

    def __init__(self, upper: bool) -> None:
        self.upper = upper

    def uniform(self, low, high, size=None):
        return np.full(size, high if self.upper else low) if size else (high if self.upper else low)


def matrix_of(augmentation, upper):
    """How the warp turns and enlarges a step of one pixel down and one to the right: (2, 2)."""
    rows, columns = (np.asarray(each) for each in augmentation.move(Warp.still((3, 3)), End(upper)).coordinates())
    return np.array(
        [
            [rows[2, 1] - rows[1, 1], columns[2, 1] - columns[1, 1]],
            [rows[1, 2] - rows[1, 1], columns[1, 2] - columns[1, 1]],
        ]
    )


@pytest.mark.parametrize(("upper", "sign"), [(True, 1), (False, -1)])
def test_a_rotation_of_five_degrees_turns_by_five_degrees_to_either_side(upper, sign):
    down, right = matrix_of(Rotation(5), upper)
    assert math.degrees(math.atan2(abs(right[0]), right[1])) == pytest.approx(5)
    assert np.sign(right[0]) == -np.sign(matrix_of(Rotation(5), not upper)[1][0]) != 0
    assert down @ right == pytest.approx(0)


def test_a_scale_enlarges_and_makes_smaller_by_what_it_says():
    factors = [matrix_of(Scale(1.25), upper)[0][0] for upper in (False, True)]
    assert factors == pytest.approx([1.25, 1 / 1.25])  # a step in the result reads so many pixels of the image


def test_a_shift_reaches_both_ends_and_its_axes_are_drawn_apart():
    for upper, end in ((False, -4), (True, 4)):
        rows, columns = Shift(4).move(Warp.still((1, 1)), End(upper)).coordinates()
        assert (abs(float(rows[0, 0])), abs(float(columns[0, 0]))) == (abs(end), abs(end))
    moves = []
    for seed in range(200):
        rows, columns = Shift(4).move(Warp.still((1, 1)), np.random.default_rng(seed)).coordinates()
        moves.append((float(rows[0, 0]), float(columns[0, 0])))
    down, right = np.array(moves).T
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.3  # of 200 pairs drawn apart, four deviations
    assert down.min() < -3 and down.max() > 3 and right.min() < -3 and right.max() > 3


def test_grey_levels_and_colours_go_to_both_ends():
    image = np.full((1, 1, 1), 100, np.float32)
    tones = [Grey(0.5, 0.1).tone(image, End(upper), 200.0).item() for upper in (False, True)]
    assert tones == pytest.approx([100 * 0.5 - 20, 100 * 1.5 + 20])
    colour = np.array([[[90, 60, 30]]], np.float32)  # grey is 60
    reds = [Saturation(0.5).tone(colour, End(upper), 255.0)[0, 0, 0] for upper in (False, True)]
    assert reds == pytest.approx([75, 105])


class Twins(Dataset):
    """Items alike, so that only the augmentation tells examples apart; the first may take long to read."""

    name, classes, has_instances = "twins", ("background", "cell"), False

    def __init__(self, count=4, wait_s=0.0):
        self.ids, self.wait_s = [f"twin{number}" for number in range(count)], wait_s

    def read(self, index):
        if index == 0:
            time.sleep(self.wait_s)
        image = np.full((8, 8, 1), 100, np.uint8)
        return Item(self.ids[index], image, np.full((8, 8), 0, np.int32))


def levels(**options):
    """The grey level of every example of two epochs."""
    stream = kseg.batches(Twins(), size=2, augment=[Grey(0.5, 0.2)], steps=4, **options)
    return [float(level) for image, _ in stream for level in image.numpy()[:, 0, 0, 0]]


def test_every_example_is_augmented_in_its_own_way_which_follows_from_the_seed():
    first = levels(seed=1)
    assert len(set(first)) == 8 and first == levels(seed=1)
    assert not set(first) & set(levels(seed=2))


def test_the_order_does_not_depend_on_how_long_an_item_takes():
    class Numbered(Twins):
        def read(self, index):
            item = super().read(index)
            return Item(item.id, np.full((8, 8, 1), index, np.uint8), item.label)

    orders = []
    for wait_s in (0.0, 0.2):
        stream = kseg.batches(Numbered(wait_s=wait_s), size=1, seed=3, steps=8)
        orders.append([int(image[0, 0, 0, 0]) for image, _ in stream])
    assert orders[0] == orders[1] and sorted(orders[0][:4]) == [0, 1, 2, 3]


def test_void_stays_void_where_objects_are_numbered():
    class Cells(Twins):
        has_instances = True

        def read(self, index):
            label, cells = np.zeros((8, 8), np.int32), np.zeros((8, 8), np.int32)
            label[:, 2:4], cells[:, 2:4] = 1, 1
            label[:, 6:] = 255
            return Item(self.ids[index], np.zeros((8, 8, 1), np.uint8), label, cells)

    ((_, label),) = kseg.batches(Cells(), size=1, steps=1)
    assert label[0, 0].numpy().tolist() == [0, 0, 1, 1, 0, 0, 255, 255]
