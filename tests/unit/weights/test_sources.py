import dataclasses
import hashlib
import re

import pytest

from kseg.errors import ConfigError, EnvironmentFailure
from kseg.weights.sources import SOURCES, fetched, path_in_cache, recognised, verified

DATA = b"weights"


@pytest.fixture
def known(monkeypatch):
    """A source of which we have the file."""
    digest = f"sha1:{hashlib.sha1(DATA).hexdigest()}"
    source = dataclasses.replace(SOURCES["voc-fcn8s"], addresses=("http://127.0.0.1:1/a",), digest=digest)
    monkeypatch.setitem(SOURCES, "voc-fcn8s", source)
    return source


def test_every_source_says_what_it_is_and_where_or_why_not():
    for name, source in SOURCES.items():
        assert source.what and name == name.lower()
        assert source.addresses or source.page or "no address" in source.what or "never" in source.what, name
        assert all(address.endswith(source.file) for address in source.addresses)
        if source.digest:
            kind, digits = source.digest.split(":")
            assert len(digits) in ({"md5": 32, "sha1": 40, "sha256": 64}[kind], 8) and int(digits, 16)
    files = [source.file for source in SOURCES.values()]
    assert len(set(files)) == len(files)
    assert SOURCES["vgg16-keras"].addresses[0] == (
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    )


def test_a_brought_file_is_taken_and_a_missing_one_named_with_its_place(known, monkeypatch):
    monkeypatch.setenv("KSEG_OFFLINE", "1")
    place = path_in_cache("voc-fcn8s")
    with pytest.raises(EnvironmentFailure, match="Fetch the file from http://127.0.0.1:1/a .*sha1") as caught:
        fetched("voc-fcn8s")
    assert str(place) in str(caught.value) and place.name == "fcn8s-heavy-pascal.caffemodel"
    place.write_bytes(DATA)
    assert fetched("voc-fcn8s") == place
    place.unlink()


def test_a_file_on_google_drive_is_to_be_brought_by_hand():
    with pytest.raises(EnvironmentFailure, match=r"Fetch the file from https://drive\.google\.com/file/d/1ieXW.*/view"):
        fetched("voc-fcn8s-pth")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'voc-fcn16s'"):
        fetched("voc-fcn16")


def test_files_are_known_by_digest_whatever_their_name(known, tmp_path):
    path = tmp_path / "renamed.bin"
    path.write_bytes(DATA)
    assert recognised(path) == "voc-fcn8s" and verified(path).right and "voc-fcn8s, whole" in verified(path).text


@pytest.mark.parametrize(
    ("name", "right", "says"),
    [
        ("fcn8s-heavy-pascal.caffemodel", False, "not the voc-fcn8s that was published: expected sha1"),
        ("VGG_ILSVRC_16_layers.caffemodel", False, "expected 553,432,081 bytes, found 5"),
        ("fcn16s-heavy-pascal.caffemodel", True, "for which no digest was published; it has 5 bytes, sha256"),
        ("mine.caffemodel", False, "no published file that kseg knows .5 bytes, sha256"),
    ],
)
def test_other_files_are_judged_by_their_name(known, tmp_path, name, right, says):
    (tmp_path / name).write_bytes(b"other")

    verdict = verified(tmp_path / name)
    assert verdict.right == right and re.search(says, verdict.text)
