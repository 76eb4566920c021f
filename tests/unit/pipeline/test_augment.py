import numpy as np
import pytest
import tensorflow as tf

from kseg.datasets import Item
from kseg.layers import dense_image_warp
from kseg.pipeline import Elastic, Grey, GreyCurve, Mirror, Rotation, Saturation, Scale, Shift, augmented
from kseg.pipeline.warp import Warp, cubic_weights


def item(height: int, width: int, seed: int = 0) -> Item:
    label = np.random.default_rng(seed).integers(0, 200, (height, width)).astype(np.int32)
    return Item("a", label[..., None].astype(np.uint8), label, label)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_nothing_asked_for_changes_nothing(size, interpolation):
    before = item(*size)
    after = augmented(before, np.random.default_rng(0), interpolation=interpolation)
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.label, before.label)
    np.testing.assert_array_equal(after.instances, before.instances)


def test_mirror_gives_the_four_exact_flips():
    before = item(5, 6)
    flips = [before.label[::rows, ::columns].tobytes() for rows in (1, -1) for columns in (1, -1)]
    seen = set()
    for seed in range(40):
        after = augmented(before, np.random.default_rng(seed), (Mirror(),))
        np.testing.assert_array_equal(after.image[..., 0], after.label)  # an exact flip blurs nothing
        seen.add(flips.index(after.label.tobytes()))
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("crop", [(4, 6), (5, 5), (12, 3)])
def test_a_crop_is_a_piece_of_the_mirrored_image(crop):
    before = item(9, 8)
    padded = np.pad(before.label, 8, mode="reflect")
    for seed in range(20):
        after = augmented(before, np.random.default_rng(seed), crop=crop)
        np.testing.assert_array_equal(after.image[..., 0], after.label)
        windows = np.lib.stride_tricks.sliding_window_view(padded, crop)
        assert (windows == after.label).all(axis=(2, 3)).any()


def test_crops_reach_every_place_and_no_further():
    before = Item("a", np.zeros((6, 5, 1), np.uint8), np.arange(30, dtype=np.int32).reshape(6, 5))
    corners = {augmented(before, np.random.default_rng(seed), crop=(4, 4)).label[0, 0] for seed in range(80)}
    assert corners == {0, 1, 5, 6, 10, 11}


def test_the_margin_is_context_and_its_inside_stays_in_the_image():
    before = Item("a", np.zeros((6, 5, 1), np.uint8), np.arange(30, dtype=np.int32).reshape(6, 5))
    corners = {augmented(before, np.random.default_rng(seed), crop=(8, 8), margin=2).label[2, 2] for seed in range(80)}
    assert corners == {0, 1, 5, 6, 10, 11}


def test_a_rotation_by_a_right_angle_is_exact():
    before = item(6, 6)

    class Quarter(Rotation):
        def move(self, warp, rng):
            return warp.transformed(np.array([[0.0, -1], [1, 0]]))

    after = augmented(before, np.random.default_rng(0), (Quarter(),))
    assert after.label.tolist() in [np.rot90(before.label, turns).tolist() for turns in (1, 3)]
    np.testing.assert_array_equal(after.image[..., 0], after.label)


@pytest.mark.parametrize("seed", range(10))
def test_a_rotation_invents_no_label_and_moves_image_and_label_alike(seed):
    label = np.zeros((40, 40), np.int32)
    label[10:30, 15:35] = 7
    before = Item("a", label[..., None].astype(np.float32), label)
    after = augmented(before, np.random.default_rng(seed), (Rotation(),))
    assert set(np.unique(after.label)) <= {0, 7}
    assert np.mean((after.image[..., 0] > 3.5) != (after.label > 0)) < 0.02


def test_the_same_seed_gives_the_same_example():
    first, again = (
        augmented(item(20, 20), np.random.default_rng(5), (Mirror(), Rotation()), crop=(8, 8)) for _ in range(2)
    )
    assert first.image.tobytes() == again.image.tobytes()


def test_an_image_of_a_single_pixel_is_mirrored_to_any_crop():
    after = augmented(item(1, 1), np.random.default_rng(0), (Mirror(), Rotation()), crop=(8, 6))
    assert (after.label == item(1, 1).label[0, 0]).all() and after.label.shape == (8, 6)


def test_a_shift_moves_by_no_more_than_it_says():
    columns = np.tile(np.arange(30, dtype=np.float32), (30, 1))
    for seed in range(10):
        after = augmented(
            Item("a", columns[..., None], columns.astype(np.int32)), np.random.default_rng(seed), (Shift(4),)
        )
        moved = (after.image[..., 0] - columns)[:, 5:-5]
        assert np.ptp(moved) < 0.1 and abs(moved.mean()) <= 4 + 1 / 32


class Half(Shift):
    """To the right by half a pixel."""

    def move(self, warp, rng):
        return warp.moved(np.array([0, -0.5]))


