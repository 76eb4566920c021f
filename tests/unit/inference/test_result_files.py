"""The files that `predict` writes, as other programs read them."""

import cv2
import keras
import numpy as np
import pytest
import tifffile
from PIL import Image

import kseg
from kseg import datasets
from kseg.errors import ConfigError, DataError
from kseg.images import read_label, write_image
from kseg.inference import predict, predictor
from kseg.inference.files import check_apart, list_streams, predict_file
from kseg.inference.prediction import class_ids, predict_maps
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


TAGS = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (33922, 12, 6, (0, 0, 0, 5e5, 46e5, 0), True)]


def test_results_of_a_georeferenced_image_lie_where_it_lies(networks, tmp_path):
    page = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "tile.tif", page, extratags=TAGS, metadata=None)
    written = predict_file(
        networks(3), tmp_path / "tile.tif", tmp_path / "out", with_probabilities=True, with_instances=True
    )
    assert [path.name for path in written] == ["tile.tif", "tile_probabilities.tif", "tile_instances.tif"]
    for path in written:
        with tifffile.TiffFile(path) as file:
            assert all(page.tags[33922].value[3:5] == (5e5, 46e5) and 42113 not in page.tags for page in file.pages)
    np.testing.assert_array_equal(read_label(written[0]), predict(networks(3), page))


def test_results_of_an_imagej_stack_keep_its_axes_and_the_size_of_its_pixels(networks, tmp_path):
    stack = np.random.default_rng(0).integers(0, 256, (3, 20, 24)).astype(np.uint8)
    about = {"axes": "ZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "z.tif", stack, imagej=True, resolution=(5, 5), metadata=about)
    tifffile.imwrite(tmp_path / "one.tif", stack[0], imagej=True, resolution=(5, 5), metadata={"unit": "um"})
    ids, shares = predict_file(networks(3), tmp_path / "z.tif", tmp_path / "out", with_probabilities=True)
    (one,) = predict_file(networks(3), tmp_path / "one.tif", tmp_path / "out")
    assert one.name == "one.tif"
    for path, axes in ((ids, "ZYX"), (shares, "ZCYX"), (one, "YX")):
        with tifffile.TiffFile(path) as file:
            assert file.is_imagej and file.series[0].axes == axes
            assert file.imagej_metadata["unit"] == "um" and file.pages.first.resolution == (5, 5)
    assert len(kseg.images.open_pages(shares)) == 3 and kseg.images.open_pages(shares)[0].shape == (20, 24, 3)


def test_what_has_no_data_is_void_in_every_result(networks, tmp_path):
    image = np.random.default_rng(0).uniform(0, 255, (20, 24)).astype(np.float32)
    image[:5] = -9999
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=[(42113, 2, 0, "-9999", True)])
    ids, shares, objects = predict_file(
        networks(2), tmp_path / "a.tif", tmp_path / "out", with_probabilities=True, with_instances=True
    )
    assert (tifffile.imread(ids)[:5] == 255).all() and (tifffile.imread(ids)[5:] < 2).all()
    assert np.isnan(tifffile.imread(shares)[:5]).all() and np.isfinite(tifffile.imread(shares)[5:]).all()
    assert not tifffile.imread(objects)[:5].any()
    with tifffile.TiffFile(ids) as file:
        assert file.pages.first.tags[42113].value == "255"


def test_class_ids_are_made_tile_by_tile_and_the_scores_of_the_whole_never_held(networks):
    image, seen = np.random.default_rng(0).integers(0, 256, (90, 70, 1)).astype(np.uint8), []

    def ids_of(scores, head):
        seen.append(scores.shape[:2])
        return [class_ids(scores, networks(21).readings[head])]

    (ids,) = predict_maps(networks(21), image, ids_of, tile=32)[""]
    assert len(seen) > 6 and max(height * width for height, width in seen) <= 32 * 32
    np.testing.assert_array_equal(ids, predict(networks(21), image))


def test_an_ome_tiff_s_results_are_named_without_ome(networks, tmp_path):
    tifffile.imwrite(tmp_path / "x.ome.tif", np.zeros((20, 24), np.uint8), ome=True)
    (path,) = predict_file(networks(2), tmp_path / "x.ome.tif", tmp_path / "out")
    assert path.name == "x.png"


def test_pages_are_channels_where_a_person_says_so(tmp_path):
    network = predictor(kseg.build("unet", depth=1, width=2, padding="same", input_shape=(None, None, 3)))
    stack = np.random.default_rng(0).integers(0, 256, (3, 20, 24)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None)
    assert predict_file(network, tmp_path / "a.tif", tmp_path / "out")[0].name == "a.tif"  # three slices of grey
    (path,) = predict_file(network, tmp_path / "a.tif", tmp_path / "out", axes="CYX")
    np.testing.assert_array_equal(read_label(path), predict(network, np.moveaxis(stack, 0, -1)))


def test_no_result_goes_where_it_could_replace_an_image(tmp_path):
    for name in ("a.png", "b.tif", "c.jpg"):
        (tmp_path / name).touch()
    for name in ("a.png", "b.tif"):
        with pytest.raises(ConfigError, match=f"{name}: its result in .* may have the same name and replace it"):
            check_apart([tmp_path / name], [tmp_path / name], tmp_path)
    check_apart([tmp_path / "c.jpg"], [tmp_path / "c.jpg"], tmp_path)
    with pytest.raises(ConfigError, match="the images lie there"):
        check_apart([tmp_path], [tmp_path / "c.jpg"], tmp_path)
