import json
import os
import shutil
import tracemalloc

import h5py
import numpy as np
import pytest
import scipy.io
from dataset_case import classes_of, put, put_mat, put_text, write_nyudv2

from kseg import datasets
from kseg.datasets.published.hha import encode_hha
from kseg.datasets.published.nyudv2 import CAMERA
from kseg.datasets.shards.packed import traits_from_json, traits_to_json
from kseg.errors import ConfigError, DataError
from kseg.images import read_label

CROP = (slice(45, 470), slice(40, 600))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    root = tmp_path_factory.mktemp("nyu") / "published"
    write_nyudv2(root, frames=(1, 3, 10))
    return root


def write_prepared(root, numbers, data):
    """The FCN authors' folders with what `data` (view rgbd and hha) holds."""
    for number, colour, hha in zip(numbers, *data, strict=True):
        put(root / "data" / "images" / f"img_{number}.png", colour.image[..., :3].astype(np.uint8))
        put(root / "data" / "depth" / f"img_{number}.png", colour.image[..., 3])
        put(root / "data" / "hha" / f"img_{number}.png", hha.image)
        label = np.where(colour.label == 255, 0, colour.label + 1).astype(np.uint8)
        put_mat(root / "segmentation" / f"img_{number}.mat", segmentation=label)


def test_a_frame_is_cropped_turned_and_its_894_labels_are_made_40_classes(published):
    data = datasets.open("nyudv2", published, split="train")
    image, label = classes_of(480, 640, 41, 3)
    assert data.ids == ["img_5003"] and len(data.classes) == 40
    np.testing.assert_array_equal(data[0].image, image[CROP])
    np.testing.assert_array_equal(data[0].label, np.where(label == 0, 255, label.astype(int) - 1)[CROP])


def test_rgbd_has_colour_and_millimetres_in_one_array(published):
    image = datasets.open("nyudv2", published, split="train", view="rgbd")[0].image
    assert image.shape == (425, 560, 4) and image.dtype == np.uint16
    np.testing.assert_array_equal(image[..., :3], classes_of(480, 640, 41, 3)[0][CROP])
    assert image[0, 0, 3] == round(1000 * (4 - 3 * 45 / 479)) and image[60, 15, 3] == 3000  # a filled hole


def test_a_depth_becomes_the_nearest_millimetre(published, tmp_path):
    for path in published.iterdir():
        shutil.copy(path, tmp_path)
    metres = [2.3, 2.0344, 2.0346, 0.0009]
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][2, 40:44, 45] = metres  # frame 3, from the crop's first pixel to the right
    image = datasets.open("nyudv2", tmp_path, split="train", view="rgbd")[0].image
    assert image[0, :4, 3].tolist() == [2300, 2034, 2035, 1]


def test_what_is_colour_in_each_view_is_known_and_packed(published):
    known = {"rgb": ({"": 3}, None), "rgbd": ({"": 3}, 255), "hha": ({}, None), "rgb-hha": ({"rgb": 3}, None)}
    for view, expected in known.items():
        data = datasets.open("nyudv2", published, split="train", view=view)
        assert (data.colour_channels, data.colour_white) == expected
        assert traits_from_json(json.loads(json.dumps(traits_to_json(data))))["colour_channels"] == expected[0]


def test_hha_is_made_with_the_cropped_camera_from_what_was_measured(published):
    item = datasets.open("nyudv2", published, split="train", view="rgb-hha")[0]
    raw = (np.linspace(4, 1, 480)[:, None] + np.zeros(640)).astype(np.float32)
    raw[100:110, 50:63] = 0
    raw = raw[CROP]
    camera = CAMERA.cropped(45, 40)
    assert set(item.image) == {"rgb", "hha"} and round(camera.cx, 3) == 285.582 and round(camera.cy, 3) == 208.736
    np.testing.assert_array_equal(item.image["hha"], encode_hha(np.where(raw == 0, 3, raw), raw, camera))
    alone = datasets.open("nyudv2", published, split="train", view="hha")[0]
    np.testing.assert_array_equal(alone.image, item.image["hha"])


