"""Caffe's and Keras' layouts into networks of a few numbers."""

import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kseg.errors import WeightsError
from kseg.layers import BilinearUpsampling, ScaleChannels, bilinear_kernel
from kseg.weights import layouts
from kseg.weights.fill import fill, is_bilinear
from kseg.weights.layouts import Tensor


def caffe(*arrays):
    return [Tensor.of(np.asarray(array, np.float32), "caffe") for array in arrays]


def network(*stack, shape=(4, 5, 2)):
    image = x = layers.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


def counted(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_a_convolution_takes_caffes_axes_without_a_flip():
    model = network(layers.Conv2D(3, (2, 1), name="conv"))
    kernel, bias = counted(3, 2, 2, 1), counted(3)
    report = fill(model, {"conv": caffe(kernel, bias)})
    assert report.filled == ["conv"] and not report.reshaped and not report.initial
    found, found_bias = model.get_layer("conv").get_weights()
    for out, read, row in np.ndindex(3, 2, 2):
        assert found[row, 0, read, out] == kernel[out, read, row, 0]
    np.testing.assert_array_equal(found_bias, bias)


def test_a_transposed_convolution_takes_caffes_in_for_keras_in():
    model = network(layers.Conv2DTranspose(3, (2, 1), use_bias=False, name="up"))
    kernel = counted(2, 3, 2, 1)
    fill(model, {"up": caffe(kernel)})
    found = model.get_layer("up").get_weights()[0]
    for read, out, row in np.ndindex(2, 3, 2):
        assert found[row, 0, out, read] == kernel[read, out, row, 0]


def test_a_grouped_convolution_takes_the_shares_of_its_groups():
    model = network(layers.Conv2D(4, 1, groups=2, use_bias=False, name="conv"))
    fill(model, {"conv": caffe([[[[1]]], [[[2]]], [[[3]]], [[[4]]]])})
    found = np.asarray(model(np.array([10.0, 100.0]) * np.ones((1, 4, 5, 1), np.float32)))
    np.testing.assert_array_equal(found[0, 0, 0], [10, 20, 300, 400])


@pytest.mark.parametrize("sizes", [(3, 40), (3, 2, 4, 5)])
def test_an_inner_product_is_turned_to_the_order_of_channels_last(sizes):
    model = network(layers.Flatten(), layers.Dense(3, name="fc6"))
    kernel = counted(3, 40)
    report = fill(model, {"fc6": caffe(kernel.reshape(sizes), np.zeros(3))})
    assert report.reshaped == ([] if len(sizes) == 2 else ["fc6"])
    image = np.random.default_rng(0).integers(0, 9, (1, 4, 5, 2)).astype(np.float32)
    wanted = kernel @ image.transpose(0, 3, 1, 2).ravel()  # sums below 2^24: exact
    np.testing.assert_array_equal(np.asarray(model(image))[0], wanted)


def test_an_inner_product_becomes_a_convolution_of_the_same_numbers():
    dense = network(layers.Flatten(), layers.Dense(3, name="fc6"))
    convolution = network(layers.Conv2D(3, (4, 5), name="fc6"))
    source = {"fc6": caffe(counted(3, 40), counted(3))}
    fill(dense, source)
    assert fill(convolution, source).reshaped == ["fc6"]
    image = np.random.default_rng(0).integers(0, 9, (1, 4, 5, 2)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(dense(image)), np.asarray(convolution(image))[0, 0])


def test_a_product_of_keras_becomes_a_convolution_as_it_lies():
    model = network(layers.Conv2D(3, (4, 5), name="fc6"))
    kernel = counted(40, 3)
    report = fill(model, {"fc6": [Tensor.of(kernel, "keras"), Tensor.of(counted(3), "keras")]})
    assert report.reshaped == ["fc6"]
    np.testing.assert_array_equal(model.get_layer("fc6").get_weights()[0], kernel.reshape(4, 5, 2, 3))


@pytest.mark.parametrize(
    ("layout", "sizes"), [("caffe", (5, 4, 2, 3)), ("caffe", (5, 24)), ("keras", (2, 3, 4, 5)), ("keras", (24, 5))]
)
def test_slices_give_what_one_piece_does(monkeypatch, layout, sizes):
    stack = [layers.Flatten(), layers.Dense(5, name="fc")] if len(sizes) == 2 else [layers.Conv2D(5, (2, 3), name="fc")]
    tensors = [Tensor.of(counted(*sizes), layout), Tensor.of(counted(5), layout)]
    found = []
    for size_bytes in (1, 100, 1 << 20):
        monkeypatch.setattr(layouts, "_SLICE_BYTES", size_bytes)
        model = network(*stack, shape=(2, 3, 4))
        kept = model.get_layer("fc").kernel.value.read_value()
        before = kept.numpy()
        assert fill(model, {"fc": tensors}).filled == ["fc"]
        np.testing.assert_array_equal(kept, before)  # who holds the old numbers keeps them
        found.append(model.get_layer("fc").kernel.numpy())
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[2])
    assert sorted(found[0].ravel()) == list(range(120))


def test_a_large_layer_is_never_held_whole_beside_the_variable(monkeypatch):
    monkeypatch.setattr(layouts, "_SLICE_BYTES", 1 << 20)
    model = network(layers.Conv2D(4096, 1, use_bias=False, name="fc7"), shape=(1, 1, 2048))
    kernel = Tensor((4096, 2048, 1, 1), lambda start, stop: np.ones((stop - start, 2048, 1, 1), np.float32), "caffe")
    tracemalloc.start()
    fill(model, {"fc7": [kernel]})
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # a slice as read, and one as handed over, of a kernel of 32 MB; TensorFlow's own copy of a slice is not traced
    assert most < 4 << 20
    assert model.get_layer("fc7").kernel.numpy().sum() == 4096 * 2048


