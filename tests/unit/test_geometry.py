import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kseg.errors import SizeError
from kseg.geometry import Geometry, Grid, mirrored, spans, unet_geometry

geometries = st.builds(unet_geometry, st.integers(1, 4), st.sampled_from(["valid", "same"]))
sizes = st.integers(1, 1500)


def simulated(size: int, depth: int) -> int | None:
    """What a valid U-Net of `depth` poolings gives for `size` pixels, layer by layer; None where it does not fit."""
    for _ in range(depth):
        size -= 4
        if size <= 0 or size % 2:
            return None
        size //= 2
    size -= 4
    for _ in range(depth):
        size = 2 * size - 4
    return size if size > 0 else None


@pytest.mark.parametrize(
    ("depth", "inputs", "outputs", "border"),
    [
        (1, [18, 20, 22], [2, 4, 6], 8),
        (2, [44, 48, 52], [4, 8, 12], 20),
        (3, [92, 100, 108], [4, 12, 20], 44),
        (4, [188, 204, 220], [4, 20, 36], 92),
        (5, [380, 412, 444], [4, 36, 68], 188),
    ],
)
def test_the_first_fitting_sizes_are_those_of_the_facts(depth, inputs, outputs, border):
    geometry = unet_geometry(depth, "valid")
    assert [size for size in range(inputs[-1] + 1) if geometry.fits(size)] == inputs
    assert geometry.border == border and [size - 2 * border for size in inputs] == outputs


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_a_size_fits_where_every_layer_of_the_network_does(depth):
    geometry = unet_geometry(depth, "valid")
    for size in range(1, 900):
        given_back = simulated(size, depth)
        assert geometry.fits(size) == (given_back is not None), size
        assert given_back in (None, size - 2 * geometry.border)


def test_the_papers_sizes_fit():
    geometry = unet_geometry(4, "valid")
    assert geometry.fits(572) and geometry.next_input(512 + 184) == 700
    assert [geometry.next_input(size + 184) for size in (520, 696)] == [716, 892]


@pytest.mark.parametrize("depth", [1, 3])
def test_padded_networks_take_multiples_of_their_stride(depth):
    geometry = unet_geometry(depth, "same")
    assert [size for size in range(40) if geometry.fits(size)] == list(range(2**depth, 40, 2**depth))


@given(geometries, sizes)
def test_the_neighbours_that_fit_enclose_a_size(geometry, size):
    above, below = geometry.next_input(size), geometry.previous_input(size)
    assert geometry.fits(above) and geometry.fits(below) and above >= size
    assert not any(geometry.fits(between) for between in range(size, above))
    assert below == geometry.smallest if size < geometry.smallest else size - geometry.stride < below <= size
    assert geometry.fits(size) == (above == below == size)


def test_a_size_that_does_not_fit_is_told_its_neighbours():
    geometry = unet_geometry(4, "valid")
    geometry.check(188, 572, "image")
    with pytest.raises(
        SizeError, match=r"image: width 500 does not fit .* 188, 204, 220, .*Take 492 or 508\."
    ) as caught:
        geometry.check(572, 500, "image")
    assert isinstance(caught.value, ValueError)
    with pytest.raises(SizeError, match=r"height 100 .*Take 188\."):
        geometry.check(100, 572, "image")


@given(st.integers(2, 30), st.integers(0, 100), st.integers(0, 100))
def test_mirrored_lines_are_numpys_reflect(size, before, after):
    np.testing.assert_array_equal(
        mirrored(-before, size + after, size), np.pad(np.arange(size), (before, after), mode="reflect")
    )


def test_the_border_pixel_is_not_repeated_and_a_single_pixel_is():
    assert mirrored(-3, 6, 3).tolist() == [1, 2, 1, 0, 1, 2, 1, 0, 1]
    assert mirrored(-2, 3, 1).tolist() == [0] * 5


@given(geometries, sizes, st.integers(0, 60))
def test_tiles_join_in_phase_and_keep_no_pixel_that_a_cut_could_reach(geometry, size, steps):
    tile = geometry.smallest + steps * geometry.stride
    border, margin = geometry.border, geometry.margin
    whole = geometry.next_input(size + 2 * border)
    try:
        plan = spans(size, geometry, tile)
    except SizeError as error:
        least = int(re.search(r"Take (\d+) or more", str(error))[1])
        assert tile < least and spans(size, geometry, least)
        return
    assert plan[0].keep == 0 and plan[-1].keep_stop == size
    assert all(one.keep_stop == other.keep for one, other in zip(plan, plan[1:], strict=False))
    for span in plan:
        corner = span.read + border  # the image's pixel under the output's first
        assert span.keep < span.keep_stop and corner % geometry.stride == 0
        assert span.read_stop - span.read == min(tile, whole)
        assert span.skip == span.keep - corner >= (margin if span.read > -border else 0)
        left_over = span.read_stop - border - span.keep_stop
        assert left_over >= (margin if span.read_stop < whole - border else 0)


