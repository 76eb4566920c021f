import dataclasses

import numpy as np
import pytest

import kseg
from kseg.errors import DataError, SizeError
from kseg.inference import predict, predict_scores, predictor, probabilities
from kseg.inference.prediction import class_ids
from kseg.layers import ScoreReading

# Whole and tiled take the same sums, but of maps of other sizes, which libraries may order otherwise: float32 rounding
# through at most 23 layers of scores about 1.
ROUNDING = 2e-5


@pytest.fixture(scope="module")
def valid():
    return predictor(kseg.build("unet", depth=2, width=3, preprocessing=None))


@pytest.fixture(scope="module")
def same():
    return predictor(kseg.build("unet", depth=2, width=3, padding="same", normalization="batch", preprocessing=None))


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2), (37, 61), (64, 64), (90, 33)])
@pytest.mark.parametrize("tile", [48, 60, 76])
def test_tiles_of_a_valid_network_give_the_numbers_of_one_pass(valid, size, tile):
    image = np.random.default_rng(0).random(size).astype(np.float32)
    np.testing.assert_allclose(
        predict_scores(valid, image, tile=tile), predict_scores(valid, image), rtol=0, atol=ROUNDING
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (37, 161), (128, 128)])
@pytest.mark.parametrize("tile", [64, 72, 100])
def test_tiles_of_a_same_network_give_the_numbers_of_one_pass(same, size, tile):
    image = np.random.default_rng(0).random(size).astype(np.float32)
    np.testing.assert_allclose(
        predict_scores(same, image, tile=tile), predict_scores(same, image), rtol=0, atol=ROUNDING
    )


def test_one_pass_is_the_network_on_the_mirrored_image(valid):
    image = np.random.default_rng(0).random((28, 32, 1)).astype(np.float32)
    padded = np.pad(image, ((20, 20), (20, 20), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(predict_scores(valid, image), valid(padded[None])[0])


def test_a_predictor_answers_in_the_networks_own_shape():
    network = kseg.build("unet", depth=1, width=2, classes=3)
    images = np.random.default_rng(0).integers(0, 255, (2, 20, 24, 1)).astype(np.uint8)
    scores = kseg.predictor(network)(images)
    assert scores.shape == (2, 4, 8, 3) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, network(images), atol=1e-6)


def test_ids_are_the_largest_scores_and_probabilities_add_up(valid):
    image = np.random.default_rng(1).random((30, 30)).astype(np.float32)
    scores = predict_scores(valid, image)
    ids = predict(valid, image)
    assert ids.dtype == np.uint8 and (ids == scores.argmax(-1)).all()
    shares = probabilities(scores)
    np.testing.assert_allclose(shares.sum(-1), 1, rtol=1e-6)
    assert (shares.argmax(-1) == ids).all()


def test_a_tile_that_does_not_fit_is_refused_with_those_that_do(valid, same):
    with pytest.raises(SizeError, match="tile: height 50 does not fit.*Take 48 or 52"):
        predict(valid, np.zeros((200, 200)), tile=50)
    with pytest.raises(SizeError, match="leaves nothing once its margins are cut off. Take 60 or more"):
        predict(same, np.zeros((200, 200)), tile=56)


def test_group_normalisation_refuses_tiles_with_the_reason():
    network = kseg.build("unet", depth=1, width=2, padding="same", normalization="group")
    with pytest.raises(SizeError, match="its mean over the whole image"):
        predict(network, np.zeros((80, 80)), tile=32)
    assert predict(network, np.zeros((81, 80))).shape == (81, 80)


def test_grey_and_colour_meet_where_that_is_plain(valid):
    grey = np.random.default_rng(0).random((30, 30, 1)).astype(np.float32)
    np.testing.assert_array_equal(predict(valid, np.repeat(grey, 3, axis=2)), predict(valid, grey))
    with pytest.raises(DataError, match="image: a colour image, but the network takes one grey channel"):
        predict(valid, np.random.default_rng(0).random((30, 30, 3)))


def test_a_large_image_is_given_to_the_network_in_tiles_of_the_usual_size():
    network = kseg.build("unet", depth=1, width=1, padding="same", preprocessing=None)
    whole = predictor(network)
    sizes = []

    def noted(images):
        sizes.append(images.shape[1:3])
        return whole.call(images)

    image = np.zeros((1190, 1190), np.float32)  # 1.42 megapixels
    predict(dataclasses.replace(whole, call=noted, ids_call=None), image)
    usual = whole.geometry.usual_tile()
    assert len(sizes) == 4 and max(max(size) for size in sizes) <= usual == 1024
    sizes.clear()
    predict(dataclasses.replace(whole, call=noted, ids_call=None), image[:1170, :1190])  # 1.39
    assert sizes == [(1170, 1190)]


@pytest.mark.parametrize("average", ["none", "mirror", "rotations"])
def test_tiles_are_as_large_as_asked_for_under_an_average_too(average):
    whole, sizes = predictor(kseg.build("unet", depth=1, width=1, padding="same", preprocessing=None)), set()

    def noted(images):
        sizes.update(images.shape[1:3])
        return whole.call(images)

    predict(
        dataclasses.replace(whole, call=noted, ids_call=None), np.zeros((70, 90), np.float32), tile=32, average=average
    )
    assert max(sizes) == 32


def test_beyond_256_classes_ids_take_two_bytes():
    scores = np.zeros((1, 3, 300), np.float32)
    scores[0, :, 299] = 1
    assert class_ids(scores, ScoreReading()).tolist() == [[299, 299, 299]]
    assert class_ids(scores[..., :256], ScoreReading()).dtype == np.uint8


def test_probabilities_of_large_scores_are_numbers():
    assert probabilities(np.array([1000.0, 1000.0, -1000.0], np.float32)).tolist() == [0.5, 0.5, 0.0]
