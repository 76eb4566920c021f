import numpy as np
import pytest

from kseg.pictures import (
    EDGE_FALSE,
    EDGE_MISSED,
    FALSE,
    MERGED,
    MISSED,
    SPLIT,
    alike,
    clear_class,
    colours_of,
    drawn_classes,
    fitted,
    for_display,
    legend,
    object_colours,
    overlay,
    palette,
    planes,
    sheet,
    side_by_side,
    strip,
)


def test_the_palette_is_vocs():
    colours = palette()
    assert colours.shape == (256, 3) and colours.dtype == np.uint8
    known = {0: (0, 0, 0), 1: (128, 0, 0), 15: (192, 128, 128), 16: (0, 64, 0), 64: (32, 0, 0), 255: (224, 224, 192)}
    assert {value: tuple(colours[value].tolist()) for value in known} == known
    assert len(np.unique(colours, axis=0)) == 256


def test_eight_bit_images_are_shown_as_they_are():
    grey = np.array([[[3], [250]]], np.uint8)
    assert for_display(grey).tolist() == [[[3, 3, 3], [250, 250, 250]]]
    colour = np.array([[[0, 10, 20], [30, 140, 90]]], np.uint8)
    np.testing.assert_array_equal(for_display(colour), colour)
    assert (for_display(np.full((2, 2, 1), 7, np.uint8)) == 7).all()  # one level alone has nothing to stretch


def test_dark_images_of_eight_bits_are_stretched():
    grey = np.linspace(10, 60, 51).reshape(1, 51, 1).astype(np.uint8)  # 0.1 % is 10.05, 99.9 % is 59.95
    shown = for_display(grey)[0, :, 0]
    assert shown[0] == 0 and shown[-1] == 255 and shown[25] == 127  # (35 - 10.05) / 49.9 * 255 = 127.5
    colour = np.array([[[0, 20, 40], [40, 40, 100]]], np.uint8)
    assert for_display(colour)[0, 0].tolist() == [0, 50, 102]  # one stretch for all three: the hue stays


def test_a_pixel_that_is_no_number_does_not_hide_the_others():
    image = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8, 1)
    image[3, 3] = np.nan
    shown = for_display(image)
    assert shown.min() == 0 and shown.max() == 255


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_deeper_images_are_stretched_from_black_to_white(kind):
    shown = for_display(np.linspace(1000, 3000, 64).reshape(8, 8, 1).astype(kind))
    assert shown.dtype == np.uint8 and shown.min() == 0 and shown.max() == 255
    assert (np.diff(shown[..., 0].ravel().astype(int)) >= 0).all()
    assert not for_display(np.full((2, 2, 1), 7, kind)).any()


def test_an_overlay_tints_inside_outlines_and_leaves_the_rest():
    numbers = np.zeros((7, 7), int)
    numbers[1:6, 1:6] = 1
    picture = overlay(np.full((7, 7, 1), 100, np.uint8), numbers)
    assert picture[0, 0].tolist() == [100, 100, 100]
    assert picture[1, 3].tolist() == [157, 60, 60]  # 60 + 0.76 * (128, 0, 0)
    assert picture[3, 3].tolist() == [116, 88, 88]  # 0.72 * 100 + 0.28 * (157.28, 60, 60)


@pytest.mark.parametrize("value", [1, 16, 64, 255, 256, 300])
def test_every_number_is_seen_on_black(value):
    picture = overlay(np.zeros((3, 3, 1), np.uint8), np.pad([[value]], 1))
    assert picture[1, 1].max() >= 60 and not picture[0, 0].any()


def test_void_has_not_the_colour_of_a_class():
    colours = {tuple(overlay(np.zeros((3, 3, 1), np.uint8), np.pad([[n]], 1))[1, 1].tolist()) for n in range(1, 256)}
    assert len(colours) > 250


def test_touching_objects_are_parted_by_an_outline():
    picture = overlay(np.zeros((9, 12, 1), np.uint8), np.repeat([[1] * 6 + [2] * 6], 9, axis=0))
    assert (picture[4, 5] > picture[4, 2]).all() and (picture[4, 6] > picture[4, 9]).all()


def test_a_strip_shows_errors_red_beside_what_they_were_small_images_enlarged():
    wrong = np.zeros((40, 50), bool)
    wrong[7, 9] = True
    picture = strip(np.full((40, 50, 1), 200, np.uint8), np.zeros((40, 50), int), wrong.astype(int), wrong)
    assert picture.shape == (22 + 6 * 40, 4 * (6 * 50 + 4) - 4, 3)  # 6 is the first factor that makes 50 reach 256
    errors = picture[22:, 3 * 304 :]
    assert (errors[42:48, 54:60] == (255, 60, 40)).all() and (errors[48, 54] == 90).all()
    assert (picture[22:, :300] == 200).all() and (picture[22:, 300:304] == 255).all()


THIN = np.zeros((20, 6, 3), np.uint8)


@pytest.mark.parametrize(
    "size, shape",
    [
        ((30, 30), (22 + 270, 4 * 274 - 4)),  # nine times as large
        ((300, 600), (4 * (22 + 300) + 3 * 4, 600)),  # a wide one: below each other
        ((2048, 1200), (33 + 1024, 4 * 604 - 4)),  # half as large; the words are 2400 / 1600 as large, 22 is 33
    ],
)
def test_a_strip_can_be_read_whatever_the_images_size(size, shape):
    nothing = np.zeros(size, int)
    assert strip(np.zeros((*size, 1), np.uint8), nothing, nothing, nothing > 0).shape == (*shape, 3)


