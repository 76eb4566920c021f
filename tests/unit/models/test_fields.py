"""Strides and receptive fields as the layers say, against numbers by hand and against the pixels that are read."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kseg
from kseg.models import NETWORKS, describe, draw
from kseg.models.fields import grids


def through(*steps: keras.Layer, size: tuple = (None, None, 2)) -> keras.Model:
    image = x = layers.Input(size, name="image")
    for step in steps:
        x = step(x)
    return keras.Model(image, x)


def told(model: keras.Model, name: str, axis: int = 0) -> tuple:
    """Stride and pixels read."""
    grid = grids(model, axis)[name]
    return (grid.stride, grid.receptive_field)


def test_a_dilated_kernel_reads_its_gaps_too():
    model = through(layers.Conv2D(2, 3, dilation_rate=2, name="a"), layers.Conv2D(2, 3, dilation_rate=4, name="b"))
    assert told(model, "a") == (1, 5)  # 2 (3 - 1) + 1
    assert told(model, "b") == (1, 13)  # and 4 (3 - 1) more


def test_depthwise_separable_and_average_layers_step_and_read_as_others_do():
    model = through(
        layers.AveragePooling2D(2, name="pool"),  # 2 pixels, every 2
        layers.DepthwiseConv2D(3, name="depthwise"),  # 2 cells more, 2 pixels apart: 2 + 4
        layers.SeparableConv2D(4, 3, strides=2, name="separable"),  # 4 more; every 4
        layers.UpSampling2D(2, name="up"),  # a pixel reads one cell; the two of a cell read the same
    )
    assert [told(model, name) for name in ("pool", "depthwise", "separable")] == [(2, 2), (2, 6), (4, 10)]
    assert told(model, "up")[0] == 2
    text = describe(model)
    assert "coarsest    separable: a cell every 4 pixels, reading 10" in text and "unknown" not in text


def test_what_differs_between_height_and_width_is_told_for_each():
    model = through(
        layers.Conv2D(2, (3, 5), strides=(2, 1), name="a"), layers.MaxPooling2D((1, 2), name="b"), layers.ReLU()
    )
    assert [told(model, "b", axis) for axis in (0, 1)] == [(2, 3), (2, 6)]  # 5 + 1 along the width
    assert [told(model, "a", axis) for axis in (0, 1)] == [(2, 3), (1, 5)]
    (row,) = (line for line in describe(model).splitlines() if line.startswith("a "))
    assert row.split()[-6:] == ["2", "x", "1", "3", "x", "5"]
    assert "coarsest    b: a cell every 2 pixels, reading 3 x 6" in describe(model)


def test_pointwise_layers_and_sums_of_branches_read_the_union():
    image = layers.Input((None, None, 2), name="image")
    x = layers.Rescaling(1 / 255)(image)
    wide = layers.Conv2D(2, 7, padding="same", name="wide")(x)
    narrow = layers.BatchNormalization()(layers.Conv2D(2, 1, name="narrow")(x))
    x = layers.Concatenate(name="both")([layers.Activation("gelu")(narrow), layers.LayerNormalization()(wide)])
    model = keras.Model(image, layers.Dense(3, name="dense")(layers.SpatialDropout2D(0.1)(x)))
    assert (told(model, "narrow"), told(model, "both"), told(model, "dense")) == ((1, 1), (1, 7), (1, 7))


@pytest.mark.parametrize(
    "stranger",
    [
        layers.Permute((2, 1, 3), name="stranger"),
        layers.Resizing(10, 10, name="stranger"),
        layers.UpSampling2D(2, interpolation="bicubic", name="stranger"),
        layers.Softmax(axis=1, name="stranger"),
        layers.Conv2D(2, 1, data_format="channels_first", name="stranger"),
        layers.Conv2DTranspose(2, 3, strides=2, output_padding=1, name="stranger"),
        keras.Sequential([layers.Input((16, 16, 2)), layers.Conv2D(2, 3)], name="stranger"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_is_not_known_is_named_and_all_behind_it_is_unknown(tmp_path, stranger):
    model = through(
        layers.Conv2D(2, 1, name="before"),
        stranger,
        layers.Conv2D(2, 3, padding="same", name="behind"),
        size=(16, 16, 2),
    )
    found = grids(model)
    assert found["before"].stride == 1 and found["stranger"] is None and found["behind"] is None
    lines = describe(model).splitlines()
    assert [line.split()[-2:] for line in lines if line.startswith("behind")] == [["unknown", "unknown"]]
    assert f"unknown     from stranger on: kseg does not know what a {type(stranger).__name__} reads" in lines
    assert not any(line.startswith("coarsest") for line in lines)
    draw(model, tmp_path / "a.png")


def test_maps_of_different_strides_that_are_joined_are_unknown():
    image = layers.Input((8, 1, 2), name="image")
    pooled = layers.MaxPooling2D((8, 1))(image)
    model = keras.Model(image, layers.Multiply(name="gated")([image, pooled]))
    assert grids(model)["gated"] is None


def test_a_normalisation_over_the_image_reads_all_of_it_and_keeps_the_stride():
    model = through(
        layers.Conv2D(2, 3, strides=2, name="a"), layers.GroupNormalization(1), layers.Conv2D(2, 1, name="b")
    )
    rows = {line.split()[0]: line.split()[-4:] for line in describe(model).splitlines() if line}
    assert rows["a"][-2:] == ["2", "3"] and rows["b"] == ["2", "the", "whole", "image"]


def test_a_sequential_and_a_layer_of_two_results_are_described():
    model = keras.Sequential(
        [layers.Input((None, None, 1)), layers.Conv2D(2, 3, name="a"), layers.Conv2D(2, 3, name="b")]
    )
    assert told(model, "b") == (1, 5) and "parameters  58" in describe(model)  # 9 * 2 + 2, 9 * 4 + 2


@pytest.mark.parametrize("name", NETWORKS.names())
def test_all_layers_of_the_built_in_networks_are_known(name):
    assert "unknown" not in describe(kseg.build(name, width=1 if name == "unet" else 1 / 64))


def pixels_read(model: keras.Model, size: int) -> list[tuple[int, int]]:
    """The first and last row that each row of the result reads, as its derivative says."""
    image = tf.Variable(np.random.default_rng(0).random((1, size, size, 1), np.float32) + 1)
    with tf.GradientTape() as tape:
        rows = tf.reduce_sum(model(image), axis=(0, 2, 3))
    derivative = tape.jacobian(rows, image)
    read = np.abs(derivative.numpy()).sum(axis=(1, 3, 4)) > 0
    return [(int(np.flatnonzero(row)[0]), int(np.flatnonzero(row)[-1])) for row in read]


CASES = {
    "dilated": [layers.Conv2D(1, 3, dilation_rate=3), layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)],
    "strided": [
        layers.Conv2D(1, 3, strides=2, padding="same"),
        layers.SeparableConv2D(1, 5, strides=2, padding="same"),
    ],
    "pooled": [layers.AveragePooling2D(3, 2, padding="same"), layers.AveragePooling2D(2), layers.Cropping2D(1)],
    "transposed": [layers.Conv2D(1, 4, strides=4), layers.Conv2DTranspose(1, 5, strides=2, padding="same")],
    "transposed valid": [layers.AveragePooling2D(2), layers.Conv2DTranspose(1, 3, strides=2)],
    "nearest": [layers.Conv2D(1, 3, strides=2, padding="same"), layers.UpSampling2D(2)],
    "nearest by 3": [layers.ZeroPadding2D(2), layers.AveragePooling2D(3), layers.UpSampling2D(3)],
    "bilinear": [layers.AveragePooling2D(2), layers.UpSampling2D(2, interpolation="bilinear")],
    "bilinear by 3": [layers.AveragePooling2D(3), layers.UpSampling2D(3, interpolation="bilinear")],
}


@pytest.mark.parametrize("case", CASES)
def test_grids_are_the_pixels_whose_change_changes_a_cell(case):
    model = through(*CASES[case], size=(48, 48, 1))
    for weight in model.weights:
        weight.assign(keras.ops.ones(weight.shape))
    grid = grids(model)[model.layers[-1].name]
    read = pixels_read(model, 48)
    inner = range(len(read) // 4, 3 * len(read) // 4)  # no border within reach
    assert min(read[cell][0] - cell * grid.stride for cell in inner) == grid.first
    assert max(read[cell][1] - cell * grid.stride for cell in inner) == grid.last


def test_operations_between_layers_are_read_by_their_names_and_named_where_they_are_not_known():
    image = keras.Input((None, None, 2))
    narrow = layers.Conv2D(2, 3, padding="same", name="narrow")(image)
    wide = layers.MaxPooling2D(2, name="half")(keras.ops.relu(narrow) * 2 + 1)
    model = keras.Model(image, layers.Conv2D(2, 3, name="wide")(wide))
    assert told(model, "half") == (2, 4) and told(model, "wide") == (2, 8)  # 4 and 2 x 2 more
    shifted = keras.Model(image, layers.Conv2D(2, 3)(keras.ops.roll(narrow, 1, axis=1)))
    assert "kseg does not know what a Roll reads" in describe(shifted)
