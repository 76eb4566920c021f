import numpy as np
import pytest

import kseg
from kseg.datasets import Item
from kseg.datasets.contract import Dataset
from kseg.errors import ConfigError, DataError
from kseg.instances import separate
from kseg.pipeline import (
    Elastic,
    Grey,
    GreyCurve,
    Mirror,
    Rotation,
    Saturation,
    Scale,
    Shift,
    batch_indices,
    batches,
)


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


EVERYTHING = (
    *(Mirror(), Rotation(), Shift(3), Scale(1.5), Elastic(2.0), Elastic(1.0, 4.0)),
    *(Saturation(), Grey(), GreyCurve()),
)


@pytest.mark.parametrize("order", ["epochs", "draws"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_batches_from_any_step_on_are_the_tail_of_those_from_the_first(size, order):
    data = Numbered(4, has_instances=True)
    options = {"size": size, "seed": 5, "order": order, "augment": EVERYTHING, "crop": (7, 6), "border_weight": 10.0}
    options |= {"class_weights": (1, 3), "beyond": "void"}

    def parts(start: int, steps: int) -> list[list[bytes]]:
        chain = kseg.batches(data, start=start, steps=steps, **options)
        return [[part.numpy().tobytes() for part in batch] for batch in chain]

    whole = parts(0, 5)
    assert len({b"".join(batch) for batch in whole}) == 5
    for start in range(1, 5):
        assert parts(start, 5 - start) == whole[start:]


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


class Millimetres(Dataset):
    """Black of 8 bits beside depth, which takes 16."""

    name, split, splits, ids, classes = "depth", "train", ("train",), ("a",), ("floor",)
    colour_channels, colour_white = {"": 3}, 255.0

    def read(self, index: int) -> Item:
        return Item("a", np.full((2, 3, 4), [0, 0, 0, 4000], np.uint16), np.zeros((2, 3), np.int32))


def test_colours_beside_depth_change_by_their_own_white():
    offsets = []
    for image, _ in batches(Millimetres(), size=1, augment=[Grey(0.25, 0.1)], white=65535, steps=20):
        assert (image.numpy()[..., 3] == 4000).all() and np.unique(image.numpy()[..., :3]).size == 1
        offsets.append(float(image[0, 0, 0, 0]))
    assert 15 < max(map(abs, offsets)) <= 25.5
    assert not any(np.any(image != 0) for image, _ in batches(Heights(), size=1, augment=[Grey()], steps=3))


class Heights(Millimetres):
    """No colours at all."""

    colour_channels = {}

    def read(self, index: int) -> Item:
        return Item("a", np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3), np.int32))


class OfAnySize(Dataset):
    """Item i is (4 + i, 6 + 2 i), of two streams and two heads where asked for, each of the item's number."""

    name, split, splits, ids = "sizes", "train", ("train",), ("a", "b", "c")

    def __init__(self, several: bool) -> None:
        self.several, names = several, ("no", "yes", "void")
        self.classes = {"semantic": names, "geometric": names} if several else names

    def read(self, index: int) -> Item:
        image = np.full((4 + index, 6 + 2 * index, 3), index, np.uint8)
        label = image[..., 0].astype(np.int32)
        if not self.several:
            return Item(self.ids[index], image, label)
        return Item(self.ids[index], {"rgb": image, "hha": image[..., :1]}, {"semantic": label, "geometric": label})


@pytest.mark.parametrize(("size", "counts"), [(4, [2, 2]), (5, [3, 2]), (5, [2, 2, 1]), (3, [1, 1, 1])])
def test_workers_share_every_step_and_together_have_what_one_has(size, counts):
    options = {"size": size, "seed": 1, "augment": [Mirror(), Grey()], "start": 1, "steps": 3}
    whole = [image.numpy() for image, _ in batches(Numbered(7), **options)]
    for worker, count in enumerate(counts):
        shares = batches(Numbered(7), **options, worker=worker, workers=len(counts))
        assert shares.element_spec[0].shape[0] == count
        for step, (share, _) in zip(whole, shares, strict=True):
            np.testing.assert_array_equal(step[worker :: len(counts)], share)


@pytest.mark.parametrize(("size", "worker", "workers"), [(2, 0, 3), (4, 2, 2), (4, -1, 2)])
def test_a_batch_that_does_not_reach_for_all_workers_is_refused(size, worker, workers):
    with pytest.raises(
        ConfigError, match=f"{size} items per batch for worker {worker} of {workers}: each needs at least one"
    ):
        kseg.batches(Numbered(7), size=size, worker=worker, workers=workers)


@pytest.mark.parametrize("order", ["epochs", "draws"])
def test_batch_indices_name_what_batches_hold(order):
    held = levels(kseg.batches(Numbered(5), size=3, seed=2, order=order, start=2, steps=4))
    named = [batch_indices(5, size=3, seed=2, step=step, order=order) for step in range(2, 6)]
    assert held == [index for batch in named for index in batch]


def test_draws_take_every_item_evenly_and_again():
    drawn = np.array([batch_indices(10, size=10, seed=0, step=step, order="draws") for step in range(400)])
    counts = np.bincount(drawn.ravel(), minlength=10)
    # 4,000 draws of one in ten: 400 each, with a deviation of sqrt(4000 x 0.1 x 0.9) = 19; five of them are 95.
    assert counts.sum() == 4000 and np.abs(counts - 400).max() <= 95
    # Ten draws name 10 (1 - 0.9^10) = 6.51 of the ten items; a permutation would name all.
    assert np.mean([len(set(batch)) for batch in drawn.tolist()]) == pytest.approx(6.51, abs=0.3)


def test_images_of_their_own_sizes_come_one_at_a_time():
    chain = kseg.batches(OfAnySize(several=False), augment=[Mirror()], steps=3)
    assert [spec.shape.as_list() for spec in chain.element_spec] == [[1, None, None, 3], [1, None, None]]
    order = [batch_indices(3, size=1, seed=0, step=step)[0] for step in range(3)]
    for (image, label), index in zip(chain, order, strict=True):
        assert image.shape == (1, 4 + index, 6 + 2 * index, 3) and label.shape == image.shape[:3]
        assert (image.numpy() == index).all() and (label.numpy() == index).all()


def test_streams_and_heads_of_their_own_sizes_come_one_at_a_time():
    chain = kseg.batches(OfAnySize(several=True), augment=[Mirror()], steps=3)
    images, labels = chain.element_spec
    assert {name: spec.shape.as_list() for name, spec in images.items()} == {
        "rgb": [1, None, None, 3],
        "hha": [1, None, None, 1],
    }
    assert {name: spec.shape.as_list() for name, spec in labels.items()} == dict.fromkeys(labels, [1, None, None])
    heights = sorted(
        (images["rgb"].shape[1], images["hha"].shape[1], labels["geometric"].shape[1]) for images, labels in chain
    )
    assert heights == [(4, 4, 4), (5, 5, 5), (6, 6, 6)]
