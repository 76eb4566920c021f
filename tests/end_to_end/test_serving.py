"""From a trained network to masks from a server, as a person types it. The server is a stand-in."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from command import call

import kseg
from benchmarks.serving.stand_in import StandIn
from kseg.images import read_label, write_image
from kseg.inference.in_training import save_network
from kseg.layers import ScoreReading, with_reading


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    keras.utils.set_random_seed(0)
    plain = kseg.build("unet", depth=1, width=4, padding="same", input_shape=(None, None, 1))
    file = tmp_path_factory.mktemp("networks") / "cells.keras"
    save_network(with_reading(plain, ScoreReading(("ground", "cell"), threshold=0.4)), file)
    return file


@pytest.fixture(scope="module")
def models(network, tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("served") / "models"
    said = call("export", network, "-o", base, "--verify")
    assert said.stdout.strip() == str(base / "cells" / "1")
    return base


@pytest.fixture
def images(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.png", rng.integers(0, 255, (20 + number, 31)).astype(np.uint8))
    return tmp_path / "images"


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_masks_from_a_server_are_those_of_predict(network, models, images, tmp_path, way):
    call("predict", network, "-i", images, "-o", tmp_path / "here")
    (images / "broken.png").write_bytes(b"\x89PNG nothing")
    with StandIn(models) as server:
        url = getattr(server, way)
        said = call("serve", "request", url, "--model", "cells", "-i", images, "-o", tmp_path / "there", exit_code=5)
        assert "broken.png" in said.stderr and "3 of 4 images answered" in said.stderr
        (images / "broken.png").unlink()
        call("serve", "request", url, "--model", "cells", images / "0.png", "-o", tmp_path / "drawn", "--coloured")
    for number in range(3):
        here, there = (read_label(tmp_path / place / f"{number}.png") for place in ("here", "there"))
        np.testing.assert_array_equal(here, there)
    assert kseg.images.read_image(tmp_path / "drawn" / "0.png").shape[2] == 3


def test_a_bundle_is_verified_where_it_lies_and_a_bad_one_ends_with_1(models, tmp_path):
    said = call("export", models / "cells" / "1", "--verify")
    assert "4 signatures through the C API" in said.stdout
    (models / "cells" / "1" / "assets.extra" / "tf_serving_warmup_requests").rename(tmp_path / "kept")
    said = call("export", models / "cells" / "1", "--verify", exit_code=1)
    assert "It has no warm-up requests" in said.stdout
    assert not json.loads((models / "cells" / "1" / "verify.json").read_text())["passed"]
    (tmp_path / "kept").rename(models / "cells" / "1" / "assets.extra" / "tf_serving_warmup_requests")


def test_the_server_is_configured_and_the_line_that_starts_it_is_said(models, tmp_path):
    said = call("serve", "config", models, "-o", tmp_path / "server", "--label", "cells:stable=1")
    assert said.stdout.startswith("docker run") and "curl http://localhost:8501/v1/models/cells" in said.stdout
    assert 'key: "stable" value: 1' in (tmp_path / "server" / "models.config").read_text()
    assert (
        "is not MODEL:LABEL=VERSION"
        in call("serve", "config", models, "-o", tmp_path / "b", "--label", "cells", exit_code=2).stderr
    )


def test_a_server_that_is_not_there_ends_with_5(images, tmp_path):
    said = call(
        *("serve", "request", "http://127.0.0.1:9", "--model", "cells", images / "0.png", "-o", tmp_path / "a"),
        exit_code=5,
    )
    assert "Is the server running" in said.stderr
