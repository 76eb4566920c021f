"""What a training asks of its data, asked by the check in the same words."""

import numpy as np
import pytest
import tifffile
from check_trees import image, put, tree

from kseg.check import Needs, check
from kseg.check.preflight import preflight
from kseg.errors import ConfigError, DataError, SizeError
from kseg.geometry import unet_geometry
from kseg.images import doubts_of_levels
from kseg.preparation.needs import needs_of
from kseg.recipes import RECIPES, names

# A U-Net of depth 1 without padding takes 18, 20, 22, ...: 2 (m + 4) - 4 with m = 7, 8, ...
SMALL = unet_geometry(1, "valid")


def refused(root, needs):
    (finding,) = check("folder", root, needs=needs).findings
    assert finding.kind == "refused"
    return f"{finding.what}. {finding.advice()}"


def test_sizes_are_asked_of_the_crop_and_without_one_of_every_image(tmp_path):
    tree(tmp_path)  # images of 6 x 8
    needs = Needs(crop=(19, 20), geometry=SMALL)
    assert refused(tmp_path, needs).startswith("data.crop: height 19 does not fit this network")
    with pytest.raises(SizeError, match="height 19 does not fit"):
        preflight("folder", tmp_path, needs, {})
    assert "image a: height 6 does not fit" in refused(tmp_path, Needs(geometry=SMALL))
    assert not check("folder", tmp_path, needs=Needs(crop=(20, 20), geometry=SMALL)).findings


def test_whole_images_of_several_sizes_do_not_stand_in_one_batch(tmp_path):
    tree(tmp_path)
    put(tmp_path / "train/images/b.png", image(1)[:4])
    put(tmp_path / "train/labels/b.png", np.eye(4, 8, dtype=np.uint8) * 2 + np.eye(4, 8, 1, dtype=np.uint8))
    needs = Needs(batch_size=2, geometry=unet_geometry(1, "same"))
    assert "the images are of 2 sizes" in refused(tmp_path, needs)
    assert not check("folder", tmp_path, needs=Needs(batch_size=1, geometry=unet_geometry(1, "same"))).findings


def test_parts_of_other_channels_than_train_are_refused(tmp_path):
    tree(tmp_path)
    for name in "ab":
        five = np.concatenate([image(ord(name))] * 2, axis=2)[..., :5]
        tifffile.imwrite(tmp_path / f"val/images/{name}.tif", five, photometric="minisblack", planarconfig="contig")
        (tmp_path / f"val/images/{name}.png").unlink()
    with pytest.raises(DataError, match="val has images of 5 channels, train of 3"):
        preflight("folder", tmp_path, Needs(), {})
    assert check("folder", tmp_path).findings


def test_a_measure_that_needs_objects_is_refused_where_none_are_numbered(tmp_path):
    tree(tmp_path)
    assert "measure is seg, but folder has no numbered objects" in refused(tmp_path, Needs(measure="seg"))


def test_float_images_need_a_white(tmp_path):
    tree(tmp_path)
    for seed, path in enumerate(sorted(tmp_path.rglob("images/*.png"))):
        tifffile.imwrite(path.with_suffix(".tif"), image(seed)[..., 0] / np.float32(510))
        path.unlink()
    with pytest.raises(ConfigError, match=r"float32, up to 0.\d+: their white can't be known. Pass white=0"):
        preflight("folder", tmp_path, Needs(is_scaled=True), {})
    assert not check("folder", tmp_path, needs=Needs(is_scaled=True, white=0.5)).findings


def test_the_check_warns_of_12_bits_in_16_as_train_does(tmp_path):
    tree(tmp_path)
    for seed, path in enumerate(sorted(tmp_path.rglob("images/*.png"))):
        put(path, image(seed)[..., 0].astype(np.uint16) * 16)
    (grey,) = check("folder", tmp_path, needs=Needs(is_scaled=True)).findings
    assert grey.kind == "grey"
    assert grey.what.endswith("white is 65535") and grey.advice().endswith("Else pass white=4095")
    assert not check("folder", tmp_path, needs=Needs(is_scaled=True, white=4095)).findings


def test_the_check_doubts_the_darkest_end_as_train_does(tmp_path):
    tree(tmp_path)
    for seed, path in enumerate(sorted(tmp_path.rglob("images/*.png"))):
        levels = image(seed)[..., 0].astype(np.float32)
        levels[0, 0] = -9999
        tifffile.imwrite(path.with_suffix(".tif"), levels)
        path.unlink()
    (grey,) = check("folder", tmp_path, needs=Needs(is_scaled=True, white=255)).findings
    (doubt,) = doubts_of_levels(-9999, 255, 255)
    assert grey.kind == "grey" and (f"{grey.what}.", grey.fix) == (doubt.what, doubt.fix)
    assert "-a_nodata -9999" in grey.fix[0]


def test_every_recipe_says_what_it_asks_without_its_network():
    for name in names():
        needs = needs_of(RECIPES.get(name)())
        assert needs.batch_size >= 1
    own = needs_of(RECIPES.get("own-unet")(), {"data.crop": "none", "model.depth": "2", "data.white": "4095"})
    assert own == Needs(None, None, 4, 4095.0, True, own.measure, unet_geometry(2, "same"))
    assert needs_of(RECIPES.get("voc-fcn8s")()).geometry is None
    with pytest.raises(ConfigError, match="model.dept can't apply here. Did you mean 'model.depth'"):
        needs_of(RECIPES.get("own-unet")(), {"model.dept": 2})


def test_a_folder_with_test_alone_is_no_part_to_train_on(tmp_path):
    tree(tmp_path, splits=("test",))
    with pytest.raises(DataError, match="there is all, test, and nothing to train on. Put images for that into train/"):
        preflight("folder", tmp_path, Needs(), {})