def test_each_kind_of_error_has_a_colour_of_its_own():
    kinds = np.tile([0, MISSED, FALSE, SPLIT, MERGED, EDGE_MISSED, EDGE_FALSE], (7, 1))
    picture = strip(np.zeros((7, 7, 1), np.uint8), kinds * 0, kinds * 0, kinds)
    seen = picture[30, -7 * 37 :][5::37]  # 37 is the first factor that makes 7 reach 256
    assert len(np.unique(seen, axis=0)) == 7 and not seen[0].any()


def test_no_object_is_drawn_grey_or_white():
    colours = colours_of(np.arange(1, 600), object_colours())
    assert (colours.max(axis=1) - colours.min(axis=1)).min() > 70
    assert len(np.unique(colours, axis=0)) > 150


def test_a_large_strip_stays_as_large_as_it_is():
    nothing = np.zeros((300, 200), int)
    assert strip(np.zeros((300, 200, 1), np.uint8), nothing, nothing, nothing > 0).shape == (322, 4 * 204 - 4, 3)


def test_predicted_objects_have_the_numbers_of_the_true_ones_they_cover_most_of():
    truth = np.repeat([[1, 1, 1, 1, 0, 2, 2, 2, 2]], 2, axis=0)
    found = np.repeat([[7, 7, 7, 3, 3, 3, 4, 4, 4]], 2, axis=0)  # 3 has a bit of each, the others have more
    assert alike(found, truth)[0].tolist() == [1, 1, 1, 3, 3, 3, 2, 2, 2]
    assert alike(np.zeros((2, 9), int), truth).max() == 0
    assert alike(found, np.zeros((2, 9), int))[0].tolist() == [3, 3, 3, 1, 1, 1, 2, 2, 2]


def test_class_0_is_painted_where_it_is_a_class_of_its_own():
    assert clear_class(("membrane", "cell")) == 0 and clear_class(("background", "cat", "dog")) == 0
    assert clear_class(("sky", "building", "pole")) is None
    label = np.array([[0, 0, 0, 255, 255, 255]])
    picture = overlay(np.full((1, 6, 1), 200, np.uint8), label, clear=255)
    assert picture[0, 0].tolist() == [160, 160, 160] and picture[0, 5].tolist() == [
        200,
        200,
        200,
    ]  # 0.72 * 200 + 0.28 * 60


def test_colours_in_16_bits_are_shown_beside_their_depth():
    image = np.zeros((4, 4, 4), np.uint16)
    image[..., :3], image[..., 3] = 77, np.arange(16).reshape(4, 4) * 4000
    seen = planes(image)
    assert list(seen) == ["", "channel 3"] and (seen[""] == 77).all()
    assert seen["channel 3"].min() == 0 and seen["channel 3"].max() == 255


def test_a_legend_has_a_box_in_each_class_colour():
    picture = legend({0: "background", 1: "cat", 255: "void"}, 400)
    assert picture.shape[1] == 400 and (picture[10, 10] == 255).all()
    assert [157, 60, 60] in picture[:, :].reshape(-1, 3).tolist()
    tall = legend({number: f"class {number}" for number in range(40)}, 400)
    assert tall.shape[0] > picture.shape[0]
    assert legend({0: "background", 1: "cat"}, 30).shape[1] > 100  # as wide as a name needs
    ids = np.arange(900).reshape(30, 30) % 3
    drawn = drawn_classes(np.full((30, 30, 1), 200, np.uint8), ids, ("background", "cat", "dog"))
    assert drawn.shape[1] > 100 and (drawn[:30, 30:] == 255).all()


@pytest.mark.parametrize("size, longest, expected", [((300, 600), 200, (100, 200)), ((30, 40), 100, (60, 80))])
def test_a_picture_is_fitted(size, longest, expected):
    assert fitted(np.zeros((*size, 3), np.uint8), longest).shape[:2] == expected


def test_panels_of_any_sizes_stand_in_rows_under_their_names():
    panels = {str(place): np.full((10 * place, 30, 3), place, np.uint8) for place in (1, 2, 3)}
    row = side_by_side(panels)
    assert row.shape == (22 + 30, 3 * 34 - 4, 3)
    assert (row[:22] < 128).any() and (row[22:32, :30] == 1).all() and (row[32:, :30] == 255).all()
    rows = sheet(panels, columns=2)
    assert rows.shape == (22 + 20 + 4 + 22 + 30, 64, 3)
    assert (rows[-30:, :30] == 3).all() and (rows[-30:, 30:] == 255).all()


def test_pictures_of_a_column_begin_at_the_same_place():
    panels = {str(place): np.full((10, width, 3), place, np.uint8) for place, width in enumerate((60, 20, 30, 40))}
    rows = sheet(panels, columns=2)
    assert rows.shape[1] == 60 + 4 + 40
    assert (rows[22:32, 64:84] == 1).all() and (rows[58:68, 64:104] == 3).all() and (rows[58:68, 30:64] == 255).all()


def test_a_name_has_room_over_a_narrow_picture():
    name = "a name of many letters"
    alone, beside = (side_by_side(panels) for panels in ({name: THIN}, {name: THIN, "next": THIN}))
    assert alone.shape[1] > 100
    np.testing.assert_array_equal(beside[:22, : alone.shape[1]], alone[:22])
    assert (beside[22:, alone.shape[1] + 4 :][:, :6] == 0).all()
