import subprocess
import sys

import numpy as np
import pytest

import kseg
from kseg.bundles.graph import input_kind
from kseg.errors import DataError, ExportError, WeightsError
from kseg.folders import axes_of_run, find_bundle
from kseg.inference import predict_scores
from kseg.inference.in_training import save_network
from kseg.layers import InputScaling


@pytest.fixture(scope="module")
def network():
    return kseg.build("unet", depth=1, width=2, padding="same", normalization="batch")


def test_a_keras_file_comes_back(network, tmp_path):
    save_network(network, tmp_path / "a.keras")
    image = np.random.default_rng(0).integers(0, 255, (1, 16, 16, 1))
    np.testing.assert_array_equal(kseg.load(tmp_path / "a.keras")(image), network(image))


@pytest.mark.parametrize("content", [b"", b"not a network", b"PK\x03\x04" + bytes(60)])
def test_a_damaged_keras_file_is_refused(content, tmp_path):
    (tmp_path / "a.keras").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.keras: this file can't be loaded"):
        kseg.load(tmp_path / "a.keras")


def test_a_truncated_keras_file_is_refused(network, tmp_path):
    save_network(network, tmp_path / "a.keras")
    whole = (tmp_path / "a.keras").read_bytes()
    (tmp_path / "a.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="can't be loaded"):
        kseg.load(tmp_path / "a.keras")


def test_what_is_no_network_says_what_is_wanted(tmp_path):
    with pytest.raises(WeightsError, match="found nothing"):
        kseg.load(tmp_path / "missing")
    with pytest.raises(WeightsError, match="found a folder with none of them"):
        kseg.load(tmp_path)
    (tmp_path / "a.h5").touch()
    with pytest.raises(WeightsError, match=r"found a \.h5 file"):
        kseg.load(tmp_path / "a.h5")


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_bundle_gives_the_scores_of_predict_at_any_size(padding, tmp_path):
    network = kseg.build("unet", depth=2, width=2, padding=padding, input_shape=(None, None, 3), classes=3)
    folder = kseg.export(network, tmp_path, name="cells")
    assert folder == tmp_path / "cells" / "1"
    bundle = kseg.load(tmp_path / "cells")
    for size in ((1, 1), (37, 53), (64, 64)):
        image = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
        np.testing.assert_allclose(predict_scores(bundle, image), predict_scores(network, image), rtol=0, atol=2e-5)


def test_a_bundles_endpoints_are_named_and_need_nothing_of_kseg(network, tmp_path):
    folder = kseg.export(network, tmp_path, name="cells")
    image = np.random.default_rng(0).integers(0, 255, (1, 21, 30, 1)).astype(np.uint8)
    np.save(tmp_path / "image.npy", image)
    code = (
        "import sys, numpy, tensorflow as tf\n"
        f"serve = tf.saved_model.load({str(folder)!r}).signatures['serving_default']\n"
        "spec = serve.structured_input_signature[1]['images']\n"
        "assert spec.dtype == tf.uint8 and spec.shape.as_list() == [None, None, None, 1], spec\n"
        f"mask = serve(images=tf.constant(numpy.load({str(tmp_path / 'image.npy')!r})))['mask']\n"
        f"numpy.save({str(tmp_path / 'mask.npy')!r}, mask)\n"
        "assert 'kseg' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    mask = np.load(tmp_path / "mask.npy")
    assert mask.shape == (1, 21, 30)
    np.testing.assert_array_equal(mask[0], kseg.predict(network, image[0]))


def test_a_bundle_holds_no_op_that_a_server_lacks(tmp_path):
    tf = pytest.importorskip("tensorflow")
    from tensorflow.core.protobuf import saved_model_pb2

    network = kseg.build("unet", depth=1, width=2, dropout=0.5, normalization="batch")
    graph = saved_model_pb2.SavedModel.FromString(
        (kseg.export(network, tmp_path, name="a") / "saved_model.pb").read_bytes()
    )
    functions = graph.meta_graphs[0].graph_def.library.function
    ops = {node.op for function in functions for node in function.node_def}
    assert "Conv2D" in ops and tf.__version__
    assert not [op for op in ops if op.startswith(("PyFunc", "EagerPyFunc", "StatelessRandom", "Random", "Xla"))]


@pytest.mark.parametrize(("white", "kind"), [(255, "uint8"), (4095, "uint16"), (65535, "uint16"), (1, "float32")])
def test_a_bundle_takes_images_as_they_are_stored(white, kind, tmp_path):
    network = kseg.build("unet", depth=1, width=1, preprocessing=InputScaling(scale=1 / white))
    assert input_kind(network).name == kind


def test_a_bundle_refuses_deeper_images_than_it_was_made_for(network, tmp_path):
    bundle = kseg.load(kseg.export(network, tmp_path, name="cells"))
    with pytest.raises(DataError, match="values of type uint16, but this bundle takes uint8"):
        kseg.predict(bundle, np.zeros((8, 8), np.uint16))


def test_versions_count_on_and_are_never_written_over(network, tmp_path):
    assert kseg.export(network, tmp_path, name="a").name == "1"
    assert kseg.export(network, tmp_path, name="a").name == "2"
    assert kseg.export(network, tmp_path, name="a", version=7).name == "7"
    assert kseg.export(network, tmp_path, name="a").name == "8"
    with pytest.raises(ExportError, match="this version exists"):
        kseg.export(network, tmp_path, name="a", version=7)
    assert [path.name for path in (tmp_path / "a").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/a"])
def test_a_bundles_name_leads_nowhere_else(name, network, tmp_path):
    with pytest.raises(ExportError, match="not a plain name of a folder"):
        kseg.export(network, tmp_path / "models", name=name)
    assert not list(tmp_path.iterdir())


def test_a_damaged_bundle_is_refused(network, tmp_path):
    folder = kseg.export(network, tmp_path, name="a")
    (folder / "saved_model.pb").write_bytes(b"\x0a\x05damage")
    with pytest.raises(WeightsError, match="this bundle can't be loaded"):
        kseg.load(folder)


def test_the_highest_version_is_the_highest_number(tmp_path):
    for version in (9, 10):
        (tmp_path / str(version)).mkdir()
        (tmp_path / str(version) / "saved_model.pb").touch()
    assert find_bundle(tmp_path) == tmp_path / "10"


def test_a_run_says_what_pages_are_to_its_network(tmp_path):
    assert axes_of_run(tmp_path) is axes_of_run("isbi2012-unet") is None
    (tmp_path / "config.json").write_text('{"recipe": {"data": {"name": "folder", "axes": "CYX"}}}')
    assert axes_of_run(tmp_path) == axes_of_run(tmp_path / "model.keras") == "CYX"
    for damaged in ("{", "[]", '{"recipe": 3}'):
        (tmp_path / "config.json").write_text(damaged)
        assert axes_of_run(tmp_path) is None  # `load` says what is wrong with it
