import numpy as np
import pytest

from kseg.images import read_image
from kseg.pictures import draw_curves, for_display, overlay, palette, sheet, side_by_side, strip


def test_the_palette_is_vocs():
    colours = palette()
    assert colours.shape == (256, 3) and colours.dtype == np.uint8
    known = {0: (0, 0, 0), 1: (128, 0, 0), 15: (192, 128, 128), 16: (0, 64, 0), 64: (32, 0, 0), 255: (224, 224, 192)}
    assert {value: tuple(colours[value].tolist()) for value in known} == known
    assert len(np.unique(colours, axis=0)) == 256


def test_eight_bit_images_are_shown_as_they_are():
    grey = np.array([[[3], [250]]], np.uint8)
    assert for_display(grey).tolist() == [[[3, 3, 3], [250, 250, 250]]]
    colour = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    np.testing.assert_array_equal(for_display(colour), colour)


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


def test_a_strip_shows_errors_red_beside_what_they_were():
    wrong = np.zeros((40, 50), bool)
    wrong[7, 9] = True
    picture = strip(np.full((40, 50, 1), 200, np.uint8), np.zeros((40, 50), int), wrong.astype(int), wrong)
    assert picture.shape == (62, 212, 3)
    assert picture[22 + 7, 3 * 54 + 9].tolist() == [255, 60, 40]
    assert picture[22 + 8, 3 * 54 + 9].tolist() == [90, 90, 90]
    assert (picture[22:, :50] == 200).all() and (picture[22:, 50:54] == 255).all()


def test_panels_of_any_sizes_stand_in_rows_under_their_names():
    panels = {str(place): np.full((10 * place, 30, 3), place, np.uint8) for place in (1, 2, 3)}
    row = side_by_side(panels)
    assert row.shape == (22 + 30, 3 * 34 - 4, 3)
    assert (row[:22] < 128).any() and (row[22:32, :30] == 1).all() and (row[32:, :30] == 255).all()
    rows = sheet(panels, columns=2)
    assert rows.shape == (22 + 20 + 4 + 22 + 30 + 4, 64, 3)
    assert (rows[-34:-4, :30] == 3).all() and (rows[-34:-4, 30:] == 255).all()


@pytest.mark.parametrize("measured", [(1, 2, 3), (2,), ()])
def test_curves_are_drawn_to_a_file_whenever_scores_were_measured(tmp_path, measured):
    rows = [{"step": step, "loss": 1 / step} | ({"val_mean_iu": 0.5} if step in measured else {}) for step in (1, 2, 3)]
    draw_curves(rows, tmp_path / "curves.png")
    assert read_image(tmp_path / "curves.png").shape == (374, 990, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
