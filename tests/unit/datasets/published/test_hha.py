import numpy as np
import pytest

from kseg.datasets.published import hha
from kseg.datasets.published.hha import Camera, cached_hha, encode_hha
from kseg.storage import cache_folder

CAMERA = Camera(80, 80, 40.5, 40.5)


@pytest.fixture
def room():
    """(120, 80) metres: a wall 5 m ahead, and from row 64 on a floor 1.5 m below the camera."""
    below = np.maximum(np.arange(1, 121) - 40.5, 1e-9)
    depth = np.minimum(5, 1.5 * 80 / below)
    return np.repeat(depth[:, None], 80, axis=1)


def test_a_wall_and_a_floor_have_the_disparity_height_and_angle_worked_out_by_hand(room):
    disparity, height, angle = np.moveaxis(encode_hha(room, room, CAMERA).astype(int), -1, 0)
    assert (disparity[:60] == 62).all()  # 31,000 / 500
    assert (height[70:] <= 2).all()
    assert abs(height[39, 10] - 153) <= 2  # row 40 lies 500 * 0.5 / 80 = 3 cm above the camera
    assert (abs(angle[5:60] - 128) <= 1).all() and (abs(angle[75:] - 38) <= 1).all()


def test_where_nothing_was_measured_the_angle_is_unknown_and_the_rest_is_not(room):
    raw = room.copy()
    raw[10:30, 20:50] = 0
    whole, holed = encode_hha(room, room, CAMERA), encode_hha(room, raw, CAMERA)
    assert (holed[13:27, 23:47, 2] == 218).all()
    np.testing.assert_array_equal(holed[..., 0], whole[..., 0])
    assert (encode_hha(room, np.zeros_like(room), CAMERA)[..., 2] == 218).all()


def test_what_is_nearer_than_a_metre_is_as_one_metre_away():
    near = np.full((30, 40), 0.5)
    assert (encode_hha(near, near, CAMERA)[..., 0] == 255).all()


def test_a_floor_out_of_view_is_taken_to_lie_130_cm_below(room):
    wall = np.full((30, 40), 2.0)
    wall[:, 20:] += np.linspace(0, 0.5, 20)  # a corner: two walls settle the direction
    height = encode_hha(wall, wall, Camera(80, 80, 20.5, 15.5))[..., 1].astype(int)
    assert abs(height[14, 10] - 131) <= 1 and abs(height[0, 10] - 166) <= 2


def test_it_is_made_once_and_kept_under_what_it_was_made_of(room, monkeypatch):
    first = cached_hha(room, room, CAMERA)
    kept = set((cache_folder() / "hha").iterdir())
    monkeypatch.setattr(hha, "encode_hha", lambda *_: pytest.fail("made again"))
    np.testing.assert_array_equal(cached_hha(room, room, CAMERA), first)
    assert set((cache_folder() / "hha").iterdir()) == kept
    with pytest.raises(pytest.fail.Exception, match="made again"):
        cached_hha(room, room, CAMERA.cropped(1, 0))


def test_what_was_measured_belongs_to_what_is_kept(room, tmp_path, monkeypatch):
    monkeypatch.setenv("KSEG_HOME", str(tmp_path))
    holed = room.copy()
    holed[10:30, 20:50] = 0
    for raw in (room, holed, room):
        np.testing.assert_array_equal(cached_hha(room, raw, CAMERA), encode_hha(room, raw, CAMERA))
