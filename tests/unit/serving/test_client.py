"""The client against a stand-in for TensorFlow Serving, over REST and gRPC. The stand-in is no real server."""

import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
from PIL import Image

import kseg
from benchmarks.serving.stand_in import StandIn
from kseg.errors import ConfigError, DataError, ServingError
from kseg.images import write_image
from kseg.serving import Client
from kseg.serving.answers import BadAnswer, Busy, Failed, NotServed, Refused, TimedOut, Unreachable


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return kseg.build("unet", depth=1, width=4, padding="same", classes=3, input_shape=(None, None, 3))


@pytest.fixture(scope="module")
def base(network, tmp_path_factory):
    """Two versions of one model, and a network of two streams and two heads."""
    base = tmp_path_factory.mktemp("models")
    for _ in range(2):
        kseg.export(network, base, name="cells", warm_up=[(32, 32)])
    both = kseg.build(
        "fcn32s",
        streams=("rgb", "hha"),
        width=1 / 32,
        fc_width=8,
        padding="same",
        classes={"semantic": 4, "geometric": 3},
    )
    kseg.export(both, base, name="rooms", warm_up=[(32, 32)])
    return base


@pytest.fixture(scope="module")
def server(base):
    with StandIn(base, {"cells": {"stable": 1, "canary": 2}}) as server:
        yield server


@pytest.fixture(params=["rest", "grpc"])
def client(request, server):
    server.fault.__init__()
    with Client(getattr(server, request.param), timeout=20, tries=3) as client:
        yield client


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (23, 31, 3)).astype(np.uint8)


def test_paths_bytes_and_arrays_have_the_mask_of_predict(client, network, image, tmp_path):
    expected = kseg.predict(network, image)
    write_image(tmp_path / "a.png", image)
    write_image(tmp_path / "a.tif", image)
    given = [tmp_path / "a.png", str(tmp_path / "a.tif"), (tmp_path / "a.png").read_bytes(), image]
    for mask in client.predict("cells", given):
        np.testing.assert_array_equal(mask, expected)
    Image.fromarray(image).save(tmp_path / "a.jpg")
    (mask,) = client.predict("cells", [tmp_path / "a.jpg"])
    np.testing.assert_array_equal(mask, kseg.predict(network, kseg.images.read_image(tmp_path / "a.jpg")))


def test_a_network_of_several_streams_and_heads(client, image):
    (found,) = client.predict("rooms", [{"rgb": image, "hha": image[::-1]}])
    assert set(found) == {"semantic", "geometric"} and found["geometric"].shape == (23, 31)
    with pytest.raises(Refused, match="The images of the streams differ in size"):
        client.predict("rooms", [{"rgb": image, "hha": image[:-1]}])


def test_a_bad_image_spoils_no_other_and_many_wait_in_bounded_memory(client, image):
    read = []

    def images():
        for number in range(40):
            read.append(number)
            yield b"nothing" if number == 7 else image

    answers = client.predict_each("cells", images())
    first = next(answers)
    assert first.shape == (23, 31) and len(read) <= 8
    found = [first, *answers]
    assert isinstance(found[7], Refused) and "This is no PNG or JPEG" in str(found[7])
    assert len(found) == 40 and all(mask.shape == (23, 31) for number, mask in enumerate(found) if number != 7)


def test_signatures_status_versions_and_labels(client, network, image):
    assert [each["version"] for each in client.status("cells")] == [1, 2]
    assert [each["version"] for each in client.status("cells", label="canary")] == [2]
    assert client.is_ready("cells", version=1) and not client.is_ready("ships")
    assert client.signatures("cells")["image_bytes"] == {
        "inputs": ["images"],
        "outputs": ["error", "height_width", "mask_bytes"],
    }
    for which in ({"version": 1}, {"label": "stable"}):
        (mask,) = client.predict("cells", [image], **which)
        np.testing.assert_array_equal(mask, kseg.predict(network, image))
    with pytest.raises(NotServed, match="Servable not found"):
        client.predict("cells", [image], version=3)
    with pytest.raises(Refused, match="Unrecognized servable version label: old"):
        client.predict("cells", [image], label="old")


