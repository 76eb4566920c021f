"""The page: what it answers, and what it refuses."""

import base64
import json
import zlib

import keras
import numpy as np
import pytest

import kseg
from benchmarks.serving.stand_in import StandIn
from kseg.bundles.warm_up import png_of
from kseg.errors import DataError

flask = pytest.importorskip("flask")

from kseg.serving.page import application  # noqa: E402


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return kseg.build("unet", depth=1, width=4, padding="same", classes=3, input_shape=(None, None, 3))


@pytest.fixture(scope="module")
def bundle(network, tmp_path_factory):
    return kseg.export(network, tmp_path_factory.mktemp("models"), name="cells", warm_up=[(16, 16)])


@pytest.fixture(scope="module")
def browser(bundle):
    """What calls the page, on a stand-in."""
    with StandIn(bundle.parent.parent) as server:
        made = application(server.rest, "cells", classes=bundle / "assets" / "classes.json", most_bytes=50_000)
        yield made.test_client()


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (23, 31, 3)).astype(np.uint8)


def test_an_image_has_the_mask_of_predict(browser, network, image):
    answer = browser.post("/predict", data=png_of(image), headers={"Host": "localhost:8080"})
    assert answer.status_code == 200
    found = answer.get_json()["masks"]["mask"]
    ids = np.frombuffer(zlib.decompress(base64.b64decode(found["ids"])), np.uint8).reshape(
        found["height"], found["width"]
    )
    np.testing.assert_array_equal(ids, kseg.predict(network, image))


def test_the_page_is_one_file_that_may_load_nothing(browser):
    answer = browser.get("/", headers={"Host": "127.0.0.1"})
    page, policy = answer.get_data(as_text=True), answer.headers["Content-Security-Policy"]
    assert "__FACTS__" not in page and "http://" not in page and "https://" not in page and "src=" not in page
    assert "default-src 'none'" in policy and "'sha256-" in policy and "connect-src 'self'" in policy


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost:80", "Origin": "http://localhost:80"}, 400),
        ({"Host": "[::1]:80"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
    ],
)
def test_other_hosts_and_pages_are_refused(browser, headers, status):
    answer = browser.post("/predict", data=b"nothing", headers=headers)
    assert answer.status_code in ((status, 502) if status == 400 else (status,)) and answer.get_json()["error"]


@pytest.mark.parametrize(
    "path", ["/..%2f..%2fetc/passwd", "/static/x", "/predict/../..", "//evil.example/predict", "/models"]
)
def test_no_other_path_answers(browser, path):
    assert browser.get(path, headers={"Host": "localhost"}).status_code in (404, 405, 308, 403)


def test_a_file_that_is_too_large_is_refused(browser):
    answer = browser.post("/predict", data=bytes(60_000), headers={"Host": "localhost"})
    assert answer.status_code == 413 and answer.get_json()["error"]


def test_names_of_classes_can_not_end_the_script(bundle, tmp_path):
    file = tmp_path / "classes.json"
    file.write_text(
        json.dumps({"mask": [{"id": 0, "name": '</script><script>alert("x")</script>', "colour": [0, 0, 0]}]})
    )
    page = application("http://127.0.0.1:9", "</script>", classes=file).test_client().get("/").get_data(as_text=True)
    assert page.count("</script>") == 1
    file.write_text("[1]")
    with pytest.raises(DataError, match="not the classes of a bundle"):
        application("http://127.0.0.1:9", "a", classes=file)
