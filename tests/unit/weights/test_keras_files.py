import h5py
import keras
import numpy as np
import pytest
from vgg16_files import arrays, fresh, images, keras_vgg16, write_keras

import kseg
from kseg.errors import WeightsError
from kseg.weights import load_keras_applications


@pytest.fixture(scope="module")
def theirs() -> keras.Model:
    return keras_vgg16()


def expected(theirs: keras.Model, image: np.ndarray) -> np.ndarray:
    return theirs(keras.applications.vgg16.preprocess_input(image.copy())).numpy()


@pytest.mark.parametrize("naming", [{}, {"ending": ":0"}, {"deeper": True, "ending": ":0"}, {"ending": ""}])
def test_the_classifier_computes_what_keras_does(theirs, tmp_path, naming, capsys):
    model = fresh()
    report = load_keras_applications(model, write_keras(tmp_path / "a.h5", theirs, **naming))
    assert len(report.filled) == 16 and not (report.initial or report.refused or report.reshaped or report.unused)
    np.testing.assert_allclose(model(images()), expected(theirs, images()), rtol=1e-4, atol=1e-4)
    assert "filled    16 layers: conv1_1" in capsys.readouterr().err


def test_fully_connected_layers_become_convolutions(theirs, tmp_path):
    model = fresh(convolutional=True)
    report = load_keras_applications(model, write_keras(tmp_path / "a.h5", theirs))
    assert report.reshaped == ["fc6", "fc7", "fc8"]
    scores = model(images()).numpy()
    np.testing.assert_allclose(scores[:, 0, 0], expected(theirs, images()), rtol=1e-4, atol=1e-4)


def test_an_fcn_takes_all_but_the_classes(theirs, tmp_path):
    model = fresh("fcn8s", classes=3)
    report = load_keras_applications(model, write_keras(tmp_path / "a.h5", theirs))
    assert set(report.initial) == {"score_fr", "score_pool4", "score_pool3"}
    assert report.unused == ["fc8"] and len(report.filled) == 15


def test_without_top_it_is_said_what_is_missing_and_where_it_is(theirs, tmp_path):
    path = write_keras(tmp_path / "a_notop.h5", theirs, top=False)
    report = load_keras_applications(fresh("fcn32s"), path)
    assert {"fc6", "fc7"} <= set(report.initial) and len(report.filled) == 13
    assert "a_notop.h5 has no fully connected layers" in str(report) and "weights fetch vgg16-keras" in str(report)
    report = load_keras_applications(fresh(include_top=False), path)
    assert not report.notes and not report.initial


def test_a_file_of_another_width_is_refused_layer_by_layer(theirs, tmp_path):
    model = fresh(width=1 / 8)
    before = model.get_weights()
    report = load_keras_applications(model, write_keras(tmp_path / "a.h5", theirs))
    assert "conv1_1" in report.refused and "(3, 3, 3, 4)" in report.refused["conv1_1"]
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_network_that_takes_nothing_is_an_error(theirs, tmp_path):
    with pytest.raises(WeightsError, match=r"a\.h5: no layer of unet was filled"):
        load_keras_applications(kseg.build("unet", width=2, depth=1), write_keras(tmp_path / "a.h5", theirs))


def test_another_hdf5_file_is_said_to_be_one(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/conv1_1/0"] = np.zeros(3, np.float32)
    with pytest.raises(WeightsError, match=r"a\.h5: no VGG16 of keras\.applications.*data/conv1_1/0"):
        load_keras_applications(fresh(), tmp_path / "a.h5")


def test_a_broken_bias_leaves_its_layer_as_it_was(theirs, tmp_path):
    path = write_keras(tmp_path / "a.h5", theirs)
    with h5py.File(path, "r+") as file:
        file["block1_conv1/block1_conv1_b_1:0"][0] = np.nan
    model = fresh()
    report = load_keras_applications(model, path)
    assert "NaN" in report.refused["conv1_1"] and len(report.filled) == 15
    np.testing.assert_array_equal(arrays(model)["conv1_1"][1], 0)
