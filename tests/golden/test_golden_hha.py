"""HHA against golden/hha: the MATLAB original's output of NYUDv2's first frame, and its port's of four more cases.

Disparity is the same everywhere, height and angle within one grey level; the angle where seven pixels of its window
or fewer were measured is rounding noise in the reference too, and is not compared.
"""

import json

import numpy as np
import pytest

from kseg.datasets.published.hha import Camera, encode_hha
from kseg.images import read_image

# Where the depth of each case lies.
CASES = {
    "nyu5001_full_dd": "nyu5001_full",
    "nyu5001_full_raw": "nyu5001_full",
    "nyu5001_crop_raw": "nyu5001_crop_raw",
    "nyu5001_crop_raw_cropcam": "nyu5001_crop_raw",
    "kinect2_office": "kinect2_office",
}


def encoded(folder, case):
    facts = json.loads((folder / case / "case.json").read_text())
    depth, raw = (read_image(folder / CASES[case] / f"{name}.png")[..., 0] for name in ("depth", "rawdepth"))
    (fx, _, cx), (_, fy, cy), _ = facts["camera_matrix"]
    metres = depth / facts["depth_png_units_per_metre"]
    return encode_hha(metres, metres if case.endswith("dd") else raw, Camera(fx, fy, cx, cy)).astype(int)


@pytest.mark.parametrize("case", CASES)
def test_channels_equal_the_reference_within_a_grey_level(shared, case):
    folder = shared / "golden" / "hha"
    ours, reference = encoded(folder, case), read_image(folder / case / "hha.png")
    stable = read_image(folder / case / "stable_mask.png")[..., 0] == 255
    np.testing.assert_array_equal(ours[..., 0], reference[..., 0])
    assert np.abs(ours[..., 1] - reference[..., 1]).max() <= 1
    assert np.abs(ours[..., 2] - reference[..., 2])[stable].max() <= 1
    unknown = stable & (reference[..., 2] == 218)
    assert (ours[..., 2][unknown] == 218).mean() > 0.99


def test_with_nothing_missing_every_pixel_is_matlab_s(shared):
    folder = shared / "golden" / "hha"
    np.testing.assert_array_equal(
        encoded(folder, "nyu5001_full_dd"), read_image(folder / "nyu5001_full_dd" / "hha_matlab.png")
    )
