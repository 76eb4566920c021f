import cv2
import numpy as np
import pytest

from kseg.pipeline.warp import Warp, cubic_weights

TURN = np.array([[0.6, -0.8], [0.8, 0.6]])


@pytest.mark.parametrize("border", [cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT])
@pytest.mark.parametrize("size", [(4, 6), (5, 3), (12, 15), (1, 1)])
@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_what_is_cut_out_is_what_a_look_up_finds(signs, size, border):
    rng = np.random.default_rng(0)
    image, label = rng.integers(0, 256, (7, 9, 3)).astype(np.uint8), rng.integers(0, 9, (7, 9)).astype(np.int32)
    for shift in ((0, 0), (-3, 2), (5, -4), (20, 0)):
        warp = Warp.still(size).transformed(np.diag(signs)).moved(np.array(shift) + (np.array(size) - 1) / 2)
        rows, columns = warp.coordinates()
        for pixels, method in ((image, cv2.INTER_LINEAR), (label, cv2.INTER_NEAREST)):
            wanted = pixels.astype(np.float32) if pixels.ndim == 3 else pixels
            wanted = cv2.remap(wanted, columns, rows, method, borderMode=border, borderValue=(5,) * 4)
            found = warp.look_up(pixels, method, border, 5)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted.reshape(found.shape))


def test_what_is_cut_out_is_a_copy():
    image = np.zeros((4, 4, 1), np.float32)
    found = Warp.still((4, 4)).moved(np.array([1.5, 1.5])).look_up(image, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
    found += 1
    assert not image.any()


def test_places_are_those_of_each_step_on_all_pixels_in_turn():
    size, rng = (23, 31), np.random.default_rng(1)
    first, second = rng.normal(0, 3, (2, 3, 3)), rng.normal(0, 3, (2, 4, 6))

    def spread(grid):
        rows, columns = (cubic_weights(length, count) for length, count in zip(size, grid.shape[1:], strict=True))
        return np.einsum("rg,agc,wc->arw", rows, grid, columns)

    points = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in size), indexing="ij"))
    points = np.einsum("ab,brc->arc", TURN, points + spread(first)) + np.array([2.5, -7])[:, None, None]
    points = points + spread(second)
    warp = Warp.still(size).bent(first).transformed(TURN).moved(np.array([2.5, -7])).bent(second)
    # Fourteen parts below 64 are added up in float32, each rounded by 2^-19.
    np.testing.assert_allclose(warp.coordinates(), points, rtol=0, atol=14 * 2**-19)


def test_nothing_in_between_is_cut_out():
    half = Warp.still((3, 3)).moved(np.array([1.5, 1]))
    image = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    found = half.look_up(image, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
    assert found[:, :, 0].tolist() == [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5], [4.5, 5.5, 6.5]]
