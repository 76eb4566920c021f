"""Single layers against golden/caffe/units and bilinear: what BVLC Caffe computes."""

import keras
import numpy as np
import pytest

from kseg.layers import CaffePooling2D, CropTo, GroupedConv2D, LocalResponseNormalization, bilinear_kernel
from kseg.objectives import PixelCrossEntropy
from kseg.weights.caffe.caffemodel import read_caffemodel

ROUNDING = 1e-5  # of a blob's largest value, as its README derives


@pytest.fixture(scope="module")
def caffe(shared):
    return shared / "golden" / "caffe"


@pytest.fixture(scope="module")
def units(caffe):
    return np.load(caffe / "units.npz")


def channels_last(blob: np.ndarray) -> np.ndarray:
    return np.moveaxis(blob, 1, -1)


def assert_equal(computed, blob: np.ndarray) -> None:
    blob = channels_last(blob)
    assert computed.shape == blob.shape
    assert np.abs(computed - blob).max() <= ROUNDING * np.abs(blob).max()


@pytest.mark.parametrize(
    ("blob", "options"),
    [
        ("max_k2s2", ("max", 2, 2, 0)),
        ("max_k3s2", ("max", 3, 2, 0)),
        ("max_k3s2p1", ("max", 3, 2, 1)),
        ("max_k2s2p1", ("max", 2, 2, 1)),
        ("max_k3s1p1", ("max", 3, 1, 1)),
        ("max_k2s3p1", ("max", 2, 3, 1)),
        ("ave_k3s2", ("average", 3, 2, 0)),
        ("ave_k3s2p1", ("average", 3, 2, 1)),
        ("ave_k2s2p1", ("average", 2, 2, 1)),
        ("ave_k5s3p2", ("average", 5, 3, 2)),
    ],
)
def test_pooling_is_caffes(units, blob, options):
    assert_equal(CaffePooling2D(*options)(channels_last(units["input"])), units[blob])


@pytest.mark.parametrize(
    ("blob", "options"),
    [
        ("lrn_across5", {"size": 5, "alpha": 0.05}),
        ("lrn_across3", {"size": 3, "alpha": 0.01, "beta": 0.5}),
        ("lrn_across3_k2", {"size": 3, "alpha": 0.02, "k": 2.0}),
    ],
)
def test_response_normalisation_is_caffes(units, blob, options):
    assert_equal(LocalResponseNormalization(**options)(channels_last(units["input"])), units[blob])


@pytest.mark.parametrize("blob", ["conv_k3s2p1", "conv_g2_k3", "deconv_k4s2"])
def test_convolutions_are_caffes(caffe, units, blob):
    kernel, *bias = (tensor.whole() for tensor in read_caffemodel(caffe / "units.caffemodel")[blob])
    layer = {
        "conv_k3s2p1": keras.layers.Conv2D(6, 3, strides=2),
        "conv_g2_k3": GroupedConv2D(6, 3, groups=2),
        "deconv_k4s2": keras.layers.Conv2DTranspose(3, 4, strides=2, use_bias=False),
    }[blob]
    image = channels_last(units["input"])
    if blob == "conv_k3s2p1":
        image = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    layer.build(image.shape)
    layer.set_weights([kernel.transpose(2, 3, 1, 0), *bias])
    assert_equal(layer(image), units[blob])


def test_a_crop_is_caffes(units):
    whole, reference = channels_last(units["deconv_g2_k4s2p1"]), channels_last(units["input"])
    np.testing.assert_array_equal(CropTo(2)([whole, reference]), channels_last(units["crop_off2"]))


def test_bilinear_kernels_are_caffes(caffe):
    golden = np.load(caffe / "bilinear.npz")
    for name in golden.files:
        row = bilinear_kernel(golden[name].shape[-1])
        np.testing.assert_allclose(golden[name].squeeze(), np.outer(row, row), rtol=0, atol=2.0**-22)


def test_the_loss_is_caffes_under_each_normalisation_that_the_releases_use(caffe):
    golden = np.load(caffe / "softmax-loss.npz")
    scores, label = channels_last(golden["input_score"]), golden["input_label"][:, 0].astype(np.int32)
    summed, mean = (float(PixelCrossEntropy(average=average)(label, scores)) for average in ("none", "pixels"))
    assert mean == pytest.approx(golden["loss_valid"], rel=1e-5)
    assert summed == pytest.approx(golden["loss_none"], rel=1e-5)
    # `normalize: false` divides by the number of images, which is 1 in the release.
    assert summed / len(label) == pytest.approx(golden["loss_sum"], rel=1e-5)