@pytest.mark.parametrize(
    # Cubic convolution with a = -3/4: 19/32 half a pixel away, -3/32 one and a half.
    ("interpolation", "around"),
    [("linear", [0, 16, 16, 0]), ("cubic", [-3, 19, 19, -3])],
)
def test_a_point_between_two_pixels_is_interpolated_as_asked_for(interpolation, around):
    image = np.zeros((9, 9, 1), np.float32)
    image[:, 4] = 32
    before = Item("a", image, np.zeros((9, 9), np.int32))
    after = augmented(before, np.random.default_rng(0), (Half(),), interpolation=interpolation)
    np.testing.assert_array_equal(after.image[4, :, 0], [0, 0, 0, *around, 0, 0])


def test_the_look_up_is_the_exact_warp_but_for_a_64th_of_a_pixel():
    size, grids = 96, []

    class Recorded(Elastic):
        def move(self, warp, rng):
            warp = super().move(warp, rng)
            grids.extend(warp.grids)
            return warp

    image = np.random.default_rng(1).uniform(0, 255, (size, size, 1)).astype(np.float32)
    before = Item("a", image, np.zeros((size, size), np.int32))
    after = augmented(before, np.random.default_rng(2), (Recorded(5.0, 16.0),)).image
    weights = cubic_weights(size, 7)  # ceil(95 / 16) + 1 points
    wanted = np.indices((size, size)) + np.einsum("rg,agh,ch->arc", weights, grids[0], weights)
    flow = np.moveaxis(np.indices((size, size)) - wanted, 0, -1).astype(np.float32)
    exact = dense_image_warp(tf.constant(image[None]), tf.constant(flow[None])).numpy()[0]

    # Beyond the border the one mirrors, the other does not.
    inside = ((wanted >= 0) & (wanted <= size - 1)).all(axis=0)
    # Bilinear interpolation changes by at most the largest difference of neighbours per pixel and axis. OpenCV 4 rounds
    # places to 1/32; float32 rounds what is below 128 by 2^-18, here flow, its difference, and the place, nine times
    # (a sum of nine parts), and grey levels, below 256, by 2^-17, eight times over.
    steepest = sum(np.abs(np.diff(image, axis=axis)).max() for axis in (0, 1))
    assert inside.mean() > 0.8
    assert np.abs(after - exact)[inside].max() <= (1 / 64 + 11 * 2**-18) * steepest + 8 * 2**-17


@pytest.mark.parametrize("spacing", [None, 20.0])
def test_elastic_displacements_have_their_deviation_at_the_grid_points(spacing):
    still = Warp.still((41, 61))
    step = {None: (20, 30), 20.0: (20, 20)}[spacing]
    drawn = [
        (Elastic(3.0, spacing).move(still, np.random.default_rng(seed)).coordinates() - still.coordinates())[
            :, :: step[0], :: step[1]
        ]
        for seed in range(300)
    ]
    # 300 x 2 x 9 (or 12) numbers: their deviation is off by more than 4 % once in 10,000 times.
    assert np.std(drawn) == pytest.approx(3.0, rel=0.04)


def test_elastic_displacements_are_smooth():
    warp = Elastic(10.0).move(Warp.still((101, 101)), np.random.default_rng(0))
    assert np.abs(np.diff(warp.coordinates(), n=2, axis=1)).max() < 0.2


def test_cubic_weights_keep_constants_and_straight_lines_inside():
    weights = cubic_weights(31, 7)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose((weights @ np.arange(7))[5:-5], (np.arange(31) / 5)[5:-5])
    np.testing.assert_allclose(weights[::5], np.eye(7), atol=1e-12)


def test_grey_levels_are_changed_by_gain_and_offset_and_labels_are_not():
    before = item(9, 9)
    for seed in range(10):
        after = augmented(before, np.random.default_rng(seed), (Grey(0.25, 0.1),), white=200)
        slope, offset = np.polyfit(before.image.ravel().astype(float), after.image.ravel(), 1)
        assert 0.75 <= slope <= 1.25 and abs(offset) <= 20
        np.testing.assert_array_equal(after.label, before.label)


def test_a_grey_curve_rises_from_black_to_white_within_its_slopes():
    levels = np.arange(256, dtype=np.float32)
    for seed in range(20):
        curve = GreyCurve().tone(levels, np.random.default_rng(seed), 255.0)
        # Four parts are added up in float32, each rounded by 2^-17 below 256.
        assert curve[0] == 0 and curve[-1] == pytest.approx(255, abs=4 * 2**-17)
        slopes = np.diff(curve)
        assert slopes.min() >= 0.666 - 1e-4 and slopes.max() <= 1.5 + 1e-4


@pytest.mark.parametrize("vertical", [True, False])
def test_a_mirror_may_be_of_one_direction(vertical):
    before = item(5, 6)
    mirror = Mirror(horizontal=not vertical, vertical=vertical)
    flips = {before.label.tobytes(), (before.label[::-1] if vertical else before.label[:, ::-1]).tobytes()}
    assert {augmented(before, np.random.default_rng(s), (mirror,)).label.tobytes() for s in range(20)} == flips


class Ends:
    """A generator whose even draws are the highest or the lowest they can be."""

    def __init__(self, high: bool) -> None:
        self.high = high

    def uniform(self, low: float, high: float) -> float:
        return high if self.high else low


