"""What holds for every registered network."""

import functools
import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from network_case import NETWORK_CASES

import kseg
from kseg.bundles.graph import input_kind, whole_image
from kseg.inference import heads_of, load, predict_scores, predictor, streams_of
from kseg.models import NETWORKS, describe
from kseg.objectives import PixelCrossEntropy

CASES = [(name, case) for name, cases in NETWORK_CASES.items() for case in cases]
MAPS = [(name, case) for name, case in CASES if not case.options.get("convolutional")]  # a classifier answers by cell


def over(cases):
    return pytest.mark.parametrize(("name", "case"), cases, ids=[f"{name}-{case.options}" for name, case in cases])


def features(name: str, case) -> set[str]:
    """What a network has: its name and its options, but for sizes."""
    options = {key: value for key, value in case.options.items() if key not in ("width", "fc_width", "depth")}
    return {name, *(f"{key} {value if key != 'classes' else type(value)}" for key, value in options.items())}


def enough() -> list[tuple]:
    """Networks that have every feature between them; the others only put the same together anew."""
    left, taken = set().union(*(features(*each) for each in MAPS)), []
    while left:
        taken.append(max(MAPS, key=lambda each: len(features(*each) & left)))
        left -= features(*taken[-1])
    return taken


every_case, every_map, every_feature = over(CASES), over(MAPS), over(enough())

IN_A_FRESH_PROCESS = """
import pathlib, sys, numpy, keras
import kseg.layers
for path in pathlib.Path(sys.argv[1]).glob("*.keras"):
    try:
        model = keras.saving.load_model(path)
    except Exception as error:
        path.with_suffix(".error.txt").write_text(repr(error))
        continue
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


@functools.cache
def known(name: str, number: int) -> keras.Model:
    return network_for(name, NETWORK_CASES[name][number])


def same_network(name: str, case) -> keras.Model:
    """The case's network, the same for all tests: they leave it as it is."""
    return known(name, NETWORK_CASES[name].index(case))


def images_for(case, network: keras.Model, count: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        stream: rng.integers(0, 256, (count, *case.size, channels)).astype(np.float32)
        for stream, channels in streams_of(network).items()
    }


def scores_of(network: keras.Model, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    scores = network(images.get("", images), training=False)
    return {head: np.asarray(part) for head, part in (scores if isinstance(scores, dict) else {"": scores}).items()}


def scored_in_a_fresh_process(networks: list[tuple], folder, **environment: str) -> list:
    """The scores that saved networks give for their images in another process, or why one was not loaded."""
    for number, (network, images) in enumerate(networks):
        network.save(folder / f"{number}.keras")
        np.savez(folder / f"{number}.images.npz", **images)
    command = [sys.executable, "-c", IN_A_FRESH_PROCESS, str(folder)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    errors = [folder / f"{number}.error.txt" for number in range(len(networks))]
    return [
        error.read_text() if error.exists() else dict(np.load(folder / f"{number}.scores.npz"))
        for number, error in enumerate(errors)
    ]


@pytest.fixture(scope="module")
def loaded_elsewhere(tmp_path_factory) -> dict[str, list]:
    """What the networks of all cases, saved, give in one other process: by name, in the order of the cases."""
    networks = [same_network(name, case) for name, case in CASES]
    images = [images_for(case, network) for (_, case), network in zip(CASES, networks, strict=True)]
    found = scored_in_a_fresh_process(list(zip(networks, images, strict=True)), tmp_path_factory.mktemp("saved"))
    by_name = {name: [] for name in NETWORK_CASES}
    for (name, _), scores in zip(CASES, found, strict=True):
        by_name[name].append(scores)
    return by_name


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], rounding: float = 1e-6) -> None:
    assert isinstance(found, dict), found
    assert set(found) == set(expected)
    for head, scores in expected.items():
        assert found[head].shape == scores.shape
        assert np.abs(found[head] - scores).max() <= rounding * max(1, np.abs(scores).max())


def test_every_network_has_a_case():
    assert set(NETWORK_CASES) == set(NETWORKS.names())


@every_case
def test_scores_are_float32_of_the_size_stated(name, case):
    for channels in case.channels:
        shape = (None, None, channels)
        network = (
            same_network(name, case) if channels == case.channels[-1] else network_for(name, case, input_shape=shape)
        )
        scores = scores_of(network, images_for(case, network))
        assert {head: part.shape for head, part in scores.items()} == {
            head: (2, *case.output, classes) for head, classes in heads_of(network).items()
        }
        assert all(part.dtype == np.float32 and np.ptp(part) > 0 for part in scores.values())
        assert type(network) is keras.Model or type(network).__name__ == "Functional"


@every_case
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_scores_stay_float32_in_half_precision(name, case, policy):
    plain = same_network(name, case)
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


