"""Networks that are found in Caffe's files by their layers."""

import itertools

import keras
import numpy as np
import pytest
from caffe_writer import network, weights_of

import kseg
from kseg.errors import WeightsError
from kseg.layers import SCALINGS, ScaleInput
from kseg.weights import import_caffemodel, load_caffemodel

SLIM = {"width": 1 / 64, "fc_width": 3}
TWO_HEADS, STREAMS = {"semantic": 5, "geometric": 3}, ("rgb", "hha")
NETWORKS = {
    "vgg16": ("vgg16", {"classes": 7, **SLIM}),
    "vgg16, convolutional": ("vgg16", {"classes": 7, "convolutional": True, **SLIM}),
    "vgg16, without top": ("vgg16", {"include_top": False, "width": 1 / 32}),
    "alexnet": ("alexnet", {"classes": 7, "width": 1 / 48, "fc_width": 3}),
    "googlenet": ("googlenet", {"classes": 7, "width": 1 / 16}),
    "fcn32s on googlenet": ("fcn32s", {"backbone": "googlenet", "classes": 2, "width": 1 / 16}),
    "fcn32s on alexnet": ("fcn32s", {"backbone": "alexnet", "classes": 2, "width": 1 / 48, "fc_width": 3}),
    "pascal-context": ("fcn16s", {"classes": 60, **SLIM}),
    "late fusion": ("fcn32s", {"classes": 40, "streams": STREAMS, **SLIM}),
    "late fusion at 8s": ("fcn8s", {"classes": 2, "streams": STREAMS, **SLIM}),
    "two heads at 32s": ("fcn32s", {"classes": TWO_HEADS, **SLIM}),
    "two heads at 16s": ("fcn16s", {"classes": TWO_HEADS, "upsampling": "learned", **SLIM}),
    "depth": ("fcn32s-rgbd", {"classes": 2, **SLIM}),
    "at once": ("fcn8s-atonce", {"classes": 2, **SLIM}),
    "one channel": ("alexnet", {"classes": 7, "input_shape": (227, 227, 1), "preprocessing": None, "width": 1 / 48}),
    "five channels": ("fcn32s", {"classes": 2, "input_shape": (None, None, 5), "preprocessing": None, **SLIM}),
    "unet": ("unet", {"variant": "phseg_v5", "width": 3, "depth": 2, "classes": 3}),
}
# The U-Net authors' names for two levels.
UNET = {
    "enc0_conv1": "conv_d0a-b",
    "enc0_conv2": "conv_d0b-c",
    "enc1_conv1": "conv_d1a-b",
    "enc1_conv2": "conv_d1b-c",
    "enc2_conv1": "conv_d2a-b",
    "enc2_conv2": "conv_d2b-c",
    "up1_upconv": "upconv_d2c_u1a",
    "dec1_conv1": "conv_u1b-c",
    "dec1_conv2": "conv_u1c-d",
    "up0_upconv": "upconv_u1d_u0a",
    "dec0_conv1": "conv_u0b-c",
    "dec0_conv2": "conv_u0c-d",
    "head": "conv_u0d-score",
}


def built(name, options) -> keras.Model:
    """A network with random weights."""
    model = kseg.build(name, **options)
    rng = np.random.default_rng(0)
    model.set_weights([rng.standard_normal(variable.shape, np.float32) for variable in model.weights])
    return model


def written(path, layers, *form):
    path.write_bytes(b"".join(network(dict(layers), *form)))
    return path


def as_caffe(model):
    """Its weights by Caffe's names."""
    for name, arrays in weights_of(model):
        name = name.replace(".", "/") if model.name in ("googlenet", "fcn32s") else name
        yield UNET.get(name, name), arrays


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.caffemodel"


