"""What holds for every registered network."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from network_case import NETWORK_CASES

import kseg
from kseg.bundles import input_kind
from kseg.inference import heads_of, load, predict_scores, predictor, streams_of
from kseg.models import NETWORKS, describe
from kseg.objectives import PixelCrossEntropy

CASES = [(name, case) for name, cases in NETWORK_CASES.items() for case in cases]
every_case = pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case.options}" for name, case in CASES])

IN_A_FRESH_PROCESS = """
import pathlib, sys, numpy, keras
import kseg.layers
for path in pathlib.Path(sys.argv[1]).glob("*.keras"):
    model = keras.saving.load_model(path)
    images = dict(numpy.load(path.with_suffix(".images.npz")))
    scores = model(images.get("", images), training=False)
    scores = scores if isinstance(scores, dict) else {"": scores}
    scores = {head: keras.ops.convert_to_numpy(part) for head, part in scores.items()}
    numpy.savez(path.with_suffix(".scores.npz"), **scores)
"""


def network_for(name: str, case, **options) -> keras.Model:
    """The case's network; score layers, which start at zero, are given numbers that matter."""
    keras.utils.set_random_seed(0)
    channels = case.channels[-1]
    network = kseg.build(name, **{"input_shape": (None, None, channels), **case.options, **options})
    for layer in network.layers:
        if layer.name.startswith(("score_", "fc8", "loss3")) and layer.weights:
            layer.kernel.assign(keras.random.normal(layer.kernel.shape, stddev=0.1))
    return network


def images_for(case, network: keras.Model, count: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        stream: rng.integers(0, 256, (count, *case.size, channels)).astype(np.float32)
        for stream, channels in streams_of(network).items()
    }


def scores_of(network: keras.Model, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    scores = network(images.get("", images), training=False)
    return {head: np.asarray(part) for head, part in (scores if isinstance(scores, dict) else {"": scores}).items()}


def assert_same_in_a_fresh_process(networks: list[tuple], folder, rounding: float, **environment: str) -> None:
    """Networks and their images, saved, give the same scores in another process."""
    for number, (network, images) in enumerate(networks):
        network.save(folder / f"{number}.keras")
        np.savez(folder / f"{number}.images.npz", **images)
    command = [sys.executable, "-c", IN_A_FRESH_PROCESS, str(folder)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    for number, (network, images) in enumerate(networks):
        assert_equal(dict(np.load(folder / f"{number}.scores.npz")), scores_of(network, images), rounding)


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], rounding: float = 1e-6) -> None:
    assert set(found) == set(expected)
    for head, scores in expected.items():
        assert found[head].shape == scores.shape
        assert np.abs(found[head] - scores).max() <= rounding * max(1, np.abs(scores).max())


def test_every_network_has_a_case():
    assert set(NETWORK_CASES) == set(NETWORKS.names())


@every_case
def test_scores_are_float32_of_the_size_stated(name, case):
    for channels in case.channels:
        network = network_for(name, case, input_shape=(None, None, channels))
        scores = scores_of(network, images_for(case, network))
        assert {head: part.shape for head, part in scores.items()} == {
            head: (2, *case.output, classes) for head, classes in heads_of(network).items()
        }
        assert all(part.dtype == np.float32 and np.ptp(part) > 0 for part in scores.values())
        assert type(network) is keras.Model or type(network).__name__ == "Functional"


@every_case
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_scores_stay_float32_in_half_precision(name, case, policy):
    plain = network_for(name, case)
    try:
        keras.config.set_dtype_policy(policy)
        network = network_for(name, case)
    finally:
        keras.config.set_dtype_policy("float32")
    images = images_for(case, network)
    # 8 bits of bfloat16 over a few dozen layers of random signs; a wrong layer is off by the whole.
    for head, scores in scores_of(network, images).items():
        expected = scores_of(plain, images)[head]
        assert scores.dtype == np.float32 and np.isfinite(scores).all()
        assert np.abs(scores - expected).max() <= 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("name", NETWORK_CASES)
def test_saved_networks_load_in_a_fresh_process_with_plain_keras(name, tmp_path):
    networks = [network_for(name, case) for case in NETWORK_CASES[name]]
    images = [images_for(case, network) for case, network in zip(NETWORK_CASES[name], networks, strict=True)]
    assert_same_in_a_fresh_process(list(zip(networks, images, strict=True)), tmp_path, rounding=1e-6)


@every_case
def test_every_size_from_one_pixel_up_is_answered_at_the_images_size(name, case):
    if case.options.get("convolutional"):
        pytest.skip("a classifier answers cell by cell")
    network = network_for(name, case)
    call = predictor(network)
    for size in ((1, 1), (1, 23), (31, 18), (33, 65)):
        image = {stream: np.ones((*size, channels)) for stream, channels in call.streams.items()}
        scores = predict_scores(call, image.get("", image))
        for head, classes in call.heads.items():
            assert (scores if head == "" else scores[head]).shape == (*size, classes)


@every_case
def test_an_exported_bundle_gives_the_same_scores(name, case, tmp_path):
    if case.options.get("convolutional"):
        pytest.skip("a classifier answers cell by cell")
    network = network_for(name, case)
    images = {stream: image[0] for stream, image in images_for(case, network).items()}
    bundle = load(kseg.export(network, tmp_path, name="a"))
    given = {stream: image.astype(input_kind(network).as_numpy_dtype) for stream, image in images.items()}
    found, expected = (predict_scores(each, given.get("", given)) for each in (bundle, network))
    named = [scores if isinstance(scores, dict) else {"": scores} for scores in (found, expected)]
    assert_equal(*named, rounding=2e-6)


@every_case
def test_a_few_steps_of_plain_fit_lower_the_loss(name, case):
    if case.options.get("convolutional"):
        pytest.skip("a classifier is not trained on labels per pixel")
    network = network_for(name, case)
    heads, images = heads_of(network), images_for(case, network)
    label = (next(iter(images.values()))[..., 0] > 128).astype(np.int32)
    losses = {head: PixelCrossEntropy() for head in heads}
    labels = dict.fromkeys(heads, label)
    network.compile(keras.optimizers.Adam(3e-3), losses.get("", losses), run_eagerly=True)
    data = images.get("", images), labels.get("", labels)
    before = network.evaluate(*data, verbose=0, return_dict=True)["loss"]  # dropout makes that of `fit` noisy
    network.fit(*data, epochs=8, verbose=0)
    assert network.evaluate(*data, verbose=0, return_dict=True)["loss"] < before


@every_case
def test_a_description_counts_all_parameters(name, case):
    network = network_for(name, case)
    text = describe(network)
    assert f"parameters  {network.count_params():,}" in text
    assert all(layer.name in text for layer in network.layers if layer.weights)


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("name", NETWORK_CASES)
def test_another_backend_gives_the_same_scores(name, backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    networks = [(network_for(name, case), case) for case in NETWORK_CASES[name]]
    # PyTorch takes no dots in the names of weights, which GoogLeNet's Caffe names have.
    taken = [(network, case) for network, case in networks if backend != "torch" or not is_dotted(network)]
    if not taken:
        pytest.skip(f"{backend} takes no dots in the names of weights")
    cases = [(network, images_for(case, network)) for network, case in taken]
    assert_same_in_a_fresh_process(cases, tmp_path, rounding=1e-5, KERAS_BACKEND=backend)


def is_dotted(network):
    return any("." in layer.name for layer in network.layers if layer.weights)