def test_the_fcn_authors_folders_hold_the_same(published, tmp_path):
    views = [datasets.open("nyudv2", published, split="trainval", view=view) for view in ("rgbd", "hha")]
    write_prepared(tmp_path / "nyud", (5003, 5010), views)
    for split, line in (("train", "5003"), ("val", "5010"), ("test", "")):
        put_text(tmp_path / "nyud" / f"{split}.txt", line)
    for view in ("rgb", "rgbd", "hha", "rgb-hha"):
        for split in ("trainval", "val"):
            ours = datasets.open("nyudv2", tmp_path, split=split, view=view)
            theirs = datasets.open("nyudv2", published, split=split, view=view)
            assert ours.ids == theirs.ids
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one.label, other.label)
                for stream, image in other.images.items():
                    np.testing.assert_array_equal(one.images[stream], image)


def test_one_frame_costs_one_frame_s_memory(published):
    data = datasets.open("nyudv2", published, split="train", view="rgbd")
    data[0]
    tracemalloc.start()
    data[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6  # 480 x 640 values: 2.5 MB as float64, and all of the file is 33 MB


def test_what_is_missing_or_unknown_is_named(published, tmp_path):
    with pytest.raises(ConfigError, match="view is 'depth', but must be one of rgb, rgbd, hha, rgb-hha"):
        datasets.open("nyudv2", published, split="train", view="depth")
    root = tmp_path / "half"
    root.mkdir()
    os.link(published / "nyu_depth_v2_labeled.mat", root / "nyu_depth_v2_labeled.mat")
    with pytest.raises(DataError, match=r"classMapping40.mat: there is no such file. .* 894 labels .* Put it beside"):
        datasets.open("nyudv2", root, split="train")
    put_mat(root / "classMapping40.mat", mapClass=np.ones((1, 100), np.uint8))
    with pytest.raises(DataError, match="splits.mat: there is no such file"):
        datasets.open("nyudv2", root, split="train")
    put_mat(root / "splits.mat", trainNdxs=np.array([[3], [400]]), testNdxs=np.array([[1]]))
    data = datasets.open("nyudv2", root, split="trainval")
    with pytest.raises(DataError, match="frame 3: label 1.. at row 0, .* but classMapping40.mat knows 100"):
        data[0]
    with pytest.raises(DataError, match="frame 400: no labels .* Copy or fetch the file again"):
        data[1]


def test_a_file_cut_short_is_named(published, tmp_path):
    for path in published.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: 50_000 if "labeled" in path.name else None])
    data = datasets.open("nyudv2", tmp_path, split="train")
    with pytest.raises(DataError, match=r"labeled.mat, frame 3: no labels \(.*\). Copy or fetch the file again"):
        data[0]


def test_the_splits_are_those_of_the_release(shared, tmp_path):
    samples, lists = shared / "data" / "nyudv2", shared / "data" / "lists"
    for name in ("splits.mat", "classMapping40.mat"):
        os.symlink(samples / name, tmp_path / name)
    os.symlink(samples / "tiny_nyu_depth_v2_labeled.mat", tmp_path / "nyu_depth_v2_labeled.mat")
    for split, count in (("train", 381), ("val", 414), ("test", 654)):
        listed = (lists / f"nyud_fcn_{split}_{count}.txt").read_text().split()
        assert sorted(datasets.open("nyudv2", tmp_path, split=split).ids) == [f"img_{one}" for one in sorted(listed)]


def test_the_real_masks_come_back_from_their_894_labels(shared, tmp_path):
    samples = shared / "data" / "nyudv2"
    os.symlink(samples / "classMapping40.mat", tmp_path / "classMapping40.mat")
    os.symlink(samples / "tiny_nyu_depth_v2_labeled.mat", tmp_path / "nyu_depth_v2_labeled.mat")
    scipy.io.savemat(tmp_path / "splits.mat", {"testNdxs": np.array([[1], [2], [3]], np.uint16)})
    data = datasets.open("nyudv2", tmp_path, split="test")
    for place, name in ((1, "000834"), (2, "001299")):
        frame = np.full((480, 640), 255)
        frame[6:474, 7:632] = read_label(samples / "labelled_frames" / f"{name}_mask.png")
        np.testing.assert_array_equal(data[place].label, frame[CROP])


def test_the_real_frame_in_the_fcn_authors_folders_is_read(shared):
    data = datasets.open("nyudv2", shared / "data" / "nyudv2" / "fcn_layout", split="test", view="rgb-hha")
    item = data[0]
    assert data.ids == ["img_5001"] and {image.shape for image in item.image.values()} == {(425, 560, 3)}
    assert 255 in item.label and 0 in item.label