def test_variables_spread_over_devices_are_filled_too(monkeypatch):
    monkeypatch.setattr(layouts, "_SLICE_BYTES", 1)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = network(layers.Conv2D(3, 1, name="conv"))
    fill(model, {"conv": caffe(counted(3, 2, 1, 1), counted(3))})
    np.testing.assert_array_equal(model.get_layer("conv").get_weights()[0][0, 0], counted(3, 2).T)


def test_scales_are_read_from_the_file():
    model = network(ScaleChannels(0.01, name="scale_pool4"))
    assert fill(model, {"scale_pool4": caffe([0.5, 0.25])}).filled == ["scale_pool4"]
    np.testing.assert_array_equal(model.get_layer("scale_pool4").scale, [0.5, 0.25])


def dense_bilinear(size, channels=2):
    plane = np.outer(bilinear_kernel(size), bilinear_kernel(size))
    return np.einsum("ab,ij->abij", np.eye(channels), plane).astype(np.float32)


@pytest.mark.parametrize("size", [4, 16, 63, 64])
def test_fixed_upsampling_takes_the_kernel_that_it_is(size):
    model = network(BilinearUpsampling(size, name="upscore"))
    dense = dense_bilinear(size)
    grouped = dense[[0, 1], [0, 1]][:, None]
    for kernel in (dense, grouped, dense[:1, :1], dense[0, 0], dense_bilinear(size, 5)):
        report = fill(model, {"upscore": caffe(kernel)})
        assert report.filled == ["upscore"], str(report)
    assert fill(model, {"upscore": caffe(dense, np.zeros(2))}).filled == ["upscore"]


@pytest.mark.parametrize(("place", "change"), [((0, 1, 0, 0), 1e-9), ((1, 1, 2, 2), 1e-6), ((0, 0, 0, 0), np.nan)])
def test_fixed_upsampling_refuses_what_was_learned(place, change):
    model = network(BilinearUpsampling(4, name="upscore"))
    kernel = dense_bilinear(4)
    kernel[place] += change
    assert not is_bilinear(*caffe(kernel), 4)
    assert 'build with upsampling="learned"' in fill(model, {"upscore": caffe(kernel)}).refused["upscore"]


def test_rounding_of_the_bilinear_kernel_is_no_learning():
    kernel = dense_bilinear(6)  # thirds
    assert is_bilinear(*caffe(np.nextafter(kernel, 1) * (kernel > 0)), 6)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ((counted(4, 2, 1, 1), counted(4)), "4 outputs in the file, 3 in the network"),
        ((counted(3, 1, 1, 1), counted(3)), "a kernel of (3, 1, 1, 1) in the file, of (3, 2, 1, 1) in the network"),
        ((counted(3, 2, 1, 1), counted(4)), "a bias of (4,) in the file, of (3,) in the network"),
        ((counted(3, 2, 1, 1),), "no bias in the file"),
        ((counted(3, 2, 1, 1), counted(3), counted(3)), "3 tensors in the file"),
        ((counted(3, 2, 1, 1), np.array([0, np.inf, 0])), "NaN or infinity"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_the_layer_alone(arrays, reason):
    model = network(layers.Conv2D(3, 1, name="score_fr"))
    before = model.get_weights()
    report = fill(model, {"score_fr": caffe(*arrays)})
    assert not report.filled and reason in report.refused["score_fr"]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_bias_that_the_network_lacks_may_only_be_zero():
    model = network(layers.Conv2DTranspose(2, 4, use_bias=False, name="up"))
    assert fill(model, {"up": caffe(dense_bilinear(4), np.zeros(2))}).filled == ["up"]
    assert "a bias in the file" in fill(model, {"up": caffe(dense_bilinear(4), np.ones(2))}).refused["up"]


def test_the_report_names_every_layer_once_and_stays_short(capsys):
    model = network(*(layers.Conv2D(2, 1, name=f"conv{number}") for number in range(9)))
    source = {f"conv{number}": caffe(np.ones((2, 2, 1, 1)), np.ones(2)) for number in range(7)}
    source |= {"conv7": caffe(np.ones((5, 2, 1, 1)), np.ones(5)), "fc8": caffe(np.ones((2, 2))), "relu": []}
    fill(model, source).logged("a file", model.name)
    assert capsys.readouterr().err.splitlines() == [
        "filled    7 layers: conv0, conv1, conv2, conv3, ..., conv6",
        "initial   1 layer: conv8",
        "unused    1 layer: fc8",
        "refused   conv7: 5 outputs in the file, 2 in the network",
    ]


def test_a_file_that_fails_while_a_large_layer_is_filled_raises(monkeypatch):
    monkeypatch.setattr(layouts, "_SLICE_BYTES", 1)
    reads = []

    def read(start, stop):
        reads.append(start)
        if len(reads) > 4:  # the first pass looks for NaN
            raise WeightsError("cut off")
        return np.ones((stop - start, 2, 1, 1), np.float32)

    model = network(layers.Conv2D(3, 1, use_bias=False, name="conv"))
    with pytest.raises(WeightsError):
        fill(model, {"conv": [Tensor((3, 2, 1, 1), read, "caffe")]})
