import numpy as np
import pytest

from kseg.errors import ConfigError
from kseg.inference.averaging import averaged


def brightness(image: np.ndarray) -> np.ndarray:
    """Scores that turn with the image: no version differs."""
    return np.concatenate([image, -image], axis=2).astype(np.float32)


def downwards(image: np.ndarray) -> np.ndarray:
    """Scores that do not: each row's number."""
    rows = np.arange(image.shape[0], dtype=np.float32)[:, None, None]
    return np.broadcast_to(rows, (*image.shape[:2], 1)).copy()


@pytest.mark.parametrize("size", [(6, 6), (5, 8), (1, 1)])
def test_symmetries_leave_what_turns_with_the_image(size):
    image = np.random.default_rng(0).random((*size, 1)).astype(np.float32)
    np.testing.assert_allclose(averaged(image, brightness, "symmetries"), brightness(image), rtol=1e-6)


def test_rotations_leave_what_turns_with_the_image_up_to_interpolation():
    rows, columns = np.mgrid[:40, :50] / 40
    image = np.sin(3 * rows + 2 * columns)[..., None].astype(np.float32)
    difference = np.abs(averaged(image, brightness, "rotations") - brightness(image))
    # Twice linear between pixels: 2/8 of the curvature (9/1600); at the border the mirror's bend: half a pixel's slope.
    assert difference[2:-2, 2:-2].max() < 0.0015 and difference.max() < 0.045


def test_symmetries_are_the_mean_over_all_eight():
    # Row r of 4 is seen as row r, 3 - r, and as column c, 3 - c, twice each: 1.5 everywhere.
    np.testing.assert_allclose(averaged(np.zeros((4, 4, 1)), downwards, "symmetries"), 1.5)


def test_none_is_the_image_alone():
    np.testing.assert_array_equal(averaged(np.zeros((4, 4, 1)), downwards, "none"), downwards(np.zeros((4, 4, 1))))


def test_an_unknown_average_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="Did you mean 'rotations'"):
        averaged(np.zeros((4, 4, 1)), downwards, "rotation")
