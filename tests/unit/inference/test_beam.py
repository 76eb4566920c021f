"""Many files by Apache Beam's direct runner, beside `predict_files`."""

import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import DataError
from kseg.images import read_label, write_image
from kseg.inference.files import Extras, predict_files
from kseg.inference.in_training import save_network

pytest.importorskip("apache_beam")

from kseg.inference.files.beam import FAILED, predict_on_beam  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Beam's own
TWO = ["--runner=DirectRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    file = tmp_path_factory.mktemp("networks") / "a.keras"
    save_network(kseg.build("unet", depth=1, width=4, padding="same", classes=3), file)
    return file


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        write_image(tmp_path / "images" / f"{number:02}.png", rng.integers(0, 255, (40, 50 + number)).astype(np.uint8))
    return tmp_path / "images"


def results(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name != FAILED and not path.name.endswith(".tmp")
    }


def plain(model, images, folder, **extras):
    files = sorted(images.glob("*.png"))
    list(predict_files(kseg.predictor(kseg.load(model)), files, folder, extras=Extras(**extras)))
    return results(folder)


@pytest.mark.parametrize("options", [[], TWO])
def test_the_files_are_those_of_plain_predict(model, images, tmp_path, options):
    (images / "broken.png").write_bytes(b"\x89PNG nothing")
    failed = predict_on_beam(
        str(model), [str(images)], str(tmp_path / "beam"), options=options, extras=Extras(with_instances=True)
    )
    assert [each["path"] for each in failed] == [str(images / "broken.png")] and "broken.png: " in failed[0]["reason"]
    (images / "broken.png").unlink()
    assert results(tmp_path / "beam") == plain(model, images, tmp_path / "plain", with_instances=True)


def test_what_is_done_is_not_done_again_and_what_failed_is_tried_again(model, images, tmp_path):
    (images / "broken.png").write_bytes(b"nothing")
    predict_on_beam(str(model), [str(images / "*.png")], str(tmp_path / "beam"))
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "beam").iterdir()}
    shutil.copy(images / "03.png", images / "broken.png")
    assert predict_on_beam(str(model), [str(images / "*.png")], str(tmp_path / "beam")) == []
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "beam").iterdir()}
    assert "broken.png" in after and all(after[name] == stamp for name, stamp in before.items() if name != FAILED)
    np.testing.assert_array_equal(
        read_label(tmp_path / "beam" / "broken.png"), read_label(tmp_path / "beam" / "03.png")
    )


def test_a_pipeline_whose_worker_is_killed_goes_on(model, images, tmp_path):
    code = f"""
from kseg.inference.files.beam import predict_on_beam
predict_on_beam({str(model)!r}, [{str(images)!r}], {str(tmp_path / "beam")!r}, options={TWO!r})
"""
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if len(list((tmp_path / "beam").glob("*.png"))) > 1 or process.poll() is not None:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)  # the pipeline and its workers
    process.wait()
    assert predict_on_beam(str(model), [str(images)], str(tmp_path / "beam"), options=TWO) == []
    assert results(tmp_path / "beam") == plain(model, images, tmp_path / "plain")


def test_what_can_not_be_predicted_at_all_is_refused(model, images, tmp_path):
    with pytest.raises(DataError, match="no image there"):
        predict_on_beam(str(model), [str(images / "*.tif")], str(tmp_path / "beam"))
    shutil.copytree(images, tmp_path / "again")
    with pytest.raises(DataError, match="both results would be called 00"):
        predict_on_beam(str(model), [str(images), str(tmp_path / "again")], str(tmp_path / "beam"))
    assert not (tmp_path / "beam" / "00.png").exists()
