import numpy as np
import pytest

from kseg.datasets import Item
from kseg.errors import ConfigError
from kseg.pipeline import Mirror, Rotation, named, warp


def item(height: int, width: int, seed: int = 0) -> Item:
    label = np.random.default_rng(seed).integers(0, 200, (height, width)).astype(np.int32)
    return Item("a", label[..., None].astype(np.uint8), label, label)


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_nothing_asked_for_changes_nothing(size):
    before = item(*size)
    after = warp(before, np.random.default_rng(0))
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.label, before.label)
    np.testing.assert_array_equal(after.instances, before.instances)


def test_mirror_gives_the_four_exact_flips():
    before = item(5, 6)
    flips = [before.label[::rows, ::columns].tobytes() for rows in (1, -1) for columns in (1, -1)]
    seen = set()
    for seed in range(40):
        after = warp(before, np.random.default_rng(seed), (Mirror(),))
        np.testing.assert_array_equal(after.image[..., 0], after.label)  # an exact flip blurs nothing
        seen.add(flips.index(after.label.tobytes()))
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("crop", [(4, 6), (5, 5), (12, 3)])
def test_a_crop_is_a_piece_of_the_mirrored_image(crop):
    before = item(9, 8)
    padded = np.pad(before.label, 8, mode="reflect")
    for seed in range(20):
        after = warp(before, np.random.default_rng(seed), crop=crop)
        np.testing.assert_array_equal(after.image[..., 0], after.label)
        windows = np.lib.stride_tricks.sliding_window_view(padded, crop)
        assert (windows == after.label).all(axis=(2, 3)).any()


def test_crops_reach_every_place_and_no_further():
    before = Item("a", np.zeros((6, 5, 1), np.uint8), np.arange(30, dtype=np.int32).reshape(6, 5))
    corners = {warp(before, np.random.default_rng(seed), crop=(4, 4)).label[0, 0] for seed in range(80)}
    assert corners == {0, 1, 5, 6, 10, 11}


def test_the_margin_is_context_and_its_inside_stays_in_the_image():
    before = Item("a", np.zeros((6, 5, 1), np.uint8), np.arange(30, dtype=np.int32).reshape(6, 5))
    corners = {warp(before, np.random.default_rng(seed), crop=(8, 8), margin=2).label[2, 2] for seed in range(80)}
    assert corners == {0, 1, 5, 6, 10, 11}


def test_a_rotation_by_a_right_angle_is_exact():
    before = item(6, 6)

    class Quarter(Rotation):
        def matrix(self, rng):
            return np.round(np.array([[0.0, -1.0], [1.0, 0.0]]))

    after = warp(before, np.random.default_rng(0), (Quarter(),))
    assert after.label.tolist() in [np.rot90(before.label, turns).tolist() for turns in (1, 3)]
    np.testing.assert_array_equal(after.image[..., 0], after.label)


@pytest.mark.parametrize("seed", range(10))
def test_a_rotation_invents_no_label_and_moves_image_and_label_alike(seed):
    label = np.zeros((40, 40), np.int32)
    label[10:30, 15:35] = 7
    before = Item("a", label[..., None].astype(np.float32), label)
    after = warp(before, np.random.default_rng(seed), (Rotation(),))
    assert set(np.unique(after.label)) <= {0, 7}
    assert np.mean((after.image[..., 0] > 3.5) != (after.label > 0)) < 0.02


def test_the_same_seed_gives_the_same_example():
    first, again = (warp(item(20, 20), np.random.default_rng(5), (Mirror(), Rotation()), crop=(8, 8)) for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes()


def test_an_image_of_a_single_pixel_is_mirrored_to_any_crop():
    after = warp(item(1, 1), np.random.default_rng(0), (Mirror(), Rotation()), crop=(8, 6))
    assert (after.label == item(1, 1).label[0, 0]).all() and after.label.shape == (8, 6)


def test_an_unknown_augmentation_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="Did you mean 'mirror'"):
        named(("miror",))
