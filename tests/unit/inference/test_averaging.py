import cv2
import numpy as np
import pytest

from kseg.errors import ConfigError
from kseg.inference import averaging
from kseg.inference.averaging import pixels_read
from kseg.layers import check_average


def averaged(image: np.ndarray, scores_of, average: str) -> np.ndarray:
    """The mean over one image, whose scores a function of (H, W, C) gives."""
    batched = averaging.averaged(
        image[None].astype(np.float32), lambda images: scores_of(np.asarray(images)[0])[None], average
    )
    return np.asarray(batched)[0]


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


def test_mirror_is_the_mean_over_two():
    columns = np.tile(np.arange(4, dtype=np.float32), (3, 1))[..., None]
    # Exchanged and back, a column's own number stays; a score that counts columns meets its mirror image.
    np.testing.assert_array_equal(averaged(columns, brightness, "mirror"), brightness(columns))
    counted = averaged(np.zeros((3, 4, 1)), lambda image: columns, "mirror")
    np.testing.assert_array_equal(counted, np.full((3, 4, 1), 1.5))


@pytest.mark.parametrize("size", [(40, 53), (17, 9), (1, 6)])
def test_rotations_look_images_up_where_opencv_does(size):
    image = np.random.default_rng(0).random((*size, 2)).astype(np.float32)
    side = int(np.ceil(np.hypot(*size)))
    for degrees in (45, 135, 225):
        turn = cv2.getRotationMatrix2D(((size[1] - 1) / 2, (size[0] - 1) / 2), degrees, 1.0)
        turn += np.array([[0, 0, (side - size[1]) / 2], [0, 0, (side - size[0]) / 2]])
        change, _ = averaging._rotation(degrees, size)
        found = np.asarray(change(image[None]))[0]
        for channel in range(2):
            # remap, which OpenCV 5 does exactly and OpenCV 4 to 1/32 pixel along each axis.
            inverse = cv2.invertAffineTransform(turn)
            rows, columns = np.mgrid[:side, :side].astype(np.float64)
            places = [inverse[axis, 0] * columns + inverse[axis, 1] * rows + inverse[axis, 2] for axis in (0, 1)]
            wanted = cv2.remap(
                image[..., channel], *(place.astype(np.float32) for place in places), cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )  # fmt: skip
            assert np.abs(found[..., channel] - wanted).max() <= 2 / 64


def test_an_average_says_how_many_pixels_it_reads():
    read = []
    for average in ("none", "mirror", "rotations", "symmetries"):
        sizes = []
        averaging.averaged(
            np.zeros((1, 70, 70, 1), np.float32),
            lambda images, sizes=sizes: sizes.append(images.shape[1:3]) or images,
            average,
        )
        read.append(sum(height * width for height, width in sizes) / 70**2)
    # A square of 99 holds one of 70 turned by 45 degrees: 2.0002 times its pixels.
    assert [round(count) for count in read] == [pixels_read(a) for a in ("none", "mirror", "rotations", "symmetries")]


def test_an_unknown_average_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="Did you mean 'rotations'"):
        check_average("rotation", upright=False)


def test_rotations_are_seven_by_45_degrees_from_0_to_270():
    image = np.zeros((1, 41, 41, 1), np.float32)
    image[0, 20, 32] = 1  # to the right of the centre
    angles = []
    for change, _ in averaging._versions("rotations", (41, 41)):
        turned = np.asarray(change(image))[0, ..., 0]
        row, column = np.array(np.unravel_index(turned.argmax(), turned.shape)) - (np.array(turned.shape) - 1) / 2
        angles.append(round(np.degrees(np.arctan2(-row, column)) / 45) * 45 % 360)
    assert sorted(angles) == [0, 45, 90, 135, 180, 225, 270]
