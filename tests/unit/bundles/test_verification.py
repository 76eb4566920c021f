"""The gate that a bundle passes before it leaves. In float32."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.bundles import verify
from kseg.bundles.verification import VerificationFailed, verify_bundle
from kseg.bundles.warm_up import FILE, png_of
from kseg.folders import FACTS


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return kseg.build("unet", depth=1, width=4, padding="same", classes=3, input_shape=(None, None, 3))


@pytest.fixture(scope="module")
def bundle(network, tmp_path_factory):
    return kseg.export(network, tmp_path_factory.mktemp("models"), name="cells", verify=True)


def test_a_verified_bundle_says_what_was_looked_at(bundle):
    found = json.loads((bundle / "verify.json").read_text())
    assert found["passed"] and found["agreement"] >= 0.999 and found["problems"] == []
    assert found["compared_with"] == "predict" and len(found["images"]) == 4 and found["warm_up"] == 4
    assert set(found["signatures"]) == {"serving_default", "scores", "probabilities", "image_bytes"}
    assert found["answer_bytes"]["scores"] > 4 * 3 * 256 * 256 and found["seconds"]["image_bytes"] > 0
    assert json.loads((bundle / "assets" / "classes.json").read_text())["mask"][1]["colour"] == [128, 0, 0]


def test_a_bundle_where_it_lies_is_verified_against_itself_in_python(bundle):
    found = verify(bundle)
    assert found.passed and found.compared_with == "the bundle in Python" and "4 signatures" in str(found)


def test_the_c_api_gives_what_a_server_gives_and_python_s_tensorflow_is_not_imported(bundle, network):
    code = f"""
import sys, numpy as np
from kseg.bundles.c_api import CBundle
bundle = CBundle({str(bundle)!r})
assert sorted(bundle.signatures) == ["image_bytes", "probabilities", "scores", "serving_default"]
mask = bundle("serving_default", {{"images": np.zeros((1, 9, 8, 3), np.uint8)}})["mask"]
assert mask.shape == (1, 9, 8) and mask.dtype == np.uint8
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_one_bad_image_spoils_only_its_own_answer(bundle, network):
    image = np.random.default_rng(0).integers(0, 255, (20, 31, 3)).astype(np.uint8)
    call = tf.saved_model.load(str(bundle)).signatures["image_bytes"]
    found = call(images=tf.constant([b"nothing", png_of(image), b"\xff\xd8\xff", png_of(image[:7])]))
    errors = found["error"].numpy()
    assert errors[0] and errors[2] and errors[1] == errors[3] == b""
    assert found["height_width"].numpy().tolist() == [[0, 0], [20, 31], [0, 0], [7, 31]]
    mask = tf.io.decode_png(found["mask_bytes"][1]).numpy()[..., 0]
    np.testing.assert_array_equal(mask, kseg.predict(network, image))
    assert found["mask_bytes"].numpy()[0] == b""


def test_a_request_with_too_many_pixels_is_refused(network, tmp_path):
    small = kseg.export(network, tmp_path, name="small", most_pixels=70_000, warm_up=[(64, 64)])
    loaded = tf.saved_model.load(str(small))
    call = loaded.signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="may have 70,000 pixels together"):
        call(images=tf.zeros((2, 256, 256, 3), tf.uint8))
    assert call(images=tf.zeros((1, 256, 256, 3), tf.uint8))["mask"].shape == (1, 256, 256)
    error = loaded.signatures["image_bytes"](images=tf.constant([png_of(np.zeros((300, 300, 3), np.uint8))]))["error"]
    assert error.numpy()[0] == b"It has more than 70,000 pixels."


def test_a_bundle_of_another_network_does_not_pass(bundle, network, tmp_path):
    other = keras.models.clone_model(network)
    with pytest.raises(VerificationFailed, match="of the pixels of an image are as in predict"):
        verify_bundle(bundle, other).check()
    assert VerificationFailed.exit_code == 1
    verify(bundle)  # its own verify.json again


def test_a_bundle_is_made_in_base_where_the_folder_beside_it_can_not_be_written(network, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    made = []
    plain = tempfile.mkdtemp
    monkeypatch.setattr(
        tempfile, "mkdtemp", lambda *args, **named: made.append(named.get("dir")) or plain(*args, **named)
    )
    assert kseg.export(network, tmp_path / "models", name="a") == tmp_path / "models" / "a" / "1"
    assert tmp_path / "models" in made and [path.name for path in (tmp_path / "models").iterdir()] == ["a"]


@pytest.mark.parametrize("harm", ["warm-up", "python", "contract"])
def test_what_is_wrong_with_a_bundle_is_named(network, tmp_path, monkeypatch, harm):
    if harm == "python":
        from kseg.bundles import graph

        plain = graph.BundleGraph._ids
        monkeypatch.setattr(
            graph.BundleGraph,
            "_ids",
            lambda self, parts: {
                head: tf.ensure_shape(tf.numpy_function(lambda each: each, [part], part.dtype), part.shape)
                for head, part in plain(self, parts).items()
            },
        )
        with pytest.raises(VerificationFailed, match="the operation PyFunc, which calls Python"):
            kseg.export(network, tmp_path / "models", name="a", verify=True)
        assert not list((tmp_path / "models").rglob("*")) and not list(tmp_path.glob(".kseg-*"))
        return
    bundle = kseg.export(network, tmp_path, name="a")
    if harm == "warm-up":
        (bundle / FILE).unlink()
        assert verify(bundle).problems == ["It has no warm-up requests."]
    else:
        facts = json.loads((bundle / FACTS).read_text())
        (bundle / FACTS).write_text(json.dumps({**facts, "heads": {"": 4}}))
        with pytest.raises(Exception, match="scores|shape|classes"):
            verify(bundle).check()


def test_an_export_that_is_killed_leaves_nothing_that_a_server_would_load(tmp_path):
    code = f"""
import keras, kseg
keras.utils.set_random_seed(0)
network = kseg.build("unet", depth=1, width=2, padding="same", classes=2)
print("ready", flush=True)
for number in range(9):
    kseg.export(network, {str(tmp_path / "models")!r}, name="a")
"""
    for wait in (0.3, 1.0, 2.0):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for version in (tmp_path / "models").glob("*/*"):
            assert version.name.isdigit() and kseg.load(version)


@pytest.mark.skipif(not os.environ.get("KSEG_LEGACY_PYTHON"), reason="KSEG_LEGACY_PYTHON names no TensorFlow 2.15")
def test_a_bundle_answers_alike_in_tensorflow_2_15_beside_tensorflow_addons(bundle):
    found = verify(bundle)
    assert found.passed and found.legacy["agreement"] >= 0.999 and found.legacy["versions"].startswith("2.15")
