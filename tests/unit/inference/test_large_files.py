"""A TIFF that is read, predicted and written by rows: the same numbers, in little memory."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tifffile

import kseg
from kseg.errors import DataError
from kseg.images import open_pages, read_label
from kseg.inference.files import large, predict_file, results
from kseg.inference.predictor import changing_predictor

KINDS = {"tiles": {"tile": (32, 32), "compression": "zlib"}, "strips": {"rowsperstrip": 13, "compression": "lzw"}}


def network_of(classes=3, channels=1, **options):
    keras.utils.set_random_seed(0)
    about = {"depth": 1, "width": 2, "classes": classes, "input_shape": (None, None, channels), **options}
    return changing_predictor(kseg.build("unet", **about))  # which does not hold weights midway: equal to the last bit


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Predicts a file twice, as a whole and by rows, and compares all that is written."""

    def both(network, path, **options):
        whole = predict_file(network, path, tmp_path / "whole", **options)
        steps = []
        with monkeypatch.context() as context:
            context.setattr(large, "WHOLE_BYTES", 1)
            context.setattr(results, "PNG_PIXELS", 1)
            about = {**options, "progress": lambda done, pages: steps.append(done)}
            parts = predict_file(network, path, tmp_path / "parts", **about)
        assert [file.stem for file in parts] == [file.stem for file in whole] and len(parts) == len(whole)
        assert all(file.suffix == ".tif" for file in parts)
        for part, one in zip(parts, whole, strict=True):
            expected = tifffile.imread(one) if one.suffix == ".tif" else read_label(one)
            found = tifffile.imread(part)
            assert expected.dtype == np.int32 or found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
        return parts, steps

    return both


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", KINDS)
def test_class_ids_and_probabilities_are_those_of_the_whole(written, tmp_path, kind, padding):
    image = np.random.default_rng(0).integers(0, 256, (333, 290)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, metadata=None, **KINDS[kind])
    parts, steps = written(network_of(padding=padding), tmp_path / "a.tif", tile=80, with_probabilities=True)
    assert len(np.unique(tifffile.imread(parts[0]))) > 1
    assert len(steps) > 4 and steps == sorted(steps) and steps[-1] == 1
    with tifffile.TiffFile(parts[1]) as file:
        assert len(file.pages) == 3 and all(page.tile == (256, 256) for page in file.pages)
    assert not [path for path in (tmp_path / "parts").iterdir() if path.name.startswith(".")]


def test_class_ids_that_fit_are_a_png_as_those_of_the_whole(tmp_path, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (200, 90)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(32, 32))
    network = network_of(padding="same")
    whole = predict_file(network, tmp_path / "a.tif", tmp_path / "whole", tile=64, with_probabilities=True)
    monkeypatch.setattr(large, "WHOLE_BYTES", 1)
    parts = predict_file(network, tmp_path / "a.tif", tmp_path / "parts", tile=64, with_probabilities=True)
    assert [path.name for path in parts] == ["a.png", "a_probabilities.tif"]
    assert parts[0].read_bytes() == whole[0].read_bytes()
    np.testing.assert_array_equal(tifffile.imread(parts[1]), tifffile.imread(whole[1]))


def test_a_network_of_two_classes_and_colours_and_a_single_band(written, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (120, 300, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", tile=(64, 64), compression="jpeg")
    parts, steps = written(network_of(2, 3, padding="same"), tmp_path / "a.tif", with_probabilities=True)
    assert steps == [1] and [path.name for path in parts] == ["a.tif", "a_probabilities.tif"]


def test_grey_is_repeated_and_equal_colours_are_taken_as_one(written, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (120, 90)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "grey.tif", image, rowsperstrip=10)
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([image] * 3, -1), photometric="rgb", planarconfig="contig")
    written(network_of(2, 3, padding="same"), tmp_path / "grey.tif", tile=48)
    written(network_of(2, 1, padding="same"), tmp_path / "rgb.tif", tile=48)


def test_slices_and_pixels_without_data_and_a_position_on_earth_are_kept(written, tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (2, 200, 150)).astype(np.uint8)
    stack[:, 90:120, 20:] = 255
    geo = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (33922, 12, 6, (0, 0, 0, 5e5, 46e5, 0), True)]
    tags = [(42113, 2, 0, "255", True), *geo]
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None, extratags=tags, tile=(32, 48))
    parts, steps = written(network_of(padding="same"), tmp_path / "a.tif", tile=64, with_probabilities=True)
    assert steps[-1] == 2 and len([step for step in steps if step <= 1]) > 2
    with tifffile.TiffFile(parts[0]) as file:
        assert len(file.pages) == 2 and file.pages.first.tags[42113].value == "255"
        assert file.pages.first.tags[33922].value[3:5] == (5e5, 46e5)
        assert (file.pages[1].asarray()[90:120, 20:] == 255).all()


