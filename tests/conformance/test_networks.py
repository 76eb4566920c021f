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
from kseg.inference import predict_scores
from kseg.models import NETWORKS, describe
from kseg.objectives import PixelCrossEntropy

CASES = [(name, case) for name, cases in NETWORK_CASES.items() for case in cases]
every_case = pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case.options}" for name, case in CASES])

IN_A_FRESH_PROCESS = """
import sys, numpy, keras
import kseg.layers
model = keras.saving.load_model(sys.argv[1])
numpy.save(sys.argv[3], keras.ops.convert_to_numpy(model(numpy.load(sys.argv[2]), training=False)))
"""


def image_for(case, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, *case.size, channels)).astype(np.float32)


def test_every_network_has_a_case():
    assert set(NETWORK_CASES) == set(NETWORKS.names())


@every_case
def test_scores_are_float32_of_the_size_stated(name, case):
    for channels in (1, 3):
        network = kseg.build(name, input_shape=(None, None, channels), **case.options)
        scores = network(image_for(case, channels))
        assert scores.shape == (2, *case.output, network.output_shape[-1]) and scores.dtype == "float32"
        assert type(network) is keras.Model or type(network).__name__ == "Functional"


@every_case
def test_scores_stay_float32_in_half_precision(name, case):
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        scores = kseg.build(name, **case.options)(image_for(case))
    finally:
        keras.config.set_dtype_policy("float32")
    assert scores.dtype == "float32" and np.isfinite(scores).all()


@every_case
def test_a_saved_network_loads_in_a_fresh_process_with_plain_keras(name, case, tmp_path):
    network, image = kseg.build(name, **case.options), image_for(case)
    network.save(tmp_path / "a.keras")
    np.save(tmp_path / "image.npy", image)
    paths = [str(tmp_path / file) for file in ("a.keras", "image.npy", "scores.npy")]
    subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, *paths], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(paths[2]), network(image), rtol=0, atol=1e-6)


@every_case
def test_every_size_from_one_pixel_up_is_answered_at_the_images_size(name, case):
    network = kseg.build(name, **case.options)
    for size in ((1, 1), (1, 23), (31, 18)):
        assert predict_scores(network, np.ones(size)).shape == (*size, network.output_shape[-1])


@every_case
def test_a_few_steps_of_plain_fit_lower_the_loss(name, case):
    keras.utils.set_random_seed(1)
    network = kseg.build(name, **case.options)
    network.compile(keras.optimizers.Adam(3e-3), PixelCrossEntropy())
    image = image_for(case)
    label = (image[..., 0] > 128).astype(np.int32)
    losses = network.fit(image, label, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@every_case
def test_a_description_counts_all_parameters(name, case):
    network = kseg.build(name, **case.options)
    text = describe(network)
    assert f"parameters  {network.count_params():,}" in text
    assert all(layer.name in text for layer in network.layers if layer.weights)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_scores(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    network, image = kseg.build("unet", width=4, depth=2), image_for(NETWORK_CASES["unet"][0])
    network.save(tmp_path / "a.keras")
    np.save(tmp_path / "image.npy", image)
    paths = [str(tmp_path / file) for file in ("a.keras", "image.npy", "scores.npy")]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, *paths], check=True, capture_output=True, env=environment)
    np.testing.assert_allclose(np.load(paths[2]), network(image), rtol=0, atol=1e-5)
