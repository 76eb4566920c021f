"""Which layers are computed in parts, and how much of the work that leaves out."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kseg
from kseg.models.quick import call_quickly
from kseg.models.quick.call import _readers
from kseg.models.quick.padded_trunk import padded_trunks


def trunks_of(network):
    return padded_trunks(network, _readers(network))


def test_fcns_trunk_is_found_up_to_the_fourth_pooling():
    (trunk,) = trunks_of(kseg.build("fcn8s", width=1 / 64, fc_width=2))
    assert [level.pool.name for level in trunk.levels] == ["pool1", "pool2", "pool3", "pool4"]
    assert trunk.blank == 112 and trunk.read == {"pool3", "pool4"}
    assert [len(level.convolutions) for level in trunk.levels] == [2, 2, 3, 3]


def test_each_stream_has_a_trunk_of_its_own():
    found = trunks_of(kseg.build("fcn32s", streams=("rgb", "hha"), width=1 / 64, fc_width=2))
    assert [trunk.read for trunk in found] == [{"pool4color"}, {"pool4hha"}]


@pytest.mark.parametrize("options", [{"backbone": "alexnet"}, {"padding": "same"}])
def test_other_trunks_are_called_as_they_are(options):
    assert trunks_of(kseg.build("fcn32s", width=1 / 64, fc_width=2, **options)) == []


def multiplications(function, side):
    """Those of a graph's convolutions."""
    signature = [tf.TensorSpec((1, side, side, 3))]
    graph = tf.function(function, input_signature=signature, autograph=False).get_concrete_function().graph
    convolutions = [operation for operation in graph.get_operations() if operation.type == "Conv2D"]
    assert len(convolutions) > 13
    return sum(
        int(np.prod(operation.outputs[0].shape)) * int(np.prod(operation.inputs[1].shape[:3]))
        for operation in convolutions
    )


def test_three_tenths_of_the_convolutions_are_left_out_at_500_pixels():
    network = kseg.build("fcn8s", width=1 / 4, fc_width=2)
    whole, quick = multiplications(network, 500), multiplications(lambda images: call_quickly(network, images), 500)
    # Counted: of all convolutions but fc6 and fc7, which are slim here, less the map of zeros.
    assert 1 - quick / whole == pytest.approx(0.2955, abs=0.0005)


def test_a_padding_too_small_for_a_level_ends_the_trunk_before_it():
    image = keras.Input((None, None, 1))
    x = layers.ZeroPadding2D(6)(image)
    for _ in range(4):
        x = layers.Conv2D(2, 3, padding="same")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    (trunk,) = trunks_of(keras.Model(image, x))
    assert 0 < len(trunk.levels) < 4
