import numpy as np
import pytest
from vgg16_files import NAMES, SLIM, arrays, as_torch, fresh, images, keras_vgg16, randomise, write_keras, write_torch

import kseg
from kseg.errors import ConfigError, EnvironmentFailure, WeightsError
from kseg.weights import import_weights, initial_weights, load_weights
from kseg.weights.files import kind_of
from kseg.weights.sources import path_in_cache


@pytest.fixture
def classifier_files(tmp_path):
    """One classifier in two forms."""
    model = keras_vgg16()
    write_keras(tmp_path / "vgg.h5", model)
    write_torch(tmp_path / "vgg.pth", as_torch(model, NAMES["torchvision"]))
    return tmp_path


def pytorch_fcn(path, network: str, classes: int = 3):
    """A slim network of pytorch-fcn: its file, and the same in Keras."""
    model = fresh(network, classes=classes, upsampling="learned")
    randomise(model)
    state = {}
    for name, (kernel, *bias) in arrays(model).items():
        state |= {f"{name}.weight": kernel.transpose(3, 2, 0, 1), **{f"{name}.bias": array for array in bias}}
    return write_torch(path, state), model


def test_kinds_are_told_by_content_not_by_name(classifier_files, tmp_path):
    fresh().save(tmp_path / "model.keras")
    for name, kind in (("vgg.h5", "keras_applications"), ("vgg.pth", "torchvision"), ("model.keras", "keras")):
        other = (tmp_path / name).rename(tmp_path / f"{name}.bin")
        assert kind_of(other) == kind
    (tmp_path / "model.keras.bin").rename(tmp_path / "model.keras")
    assert kind_of(tmp_path) == "keras"
    (tmp_path / "a.caffemodel").write_bytes(b"\x0a\x01a")
    assert kind_of(tmp_path / "a.caffemodel") == "caffemodel"
    (tmp_path / "broken.pth").write_bytes((tmp_path / "vgg.pth.bin").read_bytes()[:100])
    with pytest.raises(WeightsError, match=r"broken\.pth: broken zip archive"):
        kind_of(tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match="no such file"):
        kind_of(tmp_path / "nothing")


@pytest.mark.parametrize("file", ["vgg.h5", "vgg.pth"])
def test_a_classifier_is_imported_with_widths_and_classes_from_its_shapes(classifier_files, file):
    model = import_weights(classifier_files / file)
    assert model.name == "vgg16" and model.output_shape == (None, 7)
    expected = fresh()
    load_weights(expected, classifier_files / file)
    np.testing.assert_array_equal(model(images()), expected(images()))


def test_a_named_network_takes_what_fits(classifier_files):
    model = import_weights(classifier_files / "vgg.h5", network="fcn8s", preprocessing="context")
    assert model.name == "fcn8s" and model.output_shape[-1] == 21
    np.testing.assert_array_equal(
        arrays(model)["fc7"][0][0, 0], arrays(load_into_classifier(classifier_files / "vgg.h5"))["fc7"][0]
    )


def load_into_classifier(path):
    model = fresh()
    load_weights(model, path)
    return model


@pytest.mark.parametrize("network", ["fcn32s", "fcn16s"])
def test_pytorch_fcns_networks_are_imported_with_all_they_compute(tmp_path, network):
    path, expected = pytorch_fcn(tmp_path / "a.pth", network)
    model = import_weights(path)
    assert model.name == network
    np.testing.assert_allclose(model(images(size=50)), expected(images(size=50)), rtol=1e-5, atol=1e-5)


def test_fcn8s_and_its_at_once_form_are_asked_for(tmp_path):
    path, expected = pytorch_fcn(tmp_path / "a.pth", "fcn8s")
    with pytest.raises(WeightsError, match=r"a\.pth: .*network='fcn8s' or network='fcn8s-atonce'"):
        import_weights(path)
    np.testing.assert_allclose(
        import_weights(path, network="fcn8s")(images(size=50)), expected(images(size=50)), rtol=1e-5, atol=1e-5
    )
    assert "scale_pool4" in arrays(import_weights(path, network="fcn8s-atonce"))


def test_what_does_not_fill_its_network_is_refused(tmp_path):
    state = as_torch(keras_vgg16(), NAMES["torchvision"])
    state |= {name: array * np.nan for name, array in state.items() if name.startswith("classifier")}
    with pytest.raises(WeightsError, match="(?s)looks like vgg16, but does not fill it.*convolutions alone"):
        import_weights(write_torch(tmp_path / "a.pth", state))
    fresh().save(tmp_path / "model.keras")
    with pytest.raises(WeightsError, match="a network already"):
        import_weights(tmp_path / "model.keras")


