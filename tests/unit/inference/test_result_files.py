"""The files that `predict` writes, as other programs read them."""

import cv2
import keras
import numpy as np
import pytest
from PIL import Image

import kseg
from kseg import datasets
from kseg.errors import DataError
from kseg.images import read_label, write_image
from kseg.inference import predict, predictor
from kseg.inference.files import list_streams, predict_file
from kseg.pictures import palette


@pytest.fixture(scope="module")
def networks():
    """Small untrained networks by their number of classes."""
    made = {}

    def network(classes):
        if classes not in made:
            keras.utils.set_random_seed(0)
            made[classes] = predictor(kseg.build("unet", depth=1, width=2, padding="same", classes=classes))
        return made[classes]

    return network


@pytest.fixture
def image(tmp_path):
    write_image(tmp_path / "2007_000033.png", np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.uint8))
    return tmp_path / "2007_000033.png"


def test_of_21_classes_the_png_has_vocs_palette_and_its_numbers_are_the_ids(networks, image, tmp_path):
    (path,) = predict_file(networks(21), image, tmp_path / "comp6_test_cls")
    ids = predict(networks(21), kseg.images.read_image(image))
    assert path == tmp_path / "comp6_test_cls" / "2007_000033.png" and len(np.unique(ids)) > 2
    assert path.read_bytes()[24:26] == b"\x08\x03"  # 8 bits, palette
    with Image.open(path) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), ids)
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), palette()[ids])
        assert picture.getpalette()[3 * 15 : 3 * 16] == [192, 128, 128]  # person, from VOC's table
    np.testing.assert_array_equal(read_label(path), ids)


def test_of_two_classes_the_png_is_grey_and_opencv_reads_the_ids(networks, image, tmp_path):
    (path,) = predict_file(networks(2), image, tmp_path / "out")
    ids = predict(networks(2), kseg.images.read_image(image))
    assert path.read_bytes()[24:26] == b"\x08\x00"  # 8 bits, grey
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), ids)
    np.testing.assert_array_equal(read_label(path), ids)


def test_what_was_predicted_is_read_as_a_folder_s_labels(networks, image, tmp_path):
    (tmp_path / "mine" / "images").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "mine" / "images" / f"{name}.png").write_bytes(image.read_bytes())
        predict_file(networks(21), tmp_path / "mine" / "images" / f"{name}.png", tmp_path / "mine" / "labels")
    item = datasets.open("folder", tmp_path / "mine", split="train", classes=21)[0]
    np.testing.assert_array_equal(item.label, predict(networks(21), item.image))


def test_an_image_whose_size_a_network_can_not_take_is_named_so_that_the_others_go_on(tmp_path):
    image = keras.Input((None, None, 1))
    half = keras.layers.UpSampling2D()(keras.layers.MaxPooling2D(2)(image))
    network = keras.Model(image, keras.layers.Conv2D(2, 1)(keras.layers.Concatenate()([image, half])))
    write_image(tmp_path / "odd.png", np.zeros((5, 4), np.uint8))
    with pytest.raises(DataError, match="odd.png: This network does not take 5 x 4 pixels"):
        predict_file(predictor(network), tmp_path / "odd.png", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.png"))


def test_streams_for_a_network_of_one_image_are_refused_in_words():
    with pytest.raises(DataError, match="The network takes one image, and no streams"):
        list_streams({"rgb": "a"}, {"": 3})