@pytest.mark.parametrize(("case", "version"), list(zip(NETWORKS, itertools.cycle(["V2", "V1", "V0"]), strict=False)))
def test_an_imported_network_is_the_one_that_was_written(path, case, version):
    name, options = NETWORKS[case]
    model = built(name, options)
    given = {"preprocessing": None} if options.get("preprocessing", "") is None else {}
    found = import_caffemodel(written(path, as_caffe(model), version), **given)
    assert found.name == name and len(found.layers) == len(model.layers)
    for ours, theirs in zip(found.layers, model.layers, strict=True):
        changes = {key for key, value in theirs.get_config().items() if ours.get_config().get(key) != value}
        assert not changes - {"kernel_initializer"} or isinstance(ours, ScaleInput), (ours.name, changes)
    for ours, theirs in zip(found.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


@pytest.mark.parametrize(
    ("classes", "scaling"), [(21, "voc"), (60, "context"), ({"semantic": 33, "geometric": 3}, "siftflow")]
)
def test_the_means_are_those_of_the_task(path, classes, scaling):
    model = built("fcn32s", {"classes": classes, **SLIM})
    found = import_caffemodel(written(path, as_caffe(model)))
    assert found.get_layer("scaling").scaling == SCALINGS[scaling]


def test_a_network_of_nyudv2_needs_its_means_said(path):
    written(path, as_caffe(built("fcn32s", {"classes": 40, **SLIM})))
    advice = "preprocessing='nyud-rgb' or preprocessing='nyud-hha', or preprocessing=None"
    with pytest.raises(WeightsError, match=f"^{path}: 40 classes.*{advice}"):
        import_caffemodel(path)
    found = import_caffemodel(path, preprocessing="nyud-hha")
    assert found.get_layer("scaling").scaling == SCALINGS["nyud-hha"]
    assert not any(isinstance(layer, ScaleInput) for layer in import_caffemodel(path, preprocessing=None).layers)


def test_names_of_before_the_release_are_understood(path):
    model = built("fcn8s", {"classes": 3, "upsampling": "learned", **SLIM})
    early = {"upscore2": "score2", "upscore_pool4": "score4", "upscore8": "upsample"}
    layers = {early.get(name, name.replace("score_", "score-")): arrays for name, arrays in weights_of(model)}
    for name in early.values():
        layers[name].append(np.zeros(3, np.float32))  # their up-samplings had a bias
    found = import_caffemodel(written(path, layers.items()))
    for ours, theirs in zip(found.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    written(path, {"score59": [np.ones((60, 3, 1, 1)), np.ones(60)]}.items())
    assert load_caffemodel(kseg.build("fcn32s", classes=60, **SLIM), path).filled == ["score_fr"]


def test_the_auxiliary_classifiers_of_googlenet_are_left_out(path):
    layers = dict(as_caffe(built("googlenet", {"classes": 7, "width": 1 / 16})))
    layers["loss1/classifier"] = [np.ones((7, 2), np.float32)]
    assert import_caffemodel(written(path, layers.items())).name == "googlenet"


def test_bvlc_alexnet_is_not_taken_for_caffenet(path):
    layers = list(as_caffe(built("alexnet", {"classes": 7, "width": 1 / 48, "fc_width": 3})))
    written(path, [*layers, ("norm1", []), ("pool1", [])])
    with pytest.raises(WeightsError, match="normalises before it pools"):
        import_caffemodel(path)
    written(path, [*layers, ("pool1", []), ("norm1", [])])
    assert import_caffemodel(path).name == "alexnet"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"conv5_2": None}, "initial   1 layer: conv5_2"),
        ({"conv5_2": [np.ones((8, 8, 5, 5)), np.ones(8)]}, r"refused   conv5_2: a kernel of \(8, 8, 5, 5\)"),
        ({"conv6_1": [np.ones((8, 8, 3, 3)), np.ones(8)]}, "unused    1 layer: conv6_1"),
        ({"score_fr": None}, "a trunk alone: it has fc6, but neither fc8 nor score_fr"),
        ({"conv1_1": [np.ones((1, 3, 7, 7)), np.ones(1)]}, r"conv1_1 is \(1, 3, 7, 7\), not a kernel"),
        ({"conv1_1": None}, "none of kseg's networks has these layers: conv1_2"),
        # 4 numbers that would have a network of 15 billion built
        ({"conv1_1": [np.ones((2048, 1, 3, 3)), np.ones(1)]}, "looks like fcn32s of"),
        ({"fc6": None}, "looks like fcn32s of"),
        ({"fc6": None, "score_fr": None, "fc8": [np.ones((2, 3, 1, 1)), np.ones(2)]}, "looks like vgg16 of"),
        ({"fc6": [np.ones((60_000, 1)), np.ones(1)]}, "looks like fcn32s of"),
        (
            {"score_fr": [np.ones((60_000, 1)), np.ones(1)], "upscore": [np.ones((2, 2, 64, 64))]},
            "looks like fcn32s of",
        ),
        ({"score_fr": [np.ones((70_000, 1)), np.ones(1)]}, "classes is 70000, but must be"),
    ],
)
def test_a_file_that_does_not_fill_its_network_is_refused(path, change, found):
    layers = dict(as_caffe(built("fcn32s", {"classes": 2, **SLIM}))) | change
    written(path, [(name, arrays) for name, arrays in layers.items() if arrays is not None])
    with pytest.raises(WeightsError, match=rf"(?s)^{path}: .*{found}"):
        import_caffemodel(path)


def test_scores_of_another_number_of_classes_keep_their_initial_value(path):
    written(path, as_caffe(built("fcn8s", {"classes": 21, **SLIM})))
    model = kseg.build("fcn8s", classes=5, **SLIM)
    report = load_caffemodel(model, path)
    assert report.refused == dict.fromkeys(
        ["score_fr", "score_pool4", "score_pool3"], "21 outputs in the file, 5 in the network"
    )
    assert not report.initial and not report.unused
    assert not model.get_layer("score_fr").get_weights()[0].any()


def test_a_file_that_fits_no_layer_is_refused(path):
    written(path, as_caffe(built("fcn32s", {"classes": 2, **SLIM})))
    with pytest.raises(WeightsError, match="no layer of googlenet was filled"):
        load_caffemodel(kseg.build("googlenet", classes=2, width=1 / 16), path)


def test_the_network_can_be_named(path):
    written(path, as_caffe(built("fcn8s-atonce", {"classes": 2, **SLIM})))
    with pytest.raises(WeightsError, match="unused    2 layers: scale_pool4, scale_pool3"):
        import_caffemodel(path, network="fcn8s")


def test_a_classifiers_file_starts_both_streams_and_early_fusion(path):
    classifier = built("vgg16", {"classes": 7, "convolutional": True, **SLIM})
    path.write_bytes(b"".join(network(dict(weights_of(classifier)))))
    kernel = np.asarray(classifier.get_layer("conv1_1").kernel)
    fused = kseg.build("fcn32s", classes=2, streams=STREAMS, **SLIM)
    assert set(load_caffemodel(fused, path).initial) == {"score_frcolor", "score_frhha"}
    for stream in ("color", "hha"):
        np.testing.assert_array_equal(fused.get_layer(f"conv1_1{stream}").kernel, kernel)
    early = kseg.build("fcn32s-rgbd", classes=2, **SLIM)
    load_caffemodel(early, path)
    depth = np.asarray(early.get_layer("conv1_1_bgrd").kernel)[:, :, 3]
    np.testing.assert_allclose(depth, kernel.mean(axis=2), rtol=0, atol=1e-6)
