import numpy as np
import pytest

import kseg
from kseg.datasets import Item
from kseg.datasets.contract import Dataset
from kseg.errors import DataError
from kseg.instances import separate
from kseg.pipeline import Grey, Mirror, Rotation, batches


class Numbered(Dataset):
    """Items that are told apart by their grey level; two cells that touch in each."""

    name, splits, split, classes = "numbered", ("train",), "train", ("background", "cell")

    def __init__(self, count: int, has_instances: bool = False) -> None:
        self.ids, self.has_instances = [str(number) for number in range(count)], has_instances

    def read(self, index: int) -> Item:
        cells = np.zeros((8, 8), np.int32)
        cells[2:6, 1:4], cells[2:6, 4:7] = 1, 2
        image = np.full((8, 8, 1), index, np.uint8)
        return Item(self.ids[index], image, (cells > 0).astype(np.int32), cells if self.has_instances else None)


def levels(batches) -> list[int]:
    return [int(level) for image, *_ in batches for level in image.numpy()[:, 0, 0, 0]]


def test_every_epoch_is_a_permutation_of_its_own():
    seen = levels(kseg.batches(Numbered(7), size=3, steps=7))
    epochs = [seen[start : start + 7] for start in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_batches_follow_from_seed_and_step_alone():
    options = {"size": 2, "seed": 3, "augment": [Mirror(), Rotation()], "crop": (6, 6)}
    whole = [image.numpy().tobytes() for image, _ in kseg.batches(Numbered(5), steps=6, **options)]
    tail = [image.numpy().tobytes() for image, _ in kseg.batches(Numbered(5), start=4, steps=2, **options)]
    assert whole[4:] == tail
    other = [image.numpy().tobytes() for image, _ in kseg.batches(Numbered(5), steps=6, **{**options, "seed": 4})]
    assert whole != other


def test_what_comes_out_has_shapes_and_types():
    image, label = kseg.batches(Numbered(3), size=2, crop=(6, 4), channels=3).element_spec
    assert image.shape == (2, 6, 4, 3) and image.dtype == "float32"
    assert label.shape == (2, 6, 4) and label.dtype == "int32"


def test_touching_cells_are_separated_and_their_gap_weighs_most():
    data = Numbered(1, has_instances=True)
    ((_, label, weight_map),) = kseg.batches(data, border_weight=10.0, steps=1)
    np.testing.assert_array_equal(label[0], separate(data[0].instances) > 0)
    assert (weight_map.numpy()[0, 2:6, 4] > 9).all() and not label.numpy()[0, 2:6, 4].any()


def test_border_weights_need_numbered_objects():
    with pytest.raises(DataError, match="a number per object"):
        kseg.batches(Numbered(1), border_weight=10.0)


def test_an_empty_split_is_refused():
    with pytest.raises(DataError, match="split train is empty"):
        kseg.batches(Numbered(0))


class TwoTasks(Dataset):
    """Two streams and two heads of one tiny scene, weighed."""

    name, split, splits, ids = "tasks", "train", ("train",), ("a", "b")
    classes = {"semantic": ("sky", "tree"), "geometric": ("up", "down", "side")}
    has_weights = True

    def read(self, index: int) -> Item:
        rows = np.arange(20, dtype=np.int32).reshape(4, 5)
        image = {"rgb": np.repeat(rows[..., None], 3, axis=2).astype(np.uint8), "hha": rows[..., None].astype(np.uint8)}
        return Item(self.ids[index], image, {"semantic": rows % 2, "geometric": rows % 3}, weight=index + 0.5)


def test_streams_and_heads_move_together_and_images_are_weighed():
    images, labels, weights = next(iter(batches(TwoTasks(), size=2, seed=1, augment=[Mirror(), Grey()], crop=(4, 5))))
    assert images["rgb"].shape == (2, 4, 5, 3) and images["hha"].shape == (2, 4, 5, 1)
    rows = images["hha"].numpy()[..., 0].astype(int)
    np.testing.assert_array_equal(labels["semantic"], rows % 2)
    np.testing.assert_array_equal(labels["geometric"], rows % 3)
    assert sorted(np.unique(weights).tolist()) == [0.5, 1.5] and weights.shape == (2, 4, 5)
