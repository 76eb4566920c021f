"""Caffe's files: all forms give the same tensors, and broken ones say where."""

import h5py
import numpy as np
import pytest
from caffe_fuzz import damaged, outcome, seeds
from caffe_writer import blob, chunk, layer, network, number, varint
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kseg.errors import WeightsError
from kseg.weights.caffe.caffemodel import read_caffemodel

VERSIONS, DATA = ("V2", "V1", "V0"), ("packed", "unpacked", "mixed", "double", "double unpacked")
NUMBERS = arrays.arrays(
    np.float32, arrays.array_shapes(max_dims=4, max_side=6), elements=st.floats(-1e6, 1e6, width=32)
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("caffe") / "net.caffemodel"


def stored(path, layers, *form):
    path.write_bytes(b"".join(network(layers, *form)))
    return read_caffemodel(path)


@given(NUMBERS, st.sampled_from(VERSIONS), st.sampled_from(DATA), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_form_gives_the_numbers_that_were_written(path, array, version, data, diff):
    found = stored(path, {"conv/1x1": [array, array]}, version, data, diff)
    assert list(found) == ["data", "conv.1x1"] and not found["data"]
    four = (1,) * (4 - array.ndim) + array.shape
    older = four[2:] if four[:2] == (1, 1) else four
    for tensor in found["conv.1x1"]:
        assert tensor.shape == (array.shape if version == "V2" else older)
        np.testing.assert_array_equal(tensor.whole().ravel(), array.ravel())


@given(NUMBERS, st.sampled_from(DATA), st.data())
@settings(max_examples=100, deadline=None)
def test_rows_are_those_of_the_whole(path, array, data, draw):
    tensor = stored(path, {"conv": [array]}, "V2", data)["conv"][0]
    start = draw.draw(st.integers(0, array.shape[0]))
    stop = draw.draw(st.integers(start, array.shape[0]))
    np.testing.assert_array_equal(tensor.read(start, stop), array[start:stop])


def test_an_inner_product_of_older_files_loses_its_two_ones(path):
    found = stored(path, {"fc6": [np.zeros((7, 5)), np.zeros(7)]}, "V1")["fc6"]
    assert [tensor.shape for tensor in found] == [(7, 5), (1, 7)]


def test_double_numbers_win_over_single_ones(path):
    both = chunk(7, chunk(1, b"\x01")) + chunk(5, np.float32(1).tobytes()) + chunk(8, np.float64(2).tobytes())
    path.write_bytes(layer("scale", [both]))
    assert read_caffemodel(path)["scale"][0].whole() == 2


def test_newer_layers_win_over_older_ones(path):
    old, new = [blob(np.full(1, value)) for value in (1, 2)]
    path.write_bytes(layer("a", [old], "V1") + layer("a", [new]))
    assert read_caffemodel(path)["a"][0].whole() == 2


@pytest.mark.parametrize(
    ("blob", "found"),
    [
        (chunk(7, chunk(1, b"\x03")) + chunk(5, bytes(8)), r"sizes \(3,\) with 2 numbers"),
        (chunk(7, chunk(1, b"\x02" + varint(2**62))) + chunk(5, bytes(8)), "with 2 numbers"),
        (chunk(7, chunk(1, varint(-1))) + chunk(5, bytes(8)), r"sizes \(-1,\)"),
        (chunk(7, chunk(1, b"\x00")), r"sizes \(0,\)"),
        (chunk(7, chunk(1, b"\x01" * 33)) + chunk(5, bytes(4)), "33 axes"),
        (chunk(7, chunk(1, b"\x01" * 400)), "list of sizes of 400 bytes"),
        (number(1, 2) + chunk(5, bytes(8)), r"sizes \(2, 0, 0, 0\)"),
        (chunk(7, chunk(1, b"\x01")) + chunk(5, bytes(5)), "5 bytes"),
        (b"", None),
    ],
)
def test_a_blob_whose_sizes_and_numbers_differ_is_refused(path, blob, found):
    path.write_bytes(layer("conv", [blob]))
    with pytest.raises(WeightsError, match=rf"byte \d+ of \d+: .*{found or 'with 0 numbers'}"):
        read_caffemodel(path)


def test_two_layers_of_a_name_are_refused_if_both_have_weights(path):
    one = blob(np.ones(1))
    path.write_bytes(layer("data", []) + layer("data", []) + layer("a", [one]))
    assert set(read_caffemodel(path)) == {"data", "a"}
    path.write_bytes(layer("a", [one]) * 2)
    with pytest.raises(WeightsError, match="a second layer 'a' with weights"):
        read_caffemodel(path)


def test_a_layer_of_the_oldest_kind_is_not_followed_deeper(path):
    inner = b""
    for _ in range(1000):
        inner = chunk(1, inner + chunk(50, blob(np.ones(1))))
    path.write_bytes(chunk(2, inner))
    with pytest.raises(WeightsError, match="a layer's name of"):
        read_caffemodel(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b'name: "VGG_ILSVRC_16_layers"\nlayer {}', "text, beginning"),
        (b"\x80\x02}q\x00.", "a Python pickle"),
        (chunk(1, b"net\x01") + layer("relu", []), "1 layers, none with weights"),
    ],
)
def test_other_kinds_of_files_are_called_by_their_name(path, content, found):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"^{path}: .*{found}"):
        read_caffemodel(path)
    with pytest.raises(WeightsError, match="no such file"):
        read_caffemodel(path.parent / "absent")
    with pytest.raises(WeightsError, match="a folder"):
        read_caffemodel(path.parent)


def test_a_file_cut_while_it_is_read_is_named(path):
    tensor = stored(path, {"conv": [np.ones(100)]})["conv"][0]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="which was longer before"):
        tensor.whole()


def test_hdf5_files_give_the_same(path):
    kernel = np.arange(12, dtype=np.float64).reshape(3, 4)
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["data/inception_3a/1x1/0"], file["data/inception_3a/1x1/1"] = kernel, np.ones(3)
        file["diff/inception_3a/1x1/0"] = kernel
    found = read_caffemodel(path.with_suffix(".h5"))
    assert list(found) == ["inception_3a.1x1"] and len(found["inception_3a.1x1"]) == 2
    np.testing.assert_array_equal(found["inception_3a.1x1"][0].read(1, 3), kernel[1:])


def test_hdf5_files_of_others_are_refused(path):
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["block1_conv1/kernel:0"] = np.ones(3)
    with pytest.raises(WeightsError, match="not one of Caffe's"):
        read_caffemodel(path.with_suffix(".h5"))


@pytest.mark.slow
def test_a_thousand_damaged_files_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    whole = seeds(tmp_path)
    found = set()
    for _ in range(1000):
        first, second = rng.integers(len(whole), size=2)
        (tmp_path / "damaged").write_bytes(damaged(whole[first], whole[second], rng))
        found.add(outcome(tmp_path / "damaged"))
    assert found >= {"read", "refused"}