def test_tiles_of_572_lie_384_apart():
    plan = spans(1000, unet_geometry(4, "valid"), 572)
    assert [(span.keep, span.keep_stop) for span in plan] == [(0, 384), (384, 768), (768, 1000)]


def test_no_tile_is_one_pass():
    (span,) = spans(37, unet_geometry(2, "valid"))
    assert (span.read, span.read_stop, span.keep, span.keep_stop, span.skip) == (-20, 60, 0, 37, 0)


def test_tiles_that_would_change_the_numbers_are_refused():
    with pytest.raises(SizeError, match="tile: height 573 does not fit"):
        spans(1000, unet_geometry(4, "valid"), 573)
    with pytest.raises(SizeError, match="tile: group normalisation"):
        spans(1000, Geometry(stride=2, smallest=2, margin=None), 64)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", range(1, 9))
def test_the_usual_tile_keeps_something_at_any_depth(depth, padding):
    geometry = unet_geometry(depth, padding)
    plan = spans(20_000, geometry, geometry.usual_tile())
    assert plan[0].keep == 0 and plan[-1].keep_stop == 20_000 and len(plan) > 1
    assert all(span.keep_stop > span.keep for span in plan)


def vgg16_grid(pad: int, poolings: int = 5) -> Grid:
    """The grid of VGG16's pool `poolings`, its first convolution padded by `pad`."""
    grid = Grid()
    for block, count in enumerate((2, 2, 3, 3, 3)[:poolings]):
        for number in range(count):
            grid = grid.pooled(3, pad=pad if (block, number) == (0, 0) else 1)
        grid = grid.pooled(2, 2)
    return grid


@pytest.mark.parametrize(
    ("poolings", "field", "offset"), [(1, 6, -98.5), (3, 44, -95.5), (4, 100, -91.5), (5, 212, -83.5)]
)
def test_the_grids_of_vgg16_are_those_of_the_facts(poolings, field, offset):
    grid = vgg16_grid(100, poolings)
    assert (grid.stride, grid.receptive_field, grid.offset) == (2**poolings, field, offset)


def test_the_crops_of_the_release_follow_from_the_grids():
    fc7 = vgg16_grid(100).pooled(7)
    assert (fc7.receptive_field, fc7.stride, fc7.offset) == (404, 32, 12.5)
    assert fc7.upsampled(64, 32).crop_offset(Grid()) == 19
    upscore2 = fc7.upsampled(4, 2)
    pool4 = vgg16_grid(100, 4)
    assert pool4.crop_offset(upscore2) == 5
    assert upscore2.upsampled(32, 16).crop_offset(Grid()) == 27
    upscore_pool4 = upscore2.fused(pool4.cropped(5)).upsampled(4, 2)
    assert vgg16_grid(100, 3).crop_offset(upscore_pool4) == 9
    assert upscore_pool4.upsampled(16, 8).crop_offset(Grid()) == 31


def test_a_kernel_of_64_never_lies_over_alexnets_pixels():
    fc7 = Grid().pooled(11, 4, 100).pooled(3, 2).pooled(5, pad=2).pooled(3, 2)
    for _ in range(3):
        fc7 = fc7.pooled(3, pad=1)
    fc7 = fc7.pooled(3, 2).pooled(6)
    assert (fc7.receptive_field, fc7.offset) == (355, 13)
    assert fc7.upsampled(63, 32).crop_offset(Grid()) == 18
    with pytest.raises(SizeError, match="never lie over"):
        fc7.upsampled(64, 32).crop_offset(Grid())


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 4), st.integers(0, 20))
def test_a_grids_cells_read_what_their_windows_do(kernel, stride, pad, cell):
    grid = Grid().pooled(kernel, stride, pad)
    assert grid.stride * cell + grid.first == cell * stride - pad
    assert grid.stride * cell + grid.last == cell * stride - pad + kernel - 1


def test_maps_that_do_not_lie_over_each_other_are_not_summed():
    with pytest.raises(SizeError, match="do not lie over each other"):
        Grid().fused(Grid().cropped(1))


@given(st.integers(1, 3000), st.integers(0, 12))
def test_tiles_of_a_network_of_any_size_start_in_phase(size, extra):
    geometry = Geometry(stride=32, margin=256, step=1)
    plan = spans(size, geometry, tile=2 * 256 + 32 + extra)
    assert [span.read % 32 for span in plan] == [0] * len(plan)
    assert plan[0].keep == 0 and plan[-1].keep_stop == plan[-1].read_stop == size
    for one, following in itertools.pairwise(plan):
        assert one.keep_stop == following.keep
    for span in plan:
        assert span.read == 0 or span.keep - span.read >= 256
        assert span.read_stop == size or span.read_stop - span.keep_stop >= 256
