import keras
import numpy as np
import pytest
from vgg16_files import arrays, fresh, images, keras_vgg16, randomise

import kseg
from kseg.errors import WeightsError
from kseg.layers import SCALINGS, InputScaling, ScaleInput
from kseg.weights import transplant


def randomised(name: str = "vgg16", seed: int = 0, **options) -> keras.Model:
    model = fresh(name, **options)
    randomise(model, seed)
    return model


def test_the_convolutionised_classifier_at_224_equals_the_classifier():
    classifier, target = randomised(), fresh(convolutional=True)
    report = transplant(classifier, target)
    assert report.reshaped == ["fc6", "fc7", "fc8"] and not (report.initial or report.refused or report.unused)
    np.testing.assert_allclose(target(images(2))[:, 0, 0], classifier(images(2)), rtol=1e-5, atol=1e-5)
    back = fresh()
    transplant(target, back)
    np.testing.assert_array_equal(back(images()), classifier(images()))


def test_alexnet_and_googlenet_do_so_too():
    for name, size in (("alexnet", 227), ("googlenet", 224)):
        options = {"width": 1 / 16, "classes": 5} | ({"fc_width": 8} if name == "alexnet" else {})
        classifier = kseg.build(name, **options)
        randomise(classifier)
        target = kseg.build(name, convolutional=True, **options)
        assert not transplant(classifier, target).refused
        scores = target(images(size=size)).numpy().reshape(-1, 5)
        np.testing.assert_allclose(scores[0], classifier(images(size=size))[0], rtol=1e-4, atol=1e-4)


def test_keras_applications_own_network_is_a_source():
    theirs, target = keras_vgg16(), fresh(convolutional=True)
    report = transplant(theirs, target)
    assert len(report.filled) == 16 and len(report.reshaped) == 3
    expected = theirs(keras.applications.vgg16.preprocess_input(images()))
    np.testing.assert_allclose(target(images())[:, 0, 0], expected, rtol=1e-4, atol=1e-4)
    nested = keras.Sequential([keras.Input((224, 224, 3)), keras.Model(theirs.input, theirs.output)])
    assert len(transplant(nested, fresh()).filled) == 16


@pytest.mark.slow
def test_keras_applications_vgg16_itself_at_its_true_width():
    theirs = keras.applications.VGG16(weights=None, classifier_activation=None)
    randomise(theirs)
    target = kseg.build("vgg16", convolutional=True)
    assert len(transplant(theirs, target).filled) == 16
    expected = theirs(keras.applications.vgg16.preprocess_input(images())).numpy()
    np.testing.assert_allclose(target(images())[:, 0, 0], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("upsampling", ["fixed", "learned"])
def test_32s_becomes_16s_becomes_8s_with_new_scores_at_zero(upsampling):
    first = randomised("fcn32s", upsampling="fixed")
    second, third = fresh("fcn16s", upsampling=upsampling), fresh("fcn8s", upsampling=upsampling)
    report = transplant(first, second)
    assert "score_pool4" in report.initial and "score_fr" in report.filled and not report.refused
    report = transplant(second, third)
    assert "score_pool3" in report.initial and {"score_fr", "score_pool4"} <= set(report.filled) and not report.refused
    assert not np.any(arrays(third)["score_pool3"][0]) and not np.any(arrays(third)["score_pool4"][0])
    image = images(size=96)
    one, two, three = (model(image).numpy() for model in (first, second, third))
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.98  # up-sampled in two steps and in three
    np.testing.assert_allclose(two, three, atol=0.1 * np.abs(two).max())


def test_another_number_of_classes_is_reported_and_left(tmp_path):
    source, target = randomised("fcn32s", classes=21), fresh("fcn32s", classes=4)
    source.save(tmp_path / "model.keras")
    for origin in (tmp_path / "model.keras", tmp_path):
        report = transplant(origin, target)
        assert list(report.refused) == ["score_fr"] and "21" in report.refused["score_fr"]
        assert "refused   score_fr: " in str(report)
    assert not np.any(arrays(target)["score_fr"][0])


def test_a_classifier_starts_both_streams_and_early_fusion():
    classifier = randomised()
    late = fresh("fcn32s", classes=4, streams=("rgb", "hha"))
    assert len(transplant(classifier, late).filled) == 30
    np.testing.assert_array_equal(arrays(late)["conv5_3hha"][0], arrays(classifier)["conv5_3"][0])
    early = fresh("fcn32s-rgbd", classes=4)
    report = transplant(classifier, early)
    assert len(report.filled) == 15 and report.unused == ["fc8"]
    kernel, bias = arrays(classifier)["conv1_1"]
    np.testing.assert_array_equal(arrays(early)["conv1_1_bgrd"][0][:, :, :3], kernel)
    np.testing.assert_allclose(arrays(early)["conv1_1_bgrd"][0][:, :, 3], kernel.mean(2), rtol=1e-6)
    np.testing.assert_array_equal(arrays(early)["conv1_1_bgrd"][1], bias)


def test_two_trained_networks_become_the_streams_of_one():
    rgb, hha = randomised("fcn32s", 1, classes=4), randomised("fcn32s", 2, classes=4)
    late = fresh("fcn32s", classes=4, streams=("rgb", "hha"))
    assert not transplant({"rgb": rgb, "hha": hha}, late).initial
    np.testing.assert_array_equal(arrays(late)["score_frcolor"][0], arrays(rgb)["score_fr"][0])
    np.testing.assert_array_equal(arrays(late)["score_frhha"][0], arrays(hha)["score_fr"][0])


def test_normalisations_are_copied_as_they_are():
    options = {"width": 2, "depth": 1, "padding": "same", "normalization": "batch"}
    source, target = kseg.build("unet", **options), kseg.build("unet", **options)
    randomise(source)
    assert not transplant(source, target).initial
    for one, other in zip(source.get_weights(), target.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_input_scaling_is_pointed_out():
    report = transplant(randomised(preprocessing="unit"), fresh())
    assert "The input differs" in report.notes[0] and "order='bgr'" in report.notes[0]
    assert not transplant(randomised(preprocessing="voc"), fresh()).notes
    assert any(isinstance(layer, ScaleInput) for layer in fresh().layers)


@pytest.mark.parametrize("other", [InputScaling("rgb", (122.7, 116.7, 104.0)), InputScaling("bgr", scale=1 / 255)])
def test_another_order_of_the_channels_or_another_scale_alone_is_pointed_out(other):
    (note,) = transplant(randomised(preprocessing=other), fresh(preprocessing="voc")).notes
    assert f"the weights were trained with {other}, the network has {SCALINGS['voc']}" in note
    assert not transplant(randomised(preprocessing=other), fresh(preprocessing=other)).notes


def test_a_source_with_nothing_in_common_or_none_at_all_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="unet: no layer of vgg16 was filled"):
        transplant(kseg.build("unet", width=2, depth=1), fresh())
    with pytest.raises(WeightsError, match="a.keras: no network here"):
        transplant(tmp_path / "a.keras", fresh())
    (tmp_path / "a.keras").write_text("hello")
    with pytest.raises(WeightsError, match=r"a\.keras: this file can't be loaded"):
        transplant(tmp_path / "a.keras", fresh())
