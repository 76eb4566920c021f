import gc
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg import device
from kseg.errors import ConfigError, DataError, ExportError, SizeError, WeightsError
from kseg.inference import precision_of, predict, predict_scores, predictor
from kseg.inference.input_images import depth_warning
from kseg.layers import InputScaling, SizeCheck

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
        (np.zeros((5, 7, 6)), "found one array. Give this network a dict of rgb, hha"),
        ({"rgb": np.zeros((5, 7, 3))}, "found rgb. Give this network a dict of rgb, hha"),
        ({"rgb": np.zeros((5, 7, 3)), "hha": np.zeros((5, 8, 3))}, "Give streams of one size"),
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


@pytest.fixture(scope="module")
def grey():
    return predictor(kseg.build("unet", depth=1, width=2))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("a.png", "image: a path, not an array.*kseg.images.read_image\\('a.png'\\)"),
        (Path("a.png"), "image: a path"),
        (None, r"image: an array of shape \(\). Give an array \(H, W\) or \(H, W, C\)"),
        (np.zeros(5), r"image: an array of shape \(5,\)"),
        (np.zeros((2, 8, 8, 1)), "Give one image at a time"),
        (np.zeros((0, 8)), r"image: an array of shape \(0, 8\)"),
        ([[1, 2], [3]], "image: .*inhomogeneous"),
        (np.array([["a"]]), "image: values of type <U1"),
        (np.array([[None]]), "image: values of type object"),
        (np.zeros((8, 8), complex), "image: values of type complex128"),
        (np.array([[0, np.nan, np.inf, 1]]), "image: 50.0% of its values are NaN or infinite"),
        (np.zeros((8, 8, 2)), "image: 2 channels, but the network takes 1"),
    ],
)
def test_what_is_no_image_is_refused_with_what_it_is(grey, image, words):
    with pytest.raises(DataError, match=words):
        predict(grey, image)


def test_what_is_no_dict_of_images_is_refused(two_streams):
    for image in ("a.png", np.zeros((8, 8, 3)), {}):
        with pytest.raises(DataError, match="image: found .*Give this network a dict of rgb, hha"):
            predict(two_streams, image)
    with pytest.raises(DataError, match="image hha: a path"):
        predict(two_streams, {"rgb": np.zeros((8, 8, 3)), "hha": "a.png"})


def bright(level, kind):
    return np.full((8, 8), level, kind)


@pytest.mark.parametrize(
    ("white", "image", "words"),
    [
        (255, bright(40000, np.uint16), "its brightest pixel is 40000, but white is 255 to this network"),
        (255, bright(0.9, np.float32), "its brightest pixel is 0.9, but white is 255"),
        (1, bright(200, np.uint8), "its brightest pixel is 200, but white is 1"),
        (65535, bright(200, np.uint8), "it has 8 bits, but white is 65535"),
        (4095, bright(200, np.uint8), "it has 8 bits, but white is 4095"),
        (255, bright(255, np.uint8), ""),
        (255, bright(400, np.uint16), ""),  # a little beyond
        (255, bright(0, np.float32), ""),  # a blank page
        (65535, bright(200, np.uint16), ""),  # a night
        (1, bright(1.5, np.float32), ""),
    ],
)
def test_images_of_another_depth_are_warned_of_once(white, image, words, capsys):
    scaling = InputScaling(scale=1 / white)
    call = predictor(kseg.build("unet", depth=1, width=2, padding="same", preprocessing=scaling))
    for _ in range(2):
        predict(call, image)
    said = capsys.readouterr().err
    assert said.count("warning: image: ") == bool(words) and words in said


@pytest.mark.parametrize(
    ("level", "kind", "white", "doubtful"),
    [
        (200, np.uint8, 510, False),  # of 8 bits where white lies beyond twice 255
        (200, np.uint8, 511, True),
        (510, np.uint16, 255, False),  # too bright is twice white
        (511, np.uint16, 255, True),
        (1.0, np.float32, 2, False),  # fractions up to 1 where white is above 2
        (1.0, np.float32, 3, True),
        (1.5, np.float32, 3, False),
    ],
)
def test_from_where_on_a_depth_is_doubted(level, kind, white, doubtful):
    assert bool(depth_warning(np.full((1, 1), level, kind), white)) == doubtful


def test_a_bundle_warns_of_images_of_another_depth_too(tmp_path, capsys):
    network = kseg.build("unet", depth=1, width=2, preprocessing=InputScaling(scale=1 / 4095))
    bundle = kseg.load(kseg.export(network, tmp_path, name="a"))
    predict(bundle, bright(200, np.uint8))
    assert "it has 8 bits, but white is 4095" in capsys.readouterr().err


def convolved(classes, *, padding="same"):
    image = keras.Input((None, None, 1))
    return keras.Model(image, keras.layers.Conv2D(classes, 3, padding=padding)(image))


def test_what_gives_no_scores_of_pixels_is_refused(tmp_path):
    two = [keras.Input((None, None, 1)), keras.Input((None, None, 1))]
    image = np.zeros((32, 32, 1), np.uint8)
    for network, words in (
        (kseg.build("vgg16", classes=3, input_shape=(32, 32, 1), **SLIM), r"gives \(3,\) for an image of"),
        (convolved(1), "gives 1 channels"),
        (convolved(2, padding="valid"), r"gives \(30, 30, 2\) for an image"),
        (keras.Model(two, keras.layers.Add()(two)), "no input, or several without names"),
    ):
        with pytest.raises(WeightsError, match=f"{words}.*scores of two or more classes for each pixel"):
            predict(network, image)
    with pytest.raises(ExportError, match="vgg16: its output is not a map"):
        kseg.export(kseg.build("vgg16", classes=3, **SLIM), tmp_path, name="a")


