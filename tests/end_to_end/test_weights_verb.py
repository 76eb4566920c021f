"""`weights` as a person types it: list, fetch from a mirror, verify, import, predict."""

import dataclasses
import hashlib
import sys
from functools import partial
from pathlib import Path

import command
import numpy as np
import pytest
from PIL import Image

import kseg
from kseg.weights.sources import SOURCES, path_in_cache

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "weights"))
from vgg16_files import arrays, fresh, randomise, write_torch  # noqa: E402

call = partial(command.call, "weights")


@pytest.fixture
def known(monkeypatch, tmp_path):
    """A published file of a few bytes, on a mirror."""
    (tmp_path / "mirror").mkdir()
    data = b"some weights"
    source = dataclasses.replace(SOURCES["voc-fcn8s"], digest=f"md5:{hashlib.md5(data).hexdigest()}")
    monkeypatch.setitem(SOURCES, "voc-fcn8s", source)
    monkeypatch.setenv("KSEG_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("KSEG_OFFLINE", "1")
    (tmp_path / "mirror" / source.file).write_bytes(data)
    return tmp_path / "mirror" / source.file


def test_list_names_every_source_with_what_is_known():
    text = call("list").stdout
    assert all(name in text and source.file in text for name, source in SOURCES.items())
    assert "553 MB md5" in text and "unknown unknown" in text and "by hand from https://drive.google.com" in text


def test_a_file_is_fetched_from_the_mirror_and_verified(known):
    place = Path(call("fetch", "voc-fcn8s").stdout.strip())
    assert place == path_in_cache("voc-fcn8s") and place.read_bytes() == known.read_bytes()
    assert "voc-fcn8s, whole" in call("verify", place).stdout
    place.unlink()


def test_a_wrong_file_ends_with_exit_1_and_one_that_can_not_be_had_with_5(known):
    known.write_bytes(b"others")
    assert "expected md5" in call("verify", known, exit_code=1).stdout
    message = call("fetch", "voc-fcn8s", exit_code=5).stderr
    assert "it gave another file, which was removed" in message and f"put it at {path_in_cache('voc-fcn8s')}" in message
    assert "Did you mean 'voc-fcn16s'" in call("fetch", "fcn16s", exit_code=3).stderr
    assert not path_in_cache("voc-fcn8s").exists()


def test_an_imported_network_predicts(tmp_path):
    source = fresh("fcn32s", classes=3)
    randomise(source)
    state = {}
    for name, (kernel, bias) in arrays(source).items():
        state |= {f"{name}.weight": kernel.transpose(3, 2, 0, 1), f"{name}.bias": bias}
    path = write_torch(tmp_path / "fcn32s.pth", state)
    result = call("import", path, "-o", tmp_path / "out" / "fcn32s.keras")
    assert result.stdout.strip() == str(tmp_path / "out" / "fcn32s.keras") and "filled" in result.stderr
    picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    predict = ["predict", str(tmp_path / "out" / "fcn32s.keras"), str(tmp_path / "a.png"), "-o", str(tmp_path / "p")]
    command.call(*predict)
    ids = kseg.images.read_label(tmp_path / "p" / "a.png")
    np.testing.assert_array_equal(ids, source(picture[None].astype(np.float32)).numpy()[0].argmax(-1))


def test_import_says_in_one_paragraph_what_it_can_not_do(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\xff" * 100)
    assert "a.bin" in call("import", tmp_path / "a.bin", "-o", tmp_path / "a.keras", exit_code=3).stderr
    assert "a.h5.keras." in call("import", tmp_path / "a.bin", "-o", tmp_path / "a.h5", exit_code=3).stderr
    path = write_torch(tmp_path / "a.pth", {"conv1_1.weight": np.ones((4, 3, 3, 3), np.float32)})
    for words in (["--model", "fcn"], ["--preprocessing", "vg", "--model", "fcn32s"]):
        assert "Did you mean" in call("import", path, "-o", tmp_path / "a.keras", *words, exit_code=3).stderr
    assert not (tmp_path / "a.keras").exists()
