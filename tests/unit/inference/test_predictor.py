import keras
import numpy as np
import pytest

import kseg
from kseg.errors import DataError
from kseg.inference import precision_of, predict, predict_scores, predictor

SLIM = {"width": 1 / 64, "fc_width": 2}


class Counting(keras.layers.Layer):
    """Counts how often Python runs it."""

    calls = 0

    def call(self, inputs):
        Counting.calls += 1
        return inputs


def test_a_predictor_is_traced_once_whatever_the_sizes():
    image = keras.Input((None, None, 1))
    network = keras.Model(image, keras.layers.Conv2D(2, 1)(Counting()(image)))
    before, call = Counting.calls, predictor(network)
    for size in ((1, 4, 5, 1), (2, 4, 5, 1), (1, 9, 3, 1), (1, 4, 5, 1)):
        assert call(np.zeros(size, np.uint8)).shape == (*size[:3], 2)
    assert Counting.calls == before + 1


@pytest.fixture(scope="module")
def two_streams():
    network = kseg.build("fcn32s", classes=3, streams=("rgb", "hha"), **SLIM)
    for suffix in ("color", "hha"):
        layer = network.get_layer(f"score_fr{suffix}")
        layer.bias.assign([1.0, 2.0, 4.0] if suffix == "hha" else [0.0, 0.0, 2.0])
    return network


def test_several_streams_come_as_a_dict_and_are_averaged(two_streams):
    image = {name: np.zeros((90, 100, 3), np.uint8) for name in ("hha", "rgb")}
    scores = predict_scores(two_streams, image)
    # Between cells the weights of a bilinear kernel sum to 1.
    np.testing.assert_allclose(scores[45, 50], [0.5, 1.0, 3.0], rtol=1e-6)
    assert (predict(two_streams, image) == 2).all()
    batch = {name: part[None] for name, part in image.items()}
    np.testing.assert_array_equal(predictor(two_streams)(batch)[0], scores)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((5, 7, 6)), "a dict of rgb, hha; found one array"),
        ({"rgb": np.zeros((5, 7, 3))}, "a dict of rgb, hha; found rgb"),
        ({"rgb": np.zeros((5, 7, 3)), "hha": np.zeros((5, 8, 3))}, "All streams are of one size"),
        ({"rgb": np.zeros((5, 7, 3)), "hha": np.zeros((5, 7, 1))}, "with channels: rgb 3, hha 3"),
    ],
)
def test_streams_that_do_not_fit_are_named(two_streams, image, message):
    with pytest.raises(DataError, match=message):
        predict(two_streams, image)


@pytest.mark.parametrize("average", ["none", "symmetries"])
def test_several_heads_give_a_dict(average):
    network = kseg.build("fcn32s", classes={"semantic": 4, "geometric": 3}, **SLIM)
    network.get_layer("score_fr_sem").bias.assign([0.0, 0.0, 0.0, 1.0])
    network.get_layer("score_fr_geo").bias.assign([0.0, 1.0, 0.0])
    found = predict(network, np.zeros((6, 6, 3), np.uint8), average=average)
    assert {head: np.unique(ids).tolist() for head, ids in found.items()} == {"semantic": [3], "geometric": [1]}
    assert found["semantic"].dtype == np.uint8 and found["semantic"].shape == (6, 6)


def test_the_precision_is_that_of_the_convolutions():
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        half = kseg.build("fcn32s", **SLIM)
    finally:
        keras.config.set_dtype_policy("float32")
    assert precision_of(half) == "mixed_bfloat16" and precision_of(kseg.build("fcn32s", **SLIM)) == "float32"