def test_a_network_is_traced_once_and_not_kept_alive():
    traced = []

    @keras.saving.register_keras_serializable("test")
    class Counts(keras.layers.Layer):
        def call(self, inputs):
            traced.append(inputs.shape)
            return inputs

    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same")(Counts()(image)))
    traced.clear()
    for size in (8, 8, 11):
        kseg.predict(model, np.zeros((size, size), np.uint8))
        assert traced == [(None, None, None, 1)]
    kseg.predictor(model)(np.zeros((2, 9, 9, 1), np.float32))
    assert traced == [(None, None, None, 1)]  # for class ids and for scores
    kseg.predict(model, np.zeros((8, 8), np.uint8), precision="mixed_bfloat16")
    assert len(traced) == 2  # once for each precision
    living = weakref.ref(model)
    del model, image
    gc.collect()
    assert living() is None


def test_a_predictor_keeps_its_network_and_follows_its_weights():
    call = kseg.predictor(kseg.build("unet", width=2, depth=1, padding="same"))
    gc.collect()
    image = np.full((1, 8, 8, 1), 200, np.float32)
    before = np.asarray(call(image))
    model = kseg.build("unet", width=2, depth=1, padding="same")
    kseg.predict(model, image[0])
    model.get_layer("head").bias.assign([3.0, -1.0])
    after = kseg.inference.predict_scores(model, image[0])
    np.testing.assert_array_equal(after, np.asarray(model(image, training=False))[0])
    assert before.shape == (1, 8, 8, 2)


def test_a_network_whose_layers_ask_for_the_size_is_traced_for_each():
    image = keras.Input((None, None, 1))
    x = keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(3, 3, padding="same")(image))
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(x))
    for size in ((8, 8), (12, 10), (8, 8)):
        given = np.random.default_rng(0).integers(0, 256, (*size, 1)).astype(np.uint8)
        expected = np.asarray(model(given[None].astype(np.float32), training=False))[0]
        found = kseg.inference.predict_scores(model, given)
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_predictor_says_what_it_is():
    assert repr(kseg.predictor(kseg.build("unet", width=2, depth=1))) == "<Predictor: 1 channels to 2 classes, float32>"
    network = kseg.build("fcn32s", width=1 / 64, fc_width=2, classes=3, streams=("rgb", "hha"))
    assert repr(kseg.predictor(network)) == "<Predictor: rgb 3, hha 3 channels to 3 classes, float32>"


def test_a_size_that_a_network_without_a_check_can_not_take_is_a_size_error():
    image = keras.Input((None, None, 1))
    half = keras.layers.UpSampling2D()(keras.layers.MaxPooling2D(2)(image))
    network = keras.Model(image, keras.layers.Conv2D(2, 1)(keras.layers.Concatenate()([image, half])))
    assert predict(network, np.zeros((4, 6), np.uint8)).shape == (4, 6)
    with pytest.raises(
        SizeError,
        match=r"does not take 4 x 5 pixels \(ConcatOp : Dimension 2 in both .*SizeCheck\(STRIDE, smallest=STRIDE\)",
    ):
        predict(network, np.zeros((4, 5), np.uint8))
    checked = keras.Model(image, network(SizeCheck(2, smallest=2)(image)))
    assert predict(checked, np.zeros((4, 5))).shape == (4, 5)
    assert predict(keras.Model(image, checked(keras.layers.Rescaling(0.5)(image))), np.zeros((4, 5))).shape == (4, 5)


def test_a_layer_that_refuses_a_size_while_it_is_traced_is_told_without_its_stack():
    image = keras.Input((None, None, 1))
    half = keras.layers.UpSampling2D(interpolation="bilinear")(keras.layers.MaxPooling2D(2)(image))
    network = keras.Model(image, keras.layers.Conv2D(2, 1)(keras.layers.Concatenate()([image, half])))
    with pytest.raises(SizeError, match=r"does not take 7 x 7 pixels \(Dimension 1 in both shapes must be equal"):
        predict(network, np.zeros((7, 7), np.uint8))


def test_what_is_no_network_is_refused_with_how_to_load_it():
    with pytest.raises(ConfigError, match=r"found 'demo1', which is no network. Load it first: kseg.load\('demo1'\)"):
        predict("demo1", np.zeros((4, 4)))
    with pytest.raises(ConfigError, match="found 3, which is no network. Give a keras.Model or a kseg.predictor.$"):
        predict(3, np.zeros((4, 4)))


def test_a_setting_of_tensorflow_that_slows_this_processor_is_named_once(monkeypatch, capsys):
    model = kseg.build("unet", width=1, depth=1)
    monkeypatch.setattr(device, "_flags", lambda: "avx2 avx_vnni")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")  # the user's own wish
    predictor(model)
    assert not capsys.readouterr().err
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    predictor(model)
    predictor(model)
    assert capsys.readouterr().err.count("export TF_ENABLE_ONEDNN_OPTS=0 before Python starts") == 1
    monkeypatch.setattr(device, "_flags", lambda: "avx2")
    predictor(model)
    assert not capsys.readouterr().err