@every_case
def test_saved_networks_load_in_a_fresh_process_with_plain_keras(name, case, loaded_elsewhere):
    network = same_network(name, case)
    found = loaded_elsewhere[name][NETWORK_CASES[name].index(case)]
    assert_equal(found, scores_of(network, images_for(case, network)))


@every_map
def test_every_size_from_one_pixel_up_is_answered_at_the_images_size(name, case):
    call = predictor(same_network(name, case))
    for size in ((1, 1), (1, 23), (31, 18), (33, 65)):
        image = {stream: np.ones((*size, channels)) for stream, channels in call.streams.items()}
        scores = predict_scores(call, image.get("", image))
        for head, classes in call.heads.items():
            assert (scores if head == "" else scores[head]).shape == (*size, classes)


@every_map
def test_the_graph_of_a_bundle_gives_the_same_scores(name, case):
    network = same_network(name, case)
    images = {stream: image[0] for stream, image in images_for(case, network).items()}
    shape = (None, None, None, sum(streams_of(network).values()))
    graph = tf.function(whole_image(network), input_signature=[tf.TensorSpec(shape, input_kind(network))])
    found = graph(tf.cast(np.concatenate(list(images.values()), axis=-1)[None], input_kind(network)))[0]
    expected = predict_scores(network, images.get("", images))
    joined = expected if isinstance(expected, np.ndarray) else np.concatenate(list(expected.values()), axis=-1)
    assert_equal({"": found.numpy()}, {"": joined}, rounding=2e-6)


@every_feature
def test_an_exported_bundle_gives_the_same_scores(name, case, tmp_path):
    network = same_network(name, case)
    images = {stream: image[0] for stream, image in images_for(case, network).items()}
    bundle = load(kseg.export(network, tmp_path, name="a"))
    given = {stream: image.astype(input_kind(network).as_numpy_dtype) for stream, image in images.items()}
    found, expected = (predict_scores(each, given.get("", given)) for each in (bundle, network))
    named = [scores if isinstance(scores, dict) else {"": scores} for scores in (found, expected)]
    assert_equal(*named, rounding=2e-6)


def labelled(network: keras.Model, case) -> tuple[dict, np.ndarray]:
    """Images, and their bright pixels as labels."""
    images = images_for(case, network)
    return images, (next(iter(images.values()))[..., 0] > 128).astype(np.int32)


@every_map
def test_a_step_against_the_gradient_of_all_weights_lowers_the_loss(name, case):
    network = same_network(name, case)
    images, label = labelled(network, case)
    given, weights = images.get("", images), network.trainable_variables
    before = [weight.numpy() for weight in weights]

    def loss_now():
        scores = network(given, training=False)
        parts = list(scores.values()) if isinstance(scores, dict) else [scores]
        return sum(PixelCrossEntropy()(label, part) for part in parts)

    with tf.GradientTape() as tape:
        loss = loss_now()
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)
    length = np.sqrt(sum(np.square(gradient).sum() for gradient in gradients))
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.assign_sub(1e-3 / length * gradient)
    after = loss_now()
    for weight, value in zip(weights, before, strict=True):
        weight.assign(value)
    # To first order the loss falls by 0.001 times the gradient's length.
    assert float(loss - after) == pytest.approx(1e-3 * length, rel=0.1)


@every_feature
def test_a_few_steps_of_plain_fit_lower_the_loss(name, case):
    network = network_for(name, case)
    (images, label), heads = labelled(network, case), heads_of(network)
    losses = {head: PixelCrossEntropy() for head in heads}
    labels = dict.fromkeys(heads, label)
    network.compile(keras.optimizers.Adam(3e-3), losses.get("", losses), run_eagerly=True)
    data = images.get("", images), labels.get("", labels)
    before = network.evaluate(*data, verbose=0, return_dict=True)["loss"]  # dropout makes that of `fit` noisy
    network.fit(*data, epochs=2, verbose=0)
    assert network.evaluate(*data, verbose=0, return_dict=True)["loss"] < before


@every_case
def test_a_description_counts_all_parameters(name, case):
    network = same_network(name, case)
    text = describe(network)
    assert f"parameters  {network.count_params():,}" in text
    assert all(layer.name in text for layer in network.layers if layer.weights)


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("name", NETWORK_CASES)
def test_another_backend_gives_the_same_scores(name, backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    networks = [(same_network(name, case), case) for case in NETWORK_CASES[name]]
    # PyTorch takes no dots in the names of weights, which GoogLeNet's Caffe names have.
    taken = [(network, case) for network, case in networks if backend != "torch" or not is_dotted(network)]
    if not taken:
        pytest.skip(f"{backend} takes no dots in the names of weights")
    cases = [(network, images_for(case, network)) for network, case in taken]
    found = scored_in_a_fresh_process(cases, tmp_path, KERAS_BACKEND=backend)
    for (network, images), scores in zip(cases, found, strict=True):
        assert_equal(scores, scores_of(network, images), rounding=1e-5)


def is_dotted(network):
    return any("." in layer.name for layer in network.layers if layer.weights)
