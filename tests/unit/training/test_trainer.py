import json

import keras
import numpy as np
import pytest
import tifffile

import kseg
from kseg.images import write_image

SLIM = {"model.width": 2, "model.depth": 1, "data.crop": "16,16", "data.batch_size": 1, "steps": 1}


@pytest.fixture
def halves(tmp_path):
    """Ten grey images, bright on the right, and their labels."""
    label = np.zeros((20, 20), np.uint8)
    label[:, 10:] = 1
    for number in range(10):
        write_image(tmp_path / "data" / "images" / f"{number}.png", label * 200)
        write_image(tmp_path / "data" / "labels" / f"{number}.png", label)
    return tmp_path / "data"


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_configuration_and_report_state_the_precision(halves, precision):
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings={**SLIM, "precision": precision})
    for name in ("config.json", "report.json"):
        assert json.loads((run.folder / name).read_text())["precision"] == precision
    assert run.report.protocol.endswith(f", {precision}.")
    assert run.model.get_layer("enc0.conv1").dtype_policy.name == precision
    assert keras.config.dtype_policy().name == "float32"


def test_the_papers_training_takes_its_first_step_at_a_slim_width(tmp_path):
    label = np.zeros((30, 24, 24), np.uint8)
    label[:, :, :10], label[:, :, 12:] = 255, 255
    for name in ("train-volume.tif", "train-labels.tif"):
        tifffile.imwrite(tmp_path / name, label, photometric="minisblack", metadata=None)
    settings = {"model.width": 4, "steps": 1, "average": "none"}
    run = kseg.train("isbi2012-unet-paper", data_dir=tmp_path, run=tmp_path / "run", settings=settings)
    assert run.report.precision == "mixed_float16"
    assert run.model.compute_output_shape((1, 572, 572, 1)) == (1, 388, 388, 2)
