import keras
import numpy as np
import pytest
from vgg16_files import NAMES, arrays, as_torch, fresh, images, keras_vgg16, write_old_torch, write_torch

from kseg.errors import WeightsError
from kseg.layers import SCALINGS, InputScaling
from kseg.weights import load_torchvision
from kseg.weights.sources import SOURCES

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def theirs() -> keras.Model:
    return keras_vgg16()


def first_map(model: keras.Model, image: np.ndarray, name: str) -> np.ndarray:
    """conv1_1 away from the padded border."""
    return keras.Model(model.input, model.get_layer(name).output)(image).numpy()[:, 1:-1, 1:-1]


@pytest.mark.parametrize("write", [write_torch, write_old_torch])
@pytest.mark.parametrize("preprocessing", ["own", "voc", "unit", None])
def test_scale_and_channel_order_are_folded_into_the_first_convolution(theirs, tmp_path, write, preprocessing):
    path = write(tmp_path / "a.pth", as_torch(theirs, NAMES["torchvision"]))
    model = fresh(preprocessing=preprocessing)
    report = load_torchvision(model, path)
    assert len(report.filled) == 16 and "torchvision's" in report.notes[0]
    image = images(size=224)
    expected = first_map(theirs, ((image / 255 - MEAN) / DEVIATION).astype(np.float32), "block1_conv1")
    if preprocessing is None:
        image = image[..., ::-1] - np.float32(SCALINGS["vgg"].mean)
    np.testing.assert_allclose(first_map(model, image, "conv1_1"), expected, rtol=0, atol=1e-5 * expected.max())


def test_the_whole_network_is_equal_where_the_border_is_the_same_colour(theirs, tmp_path):
    path = write_torch(tmp_path / "a.pth", as_torch(theirs, NAMES["torchvision"]))
    model = fresh(preprocessing=InputScaling("bgr", tuple(255 * MEAN[::-1])))
    load_torchvision(model, path)
    expected = theirs(((images() / 255 - MEAN) / DEVIATION).astype(np.float32)).numpy()
    np.testing.assert_allclose(model(images()), expected, rtol=1e-4, atol=1e-4)


def test_other_scalings_are_taken_when_they_are_named(theirs, tmp_path):
    path = write_torch(tmp_path / "a.pth", as_torch(theirs, NAMES["torchvision"]))
    model = fresh()
    assert "caffe's" in load_torchvision(model, path, scaling="caffe").notes[0]
    np.testing.assert_array_equal(arrays(model)["conv1_1"][0], arrays(theirs)["block1_conv1"][0])
    load_torchvision(model, path, scaling="amdegroot")
    mean = 255 * np.array([0.48235, 0.45882, 0.40784])
    expected = first_map(theirs, (images() - mean).astype(np.float32), "block1_conv1")
    np.testing.assert_allclose(first_map(model, images(), "conv1_1"), expected, rtol=0, atol=1e-5 * expected.max())


def test_a_known_file_is_told_by_its_digest(theirs, tmp_path, monkeypatch):
    import dataclasses

    from kseg.download import digest_of

    path = write_torch(tmp_path / "renamed.pth", as_torch(theirs, NAMES["torchvision"]))
    known = dataclasses.replace(SOURCES["vgg16-pth"], digest=f"md5:{digest_of(path, 'md5')}")
    monkeypatch.setitem(SOURCES, "vgg16-pth", known)
    assert "caffe's" in load_torchvision(fresh(), path).notes[0]


def test_a_classifier_of_nan_is_refused_with_the_reason(theirs, tmp_path):
    state = as_torch(theirs, NAMES["torchvision"])
    state = {name: array * np.nan if name.startswith("classifier") else array for name, array in state.items()}
    report = load_torchvision(fresh("fcn32s"), write_torch(tmp_path / "a.pth", state))
    assert {"fc6", "fc7"} == set(report.refused) and len(report.filled) == 13
    assert "made for its convolutions alone" in str(report) and "vgg16-397923af.pth" in str(report)


@pytest.mark.parametrize("network", ["fcn32s", "fcn16s", "fcn8s", "fcn8s-atonce"])
def test_pytorch_fcns_files_have_the_layer_names_of_caffe(tmp_path, network):
    from vgg16_files import randomise

    source = fresh(network, classes=3, upsampling="learned")
    randomise(source)
    names = [name for name in arrays(source) if not name.startswith("scale_")]
    state = {}
    for name in names:
        kernel, *bias = arrays(source)[name]
        state[f"{name}.weight"] = kernel.transpose(3, 2, 0, 1)
        state |= {f"{name}.bias": array for array in bias}
    target = fresh(network, classes=3, upsampling="learned")
    report = load_torchvision(target, write_torch(tmp_path / "a.pth", state))
    assert set(report.filled) == set(names) and not report.notes
    for name in names:
        for one, other in zip(arrays(source)[name], arrays(target)[name], strict=True):
            np.testing.assert_array_equal(one, other)
    fixed = load_torchvision(fresh(network, classes=3), tmp_path / "a.pth")
    assert all("learned" in fixed.refused[name] for name in names if name.startswith("upscore"))


def test_another_pth_file_is_said_to_be_one(tmp_path):
    path = write_torch(tmp_path / "a.pth", {"layer1.0.weight": np.ones((2, 2), np.float32)})
    with pytest.raises(WeightsError, match=r"a\.pth: neither.*layer1\.0\.weight"):
        load_torchvision(fresh(), path)