def test_a_dark_start_of_bright_fractions_is_not_warned_of(written, tmp_path, caplog):
    import logging

    image = np.zeros((200, 60), np.float32)
    image[150:] = 200.0
    network = network_of(2, padding="same")
    logging.getLogger("kseg").propagate = True
    try:
        tifffile.imwrite(tmp_path / "bright.tif", image, rowsperstrip=8)
        written(network, tmp_path / "bright.tif", tile=48)
        assert "white is 255" not in caplog.text
        tifffile.imwrite(tmp_path / "dark.tif", image / 250, rowsperstrip=8)
        large.WHOLE_BYTES, before = 1, large.WHOLE_BYTES
        predict_file(network, tmp_path / "dark.tif", tmp_path / "out", tile=48)
        large.WHOLE_BYTES = before
        assert "dark.tif: its brightest pixel is 0.8, but white is 255" in caplog.text
    finally:
        logging.getLogger("kseg").propagate = False


def test_what_needs_the_whole_is_predicted_whole_or_refused_with_what_it_takes(tmp_path, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (100, 90)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(32, 32))
    tifffile.imwrite(tmp_path / "turned.tif", image, extratags=[(274, 3, 1, 6, True)])
    network = network_of(2, padding="same")
    alone = predict_file(network, tmp_path / "a.tif", tmp_path / "alone", with_instances=True)
    monkeypatch.setattr(large, "WHOLE_BYTES", 1)
    fits = predict_file(network, tmp_path / "a.tif", tmp_path / "fits", with_instances=True)
    assert [path.read_bytes() for path in fits] == [path.read_bytes() for path in alone]
    monkeypatch.setattr(large, "memory_bytes", lambda: 10_000)
    cases = {
        "an object may reach": {"with_instances": True},
        "an object may": {"with_table": True},
        "an overlay shows the whole": {"with_overlay": True},
        "an average needs": {"average": "mirror"},
    }
    for words, options in cases.items():
        with pytest.raises(
            DataError, match=f"a.tif: 100 x 90 x 1 values, .* by parts, since {words}.* at least 0.0 GB"
        ):
            predict_file(network, tmp_path / "a.tif", tmp_path / "out", **options)
    with pytest.raises(DataError, match="turned.tif: .* since its orientation tag turns it"):
        predict_file(network, tmp_path / "turned.tif", tmp_path / "out")
    assert predict_file(network, tmp_path / "a.tif", tmp_path / "out")[0].name == "a.png"


def test_what_fails_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    image = np.zeros((300, 60), np.float32)
    image[250, 3] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", image, rowsperstrip=8)
    monkeypatch.setattr(large, "WHOLE_BYTES", 1)
    with pytest.raises(DataError, match="a.tif: .* the first at row 250, column 3"):
        predict_file(
            network_of(2, padding="same"), tmp_path / "a.tif", tmp_path / "out", tile=48, with_probabilities=True
        )
    assert not list((tmp_path / "out").iterdir())


HEIGHT, WIDTH = 24576, 12288
PREDICTS = """
import dataclasses, resource, sys
from pathlib import Path

import keras
import numpy as np

from kseg.inference import predictor
from kseg.inference.files import predict_file

image = keras.Input((None, None, 1))
model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
model.set_weights([np.array([[[[0, 1]]]]), np.array([0, -3])])  # class 1 where the grey level is above 3
network = predictor(model)
network.geometry = dataclasses.replace(network.geometry, margin=0)  # each pixel is read for itself
small, large, folder = map(Path, sys.argv[1:])
predict_file(network, small, folder)  # what a process takes once does not count
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
predict_file(network, large, folder)
print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_an_image_of_302_megapixels_is_predicted_in_a_fraction_of_its_size(tmp_path):
    tiles = (np.full((1024, 1024), 7, np.uint8) if number % 9 == 0 else None for number in range(24 * 12))
    tifffile.imwrite(tmp_path / "large.tif", tiles, shape=(HEIGHT, WIDTH), dtype=np.uint8, tile=(1024, 1024))
    tifffile.imwrite(tmp_path / "small.tif", np.zeros((600, 600), np.uint8))
    (tmp_path / "run.py").write_text(PREDICTS)
    given = [tmp_path / "run.py", tmp_path / "small.tif", tmp_path / "large.tif", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(kseg.__file__).parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    said = subprocess.run([sys.executable, *map(str, given)], env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    before, after = (1024 * int(number) for number in said.stdout.split()[-2:])
    print(f"{(after - before) / 1e6:.0f} MB above {before / 1e6:.0f}")
    assert after - before < HEIGHT * WIDTH  # bytes: a quarter of the image as float32, an eighth of its scores
    pages = open_pages(tmp_path / "out" / "large.tif")
    given = open_pages(tmp_path / "large.tif", by_rows=True)
    assert pages.shape == (1, HEIGHT, WIDTH, 1)
    for first in (0, 1000, HEIGHT - 30):
        rows = range(first, first + 30)
        np.testing.assert_array_equal(pages.read_rows(0, rows)[0], given.read_rows(0, rows)[0] > 3)