def test_a_scale_enlarges_about_the_centre():
    rows = np.arange(9, dtype=np.int32)
    before = Item("a", np.repeat(rows[:, None, None], 9, axis=1).astype(np.uint8), np.repeat(rows[:, None], 9, axis=1))
    larger = augmented(before, Ends(high=True), (Scale(2.0),))
    np.testing.assert_allclose(larger.image[:, 4, 0], [2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6], rtol=1e-6)
    smaller = augmented(before, Ends(high=False), (Scale(2.0),), beyond="void")
    assert smaller.label[:, 4].tolist() == [255, 255, 0, 2, 4, 6, 8, 255, 255]
    assert smaller.image[:, 4, 0].tolist() == [0, 0, 0, 2, 4, 6, 8, 0, 0]


def test_beyond_the_image_there_is_void_where_that_is_asked_for():
    before = item(4, 4)
    after = augmented(before, np.random.default_rng(0), crop=(8, 8), beyond="void")
    np.testing.assert_array_equal(after.label[2:6, 2:6], before.label)
    outside = np.ones((8, 8), bool)
    outside[2:6, 2:6] = False
    assert (after.label[outside] == 255).all() and not after.image[outside].any() and not after.instances[outside].any()


def test_saturation_moves_colours_along_the_line_to_grey():
    colours = np.array([[[30, 60, 90], [50, 50, 50]]], np.uint8)
    after = augmented(Item("a", colours, np.zeros((1, 2), np.int32)), Ends(high=True), (Saturation(0.5),))
    np.testing.assert_allclose(after.image, [[[15, 60, 105], [50, 50, 50]]], rtol=1e-6)
    grey = Item("a", colours[..., :1], np.zeros((1, 2), np.int32))
    np.testing.assert_allclose(augmented(grey, Ends(high=True), (Saturation(0.5),)).image, grey.image)


TONES = (Saturation(0.5), Grey(0.25, 0.1), GreyCurve())


@pytest.mark.parametrize("tone", TONES, ids=lambda tone: type(tone).__name__)
def test_the_depth_beside_colours_is_no_colour(tone):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 4)).astype(np.uint16)
    pixels[..., 3] += 4000  # millimetres
    label = np.zeros((5, 6), np.int32)
    after = augmented(Item("a", pixels, label), np.random.default_rng(1), (tone,)).image
    alone = augmented(Item("a", pixels[..., :3], label), np.random.default_rng(1), (tone,)).image
    np.testing.assert_array_equal(after[..., 3], pixels[..., 3])
    np.testing.assert_array_equal(after[..., :3], alone)
    assert not np.array_equal(alone, pixels[..., :3])


@pytest.mark.parametrize("tone", TONES, ids=lambda tone: type(tone).__name__)
def test_of_several_streams_the_colours_change_and_heights_and_angles_do_not(tone):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    before = Item("a", {"rgb": pixels, "hha": pixels}, np.zeros((5, 6), np.int32))
    after = augmented(before, np.random.default_rng(1), (tone,)).image
    np.testing.assert_array_equal(after["hha"], pixels)
    assert not np.array_equal(after["rgb"], pixels)


@pytest.mark.parametrize("tone", TONES, ids=lambda tone: type(tone).__name__)
def test_only_the_channels_that_hold_colours_change(tone):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 4)).astype(np.uint8)
    label = np.zeros((5, 6), np.int32)

    def changed(image, colours):
        after = augmented(Item("a", image, label), np.random.default_rng(1), (tone,), colour_channels=colours)
        before = Item("a", image, label).images
        return {name: (found != before[name]).any((0, 1)).tolist() for name, found in after.images.items()}

    assert changed(pixels[..., :3], {}) == {"": [False] * 3}  # HHA by itself
    assert changed(pixels[..., :3], {"": 3}) == {"": [True] * 3}
    assert changed(pixels, {"": 3}) == {"": [True] * 3 + [False]}
    expected = {"rgb": [False] * 3, "left": [True] * 3 + [False], "right": [False] * 4}
    assert changed({"rgb": pixels[..., :3], "left": pixels, "right": pixels}, {"left": 3}) == expected
    if not isinstance(tone, Saturation):
        assert changed(pixels, {"": 4}) == {"": [True] * 4}
        assert changed(pixels, {"": 1}) == {"": [True] + [False] * 3}


def test_gain_and_offset_are_one_for_all_colours():
    colours = np.array([[[10, 20, 40], [100, 0, 255]]], np.uint8)
    after = augmented(Item("a", colours, np.zeros((1, 2), np.int32)), Ends(high=True), (Grey(0.5, 0.1),), white=200)
    np.testing.assert_allclose(after.image, [[[35, 50, 80], [170, 20, 402.5]]], rtol=1e-6)  # 1.5 g + 20, not cut off


def test_what_lies_beyond_black_and_white_becomes_black_and_white_by_a_curve():
    curve = GreyCurve().tone(np.float32([-9, 0, 255, 300]), np.random.default_rng(0), 255.0)
    np.testing.assert_allclose(curve, [0, 0, 255, 255], atol=4 * 2**-17)
