"""Many files: the same as one by one, in the same order, with errors where they belong and nothing left over."""

import threading

import keras
import numpy as np
import pytest
import tifffile

import kseg
from kseg.errors import DataError, EnvironmentFailure
from kseg.images import read_label, write_image
from kseg.inference import predict, predictor
from kseg.inference.files import Extras, predict_file, predict_files


@pytest.fixture(scope="module")
def network():
    """A small untrained network of three classes."""
    keras.utils.set_random_seed(0)
    return predictor(kseg.build("unet", depth=1, width=2, padding="same", classes=3))


def images(folder, count, size=(24, 20)):
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        write_image(path, np.random.default_rng(number).integers(0, 256, size).astype(np.uint8))
    return paths


def test_the_results_are_those_of_each_file_alone_in_order(network, tmp_path):
    paths = images(tmp_path, 4)
    stack = np.random.default_rng(9).integers(0, 256, (3, 20, 24)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "z.tif", stack, photometric="minisblack")
    paths.insert(2, tmp_path / "z.tif")
    extras = Extras(with_probabilities=True, with_instances=True, with_table=True, with_overlay=True)
    done = []
    found = list(
        predict_files(network, paths, tmp_path / "out", extras=extras, progress=lambda *numbers: done.append(numbers))
    )
    assert [files[0].name for files in found] == ["0.png", "1.png", "z.tif", "2.png", "3.png"]
    assert done == [(0, 1, 1), (1, 1, 1), (2, 1, 3), (2, 2, 3), (2, 3, 3), (3, 1, 1), (4, 1, 1)]
    for path, files in zip(paths, found, strict=True):
        alone = predict_file(
            network, path, tmp_path / "alone", with_probabilities=True, with_instances=True, with_table=True,
            with_overlay=True,
        )  # fmt: skip
        assert [file.name for file in alone] == [file.name for file in files]
        assert all(file.read_bytes() == other.read_bytes() for file, other in zip(alone, files, strict=True))
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_a_file_that_fails_is_an_error_in_its_place_and_leaves_nothing(network, tmp_path):
    paths = images(tmp_path, 5)
    paths[0].write_text("hello")
    stack = np.zeros((4, 20, 24), np.uint8)
    tifffile.imwrite(tmp_path / "broken.tif", stack, photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "broken.tif", mode="r+b") as file:
        file.pages[0].tags[273].overwrite(2**31)  # its pixels are said to lie beyond the end
    paths[3] = tmp_path / "broken.tif"
    found = list(predict_files(network, paths, tmp_path / "out"))
    assert [isinstance(each, DataError) for each in found] == [True, False, False, True, False]
    assert "0.png: this is no image" in str(found[0]) and "broken.tif: the image is truncated" in str(found[3])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "2.png", "4.png"]
    np.testing.assert_array_equal(
        read_label(tmp_path / "out/4.png"), predict(network, kseg.images.read_image(paths[4]))
    )


def test_a_stack_that_fails_at_its_last_page_is_one_error(network, tmp_path):
    pages = [np.zeros((20, 24), np.float32) for _ in range(5)]
    pages[4][3, 2] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", np.stack(pages), photometric="minisblack")
    found = list(predict_files(network, [tmp_path / "a.tif", *images(tmp_path, 1)], tmp_path / "out"))
    assert "first at row 3, column 2" in str(found[0]) and [path.name for path in found[1]] == ["0.png"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.png"]


def test_what_can_not_be_written_ends_it_after_the_files_before(network, tmp_path):
    paths = images(tmp_path, 6)
    (tmp_path / "out" / "2.png").mkdir(parents=True)
    (tmp_path / "out" / "2.png" / "x").touch()
    files = predict_files(network, paths, tmp_path / "out")
    assert [next(files)[0].name for _ in range(2)] == ["0.png", "1.png"]
    with pytest.raises(EnvironmentFailure, match="2.png: can't be written"):
        next(files)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.png", "1.png", "2.png"}


def test_a_break_leaves_whole_files_alone_and_no_thread(network, tmp_path):
    stack = np.zeros((50, 20, 24), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    before = threading.active_count()

    def progress(file, done, pages):
        if (file, done) == (1, 7):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(predict_files(network, [*images(tmp_path, 1), tmp_path / "a.tif"], tmp_path / "out", progress=progress))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.png"]
    assert threading.active_count() == before


def test_few_pages_are_in_memory_however_many_there_are(network, tmp_path, monkeypatch):
    import tracemalloc

    size = (512, 512)
    rng = np.random.default_rng(0)
    page = rng.integers(0, 256, size).astype(np.uint8)
    peaks = []
    for count in (4, 24):
        tifffile.imwrite(tmp_path / f"{count}.tif", np.stack([page] * count), photometric="minisblack")
        list(predict_files(network, [tmp_path / f"{count}.tif"], tmp_path / "warm"))
        tracemalloc.start()
        list(predict_files(network, [tmp_path / f"{count}.tif"], tmp_path / "out"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2 * page.nbytes  # 20 more pages have 20 times page.nbytes, and scores 12 times that
