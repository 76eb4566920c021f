"""The FCN family against golden/caffe: what BVLC Caffe computes from the same files."""

import keras
import numpy as np
import pytest

import kseg
from kseg.layers import CropTo
from kseg.weights import import_caffemodel, load_caffemodel

# Of a blob's largest value. Its README derives it: Caffe's own builds differ by 2e-5, real mistakes by 0.09 and more.
TOLERANCE = 2e-4

VGG, ALEXNET = {"width": 1 / 16, "fc_width": 40}, {"width": 1 / 8, "fc_width": 40}
# golden data, file of weights, the network
NETWORKS = [
    ("vgg16", "vgg16", ("vgg16", {"classes": 20, **VGG})),
    ("caffenet", "caffenet", ("alexnet", {"classes": 20, **ALEXNET})),
    ("caffenet", "caffenet.v1", ("alexnet", {"classes": 20, **ALEXNET})),
    ("caffenet", "caffenet.v0", ("alexnet", {"classes": 20, **ALEXNET})),
    ("googlenet", "googlenet", ("googlenet", {"classes": 20, "width": 1 / 8})),
    ("voc-fcn32s", "voc-fcn32s", ("fcn32s", {"classes": 4, **VGG})),
    ("voc-fcn32s", "voc-fcn32s.v1", ("fcn32s", {"classes": 4, **VGG})),
    ("voc-fcn8s", "voc-fcn8s", ("fcn8s", {"classes": 21, **VGG})),
    ("voc-fcn8s-atonce", "voc-fcn8s-atonce", ("fcn8s-atonce", {"classes": 8, **VGG})),
    ("voc-fcn-alexnet", "voc-fcn-alexnet", ("fcn32s", {"backbone": "alexnet", "classes": 5, **ALEXNET})),
    ("nyud-fcn32s-color-d", "nyud-fcn32s-color-d", ("fcn32s-rgbd", {"classes": 5, **VGG})),
    ("siftflow-fcn8s", "siftflow-fcn8s", ("fcn8s", {"classes": {"semantic": 9, "geometric": 3}, **VGG})),
    ("voc-fcn8s-dense-up", "voc-fcn8s-dense-up", ("fcn8s", {"classes": 6, "upsampling": "learned", **VGG})),
]
CONVOLUTIONAL = [
    ("vgg16-conv", "vgg16", ("vgg16", {"classes": 20, "convolutional": True, **VGG})),
    ("caffenet-conv", "caffenet", ("alexnet", {"classes": 20, "convolutional": True, **ALEXNET})),
]


@pytest.fixture(scope="module")
def caffe(shared):
    folder = shared / "golden" / "caffe"
    if not folder.is_dir():
        pytest.skip(f"needs the golden data of Caffe, which are not at {folder}")
    return folder


def blobs(network: keras.Model, golden) -> dict[str, np.ndarray]:
    """What the network computes from the golden input, (N, C, H, W), for each golden blob."""
    names = [key for key in golden if not key.startswith(("input", "offset/"))]
    layers = {name: network.get_layer(name.replace("/", ".")) for name in names if name != "prob"}
    inner = keras.Model(network.input, {name: layer.output for name, layer in layers.items()})
    found = inner(golden["input"].transpose(0, 2, 3, 1), training=False)
    found = {name: np.asarray(value) for name, value in found.items()}
    if "prob" in names:
        found["prob"] = np.asarray(keras.ops.softmax(found[names[names.index("prob") - 1]]))
    return {name: value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for name, value in found.items()}


def check(network: keras.Model, golden) -> None:
    """All blobs equal, the winning classes too, except where two scores are nearer than the tolerance."""
    found = blobs(network, golden)
    assert found
    for name, value in found.items():
        wanted = golden[name].reshape(value.shape)
        tolerance = TOLERANCE * np.abs(wanted).max()
        np.testing.assert_allclose(value, wanted, rtol=0, atol=tolerance, err_msg=name)
        if name.startswith(("score", "fc8")):
            second, best = np.sort(wanted, axis=1)[:, -2:].swapaxes(0, 1)
            differ = value.argmax(axis=1) != wanted.argmax(axis=1)
            assert not (differ & (best - second > tolerance)).any(), name
    crops = {layer.name: layer.offset for layer in network.layers if isinstance(layer, CropTo)}
    assert crops == {key[len("offset/") :]: int(golden[key].flat[0]) for key in golden if key.startswith("offset/")}


@pytest.mark.parametrize(("name", "file", "built"), NETWORKS, ids=[row[1] for row in NETWORKS])
def test_an_imported_network_computes_what_caffe_does(caffe, name, file, built):
    network = import_caffemodel(caffe / f"{file}.caffemodel", preprocessing=None)
    assert network.name == built[0]
    check(network, np.load(caffe / f"{name}.npz"))


@pytest.mark.parametrize(
    ("name", "file", "built"), NETWORKS + CONVOLUTIONAL, ids=[row[1] for row in NETWORKS] + ["vgg16-conv", "caffe-conv"]
)
def test_a_built_network_with_the_file_loaded_computes_what_caffe_does(caffe, name, file, built):
    network = kseg.build(built[0], preprocessing=None, **built[1])
    report = load_caffemodel(network, caffe / f"{file}.caffemodel")
    assert not report.initial and not report.refused and not report.unused
    check(network, np.load(caffe / f"{name}.npz"))
