"""`predict` on what people have: bad files among good ones, results beside images, images of another depth."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import call
from PIL import Image

import kseg
from kseg.images import stack_writer, write_image
from kseg.inference.files import predict_file
from kseg.inference.in_training import save_network


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A small untrained network for grey images of 8 bits."""
    path = tmp_path_factory.mktemp("network") / "small.keras"
    save_network(kseg.build("unet", depth=1, width=2), path)
    return path


@pytest.fixture
def image(tmp_path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (31, 27)).astype(np.uint8)
    write_image(tmp_path / "cells.png", pixels)
    return tmp_path / "cells.png"


def test_predict_goes_on_after_a_bad_file_and_counts_those_that_failed(network, image, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "c"):
        (tmp_path / "in" / f"{name}.png").write_bytes(image.read_bytes())
    (tmp_path / "in" / "b.png").write_text("hello")
    (tmp_path / "in" / "d.png").write_bytes(image.read_bytes()[:-40])
    said = call("predict", network, tmp_path / "in", "-o", tmp_path / "out", "--probabilities", exit_code=3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.png", "a_probabilities.tif", "c.png", "c_probabilities.tif",
    ]  # fmt: skip
    bad, worse, last = [line for line in said.stderr.splitlines() if line.startswith("error: ")]
    assert f"{tmp_path / 'in' / 'b.png'}: this is no image" in bad and "d.png: the image is truncated" in worse
    assert last.startswith("error: 2 of 4 files failed") and "c.png" in said.stdout


def test_where_all_files_fail_there_are_no_others(network, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("hello")
    said = call("predict", network, tmp_path, "-o", tmp_path / "out", exit_code=3).stderr
    assert said.endswith("error: 2 of 2 files failed, each named above.\n") and not (tmp_path / "out").exists()


def test_predict_says_which_files_of_a_folder_it_did_not_look_at(network, image, tmp_path):
    (tmp_path / "in/more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        (tmp_path / "in" / name).write_bytes(image.read_bytes())
    for name in ("c.czi", "d.nii.gz", "Thumbs.db", ".DS_Store"):
        (tmp_path / "in" / name).write_bytes(b"x")
    said = call("predict", network, tmp_path / "in", "-o", tmp_path / "out").stderr
    (note,) = [line for line in said.splitlines() if "not looked at" in line]
    assert note == "note: not looked at: 1 .czi in in/ (c.czi); 1 .nii.gz in in/ (d.nii.gz); the folder more/ in in/."
    (tmp_path / "in/a.png").unlink()
    said = call("predict", network, tmp_path / "in", "-o", tmp_path / "out", exit_code=3).stderr
    assert "no image in this folder" in said and "It holds 1 .czi in in/ (c.czi)." in said


def test_predict_leaves_its_images_and_their_folder_as_they_are(network, image, tmp_path):
    before = image.read_bytes()
    (tmp_path / "link").symlink_to(image.parent)
    for given, folder in (
        (image.parent, image.parent),
        (image.parent, tmp_path / "link"),
        (image, image.parent),
    ):
        said = call("predict", network, given, "-o", folder, exit_code=3).stderr
        assert "Name another folder (--output ...)." in said
    assert image.read_bytes() == before and {path.name for path in tmp_path.iterdir()} == {"cells.png", "link"}
    Image.open(image).save(tmp_path / "photo.jpg")
    call("predict", network, tmp_path / "photo.jpg", "-o", tmp_path)
    assert (tmp_path / "photo.png").is_file()


def test_predict_and_evaluate_warn_once_of_images_of_another_depth(network, tmp_path):
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.png", np.full((20, 20), 51400 - number, np.uint16))
        write_image(tmp_path / "labels" / f"{number}.png", np.full((20, 20), number % 2, np.uint8))
    said = call("predict", network, tmp_path / "images", "-o", tmp_path / "out").stderr
    assert said.count("warning: ") == 1
    assert f"{tmp_path / 'images' / '0.png'}: its brightest pixel is 51400, but white is 255 to this network" in said
    words = ["--dataset", "folder", "--data-dir", tmp_path, "--split", "train"]
    assert call("evaluate", network, *words).stderr.count("but white is 255 to this network") == 1


def test_predict_names_the_folders_it_does_not_look_into_and_a_file_that_is_no_folder(network, image, tmp_path):
    (tmp_path / "mine" / "images").mkdir(parents=True)
    said = call("predict", network, tmp_path / "mine", "-o", tmp_path / "out", exit_code=3).stderr
    assert "no image in this folder" in said and "not searched (images): name those you mean" in said
    assert "is a file" in call("predict", network, image, "-o", image, exit_code=2).stderr


def test_a_stream_that_is_given_twice_is_refused(tmp_path):
    said = call("predict", "x", "--stream", "rgb=a", "--stream", "rgb=b", "-o", tmp_path, exit_code=2).stderr
    assert "'rgb' is given twice" in said


def test_predict_says_what_it_wrote_and_how_masks_of_two_classes_are_seen(network, image, tmp_path):
    black = "hold the numbers 0 (class 0) and 1 (class 1) and look black in a viewer; "
    said = call("predict", network, image, "-o", tmp_path / "out").stderr
    assert f"1 file read, 1 written to {tmp_path / 'out'}: 1 STEM.png\n" in said
    assert f"{black}--overlay draws them on the image." in said
    (tmp_path / "cells2.png").write_bytes(image.read_bytes())
    words = ["--overlay", "--probabilities"]
    said = call("predict", network, image, tmp_path / "cells2.png", "-o", tmp_path / "out", *words).stderr
    assert "2 files read, 6 written to " in said
    assert ": 2 STEM.png, 2 STEM_probabilities.tif, 2 STEM_overlay.png\n" in said
    assert f"{black}STEM_overlay.png shows them" in said


def test_predict_says_nothing_of_black_where_the_mask_is_in_colours(image, tmp_path):
    save_network(kseg.build("unet", depth=1, width=2, classes=3), tmp_path / "three.keras")
    assert "look black" not in call("predict", tmp_path / "three.keras", image, "-o", tmp_path / "out").stderr


def test_the_progress_of_a_stack_is_that_of_its_slices(network, tmp_path):
    with stack_writer(tmp_path / "stack.tif") as write:
        for _ in range(3):
            write(np.zeros((20, 20), np.uint8))
    told = []
    predict_file(
        kseg.predictor(kseg.load(network)),
        tmp_path / "stack.tif",
        tmp_path / "out",
        progress=lambda *where: told.append(where),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_ctrl_c_ends_predict_at_once_with_whole_files_alone(network, image, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(2000):
        os.link(image, tmp_path / "in" / f"{number:04d}.png")
    words = ["predict", network, tmp_path / "in", "-o", tmp_path / "out", "--probabilities"]
    command = [sys.executable, Path(kseg.__file__).parents[1] / "cli.py", *words]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(5):
            assert process.stdout.readline().endswith(".png\n")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
    finally:
        process.kill()
    assert process.returncode == 130 and "Stopping after this page. Once more ends at once.\nInterrupted." in said
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert 5 <= len(written) < 2000 and not [name for name in written if name.startswith(".")]
    for name in written:
        assert kseg.images.read_image(tmp_path / "out" / name).shape[:2] == (31, 27)