def test_a_signature_s_outputs_can_be_chosen(client, network, image):
    found = client.call("cells", "probabilities", {"images": image[None]})
    assert found["probabilities"].dtype == np.float32
    np.testing.assert_allclose(found["probabilities"].sum(-1), 1, atol=1e-5)
    data = np.empty(1, object)
    data[0] = b"nothing"
    found = client.call("cells", "image_bytes", {"images": data}, outputs=["error"])
    assert list(found) == ["error"] and found["error"][0]
    with pytest.raises(Refused, match="not found in signature def"):
        client.call("cells", "masks", {"images": image[None]})
    with pytest.raises((Refused, ServingError)):
        client.call("cells", "serving_default", {"images": image[None].astype(np.float32) + 0.5})


@pytest.mark.parametrize("fault", ["busy", "many", "dropped"])
def test_a_busy_server_is_asked_again(client, server, image, fault):
    setattr(server.fault, fault, 2)
    before = server.fault.seen
    assert client.predict("cells", [image])[0].shape == (23, 31)
    assert server.fault.seen >= before + 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("busy", Busy),
        ("many", Busy),
        ("dropped", Unreachable),
        ("failed", Failed),
        ("junk", BadAnswer),
        ("half", ServingError),
    ],
)
def test_what_a_server_says_reaches_the_caller(client, server, image, fault, kind):
    setattr(server.fault, fault, 9)
    with pytest.raises(kind) as caught:
        client.predict("cells", [image])
    if fault in ("busy", "many", "failed"):
        assert f"the stand-in is told to be {fault}" in str(caught.value)
    assert caught.value.exit_code == 5
    setattr(server.fault, fault, 0)
    assert client.predict("cells", [image])[0].shape == (23, 31)


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_a_slow_server_ends_in_a_time_out_and_an_oversize_answer_is_refused(server, image, way):
    server.fault.__init__()
    server.fault.slow = 3.0
    with Client(getattr(server, way), timeout=0.3, tries=1) as client, pytest.raises(TimedOut):
        client.predict("cells", [image])
    server.fault.slow = 0.0
    with (
        Client(getattr(server, way), most_bytes=2000, tries=1) as client,
        pytest.raises(ServingError, match="byte|larger"),
    ):
        client.call("cells", "scores", {"images": image[None]})


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "grpc://127.0.0.1:9"])
def test_a_server_that_is_not_there(url, image):
    with Client(url, tries=2, timeout=5) as client, pytest.raises(Unreachable, match="Is the server running"):
        client.predict("cells", [image])


def test_connections_are_used_again(server, image):
    server.fault.__init__()
    opened = []
    plain = server._http.process_request
    server._http.process_request = lambda *args: (opened.append(1), plain(*args))[1]
    try:
        with Client(server.rest, at_once=1) as client:
            client.predict("cells", [image] * 6)
    finally:
        server._http.process_request = plain
    assert len(opened) == 1


def test_a_client_that_is_closed_stops_waiting(server, image):
    server.fault.__init__()
    server.fault.busy = 99
    client = Client(server.rest, tries=50)
    threading.Timer(0.5, client.close).start()
    start = time.monotonic()
    with pytest.raises(ServingError):
        client.predict("cells", [image])
    assert time.monotonic() - start < 8
    server.fault.busy = 0


@pytest.mark.parametrize(
    ("url", "options"), [("localhost:8501", {}), ("ftp://a", {}), ("http://", {}), ("http://a", {"tries": 0})]
)
def test_an_address_or_a_limit_that_is_none(url, options):
    with pytest.raises(ConfigError):
        Client(url, **options)


def test_a_file_that_is_not_there(client, tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        client.predict("cells", [tmp_path / "no.png"])


def test_the_client_imports_no_tensorflow():
    code = "import sys; from kseg.serving import Client; Client('http://a'); Client('grpc://a:1')\n"
    code += "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_stubs_of_tensorflow_serving_talk_to_the_stand_in_too(server, network, image):
    """So the stand-in keeps to messages that others wrote."""
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving.apis")
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    server.fault.__init__()
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://")) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.version.value = "cells", 2
        request.inputs["images"].CopyFrom(tf.make_tensor_proto(image[None]))
        answer = stub.Predict(request)
        assert answer.model_spec.version.value == 2
        np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["mask"])[0], kseg.predict(network, image))
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = "cells"
        found = get_model_metadata_pb2.SignatureDefMap()
        assert stub.GetModelMetadata(asked).metadata["signature_def"].Unpack(found)
        assert found.signature_def["serving_default"].outputs["mask"].dtype == tf.uint8.as_datatype_enum
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = "cells"
        versions = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status).model_version_status
        assert [(each.version, each.state) for each in versions] == [(1, 30), (2, 30)]