def test_training_starts_from_none_a_file_or_imagenet(classifier_files, monkeypatch):
    assert initial_weights(fresh(), "none") is None
    for file in ("vgg.h5", "vgg.pth"):
        assert len(initial_weights(fresh("fcn16s"), classifier_files / file).filled) == 15
    fresh().save(classifier_files / "model.keras")
    assert len(initial_weights(fresh(), str(classifier_files)).filled) == 16
    with pytest.raises(ConfigError, match="unet: there are no ImageNet weights"):
        initial_weights(kseg.build("unet", width=2, depth=1), "imagenet")


def test_imagenet_is_the_file_in_the_cache_or_one_to_bring(classifier_files, monkeypatch):
    import dataclasses

    from kseg.weights import sources

    monkeypatch.setenv("KSEG_OFFLINE", "1")
    for network, file in (
        ("fcn8s", "vgg16_weights_tf_dim_ordering_tf_kernels.h5"),
        ("alexnet", "bvlc_reference_caffenet.caffemodel"),
        ("googlenet", "bvlc_googlenet.caffemodel"),
    ):
        options = {} if network == "fcn8s" else {"width": 1 / 16, "classes": 3, "include_top": False}
        model = fresh(network) if network == "fcn8s" else kseg.build(network, **options)
        with pytest.raises(EnvironmentFailure, match=f"{file}: could not be fetched.*put it at .*weights/{file}"):
            initial_weights(model, "imagenet")
    slim = dataclasses.replace(sources.SOURCES["vgg16-keras"], size_bytes=None, digest=None)
    monkeypatch.setitem(sources.SOURCES, "vgg16-keras", slim)
    place = path_in_cache("vgg16-keras")
    place.write_bytes((classifier_files / "vgg.h5").read_bytes())
    expected = fresh("fcn8s")
    assert len(initial_weights(expected, "imagenet").filled) == 15
    for built in (fresh("fcn8s", weights="imagenet"), kseg.models.fcn8s(**SLIM, weights="imagenet")):
        assert len(arrays(built)) == len(arrays(expected))
        for layer, parts in arrays(expected).items():
            for found, part in zip(arrays(built)[layer], parts, strict=True):
                assert layer.startswith("upscore") or np.array_equal(found, part), layer
    place.unlink()


@pytest.mark.parametrize("name", ["vgg16", "fcn32s"])
def test_builders_take_a_file_of_weights_by_name_and_as_functions(classifier_files, name):
    path = classifier_files / "vgg.h5"
    expected = fresh(name)
    load_weights(expected, path)
    for weights in (path, str(path)):
        built = getattr(kseg.models, name)(**SLIM, weights=weights)
        for found in (built, fresh(name, weights=weights)):
            np.testing.assert_array_equal(arrays(found)["conv5_3"][0], arrays(expected)["conv5_3"][0])
            np.testing.assert_array_equal(arrays(found)["fc7"][0], arrays(expected)["fc7"][0])


def test_builders_refuse_weights_that_are_not_there_with_the_reason(tmp_path):
    for build in (kseg.models.unet, lambda **options: kseg.build("unet", **options)):
        with pytest.raises(ConfigError, match="unet: there are no ImageNet weights"):
            build(width=2, depth=1, weights="imagenet")
    with pytest.raises(WeightsError, match="no such file"):
        kseg.models.vgg16(width=1 / 64, fc_width=2, weights=tmp_path / "nothing.h5")


def test_a_builder_gives_a_unet_the_weights_of_a_file_of_its_own(tmp_path):
    model = kseg.models.unet(width=2, depth=1)
    randomise(model)
    model.save(tmp_path / "unet.keras")
    again = kseg.models.unet(width=2, depth=1, weights=tmp_path / "unet.keras")
    for found, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "no weights but a PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "no weights but a JPEG image"),
        (b'{\n  "recipe": 1}', "no weights but text, beginning"),
        (b"", "no weights but an empty file"),
        (b'\x40\0\0\0\0\0\0\0{"a":' + bytes(60), "no weights but a file of safetensors"),
    ],
)
def test_what_is_no_file_of_weights_is_named_with_the_kinds_that_are(content, words, tmp_path):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(WeightsError, match=f"a: {words}.*Name a .caffemodel.* or a run folder"):
        initial_weights(fresh(), str(tmp_path / "a"))


def test_archives_and_folders_without_a_network_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    for path, words in ((tmp_path / "a.npz", "a zip archive that holds no network"), (tmp_path, "a folder without")):
        with pytest.raises(WeightsError, match=f"{words}.*Name a .caffemodel"):
            kind_of(path)
