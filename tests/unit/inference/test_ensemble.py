"""The ensemble of networks is one network, whose probabilities are the mean of theirs in every form."""

import keras
import numpy as np
import pytest

import kseg
from kseg.inference import geometry_of, heads_of, predictor, set_precision, streams_of, white_of
from kseg.inference.ensemble import ensemble_of
from kseg.inference.in_training import save_network
from kseg.layers import ScoreReading, readings_of, with_reading
from kseg.models.quick.call import _readers

NETWORKS = {
    "unet": {"width": 4, "depth": 1, "padding": "same", "normalization": "batch"},
    "unet that loses a border": {"width": 2, "depth": 1, "dropout": 0.5},
    "fcn32s of streams and heads": {
        "padding": "same",
        "width": 1 / 64,
        "fc_width": 4,
        "classes": {"a": 3, "b": 2},
        "streams": ("rgb", "hha"),
    },
}


def made(name, seed):
    """A network with weights that say something, and a reading."""
    network = kseg.build(name.split()[0], **NETWORKS[name])
    rng = np.random.default_rng(seed)
    for weight in network.trainable_variables:
        if weight.path.endswith("kernel"):
            inputs = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, (2 / inputs) ** 0.5, weight.shape))
    return with_reading(network, {head: ScoreReading() for head in heads_of(network)})


def by_head(scores):
    return scores if isinstance(scores, dict) else {"": scores}


@pytest.mark.parametrize("name", NETWORKS)
def test_its_probabilities_are_the_mean_in_every_form(name, tmp_path):
    networks = [made(name, seed) for seed in range(2)]
    ensemble = ensemble_of(networks, readings_of(networks[0]))
    rng = np.random.default_rng(9)
    images = {stream: rng.integers(0, 255, (1, 36, 44, count)) for stream, count in streams_of(ensemble).items()}
    images = {stream: image.astype("float32") for stream, image in images.items()}
    image = images.get("", images)
    save_network(ensemble, tmp_path / "model.keras")
    loaded = kseg.load(tmp_path / "model.keras")
    forms = [predictor(loaded)] if len(images) > 1 else [ensemble, predictor(ensemble), loaded, predictor(loaded)]
    alone = [by_head(network(image)) for network in networks]
    quick = [by_head(predictor(network)(image)) for network in networks]
    for head in heads_of(ensemble):
        scores = [np.asarray(each[head], "float64") for each in alone]
        assert all(len(np.unique(each)) > 9 for each in scores)
        logs = [each - np.logaddexp.reduce(each, -1, keepdims=True) for each in scores]
        wanted = np.logaddexp.reduce(logs) - np.log(2)
        # The logarithm of a softmax changes at most twice as much as the scores, and that of a mean at most as much as
        # its largest term. Scores of two forms differ by rounding: as much as those of one network, or 16 units in the
        # last place of the largest.
        most = max(np.abs(each).max() for each in scores)
        differ = [np.abs(each[head] - one).max() for each, one in zip(quick, scores, strict=True)]
        tolerance = 2 * max(*differ, most * 2**-20)
        for form in forms:
            np.testing.assert_allclose(np.asarray(by_head(form(image))[head]), wanted, rtol=0, atol=tolerance)


def test_it_is_a_network_like_any_other():
    networks = [made("unet", seed) for seed in range(2)]
    reading = ScoreReading(("dark", "bright"), threshold=0.3, min_size=7)
    ensemble = ensemble_of(networks, {"": reading})
    assert readings_of(ensemble) == {"": reading} and heads_of(ensemble) == {"": 2}
    assert geometry_of(ensemble) == geometry_of(networks[0]) and white_of(ensemble) == 255
    assert ensemble.get_layer("fold2_enc0_conv1").kernel.shape == networks[1].get_layer("enc0_conv1").kernel.shape
    assert len({layer.name for layer in ensemble.layers}) == len(ensemble.layers)
    assert ensemble.count_params() == 2 * networks[0].count_params()
    assert len(_readers(ensemble)) == len(ensemble.layers)  # so that the quick forms take it
    set_precision(ensemble, "mixed_bfloat16")
    kinds = {name: ensemble.get_layer(name).compute_dtype for name in ("fold1_enc0_conv1", "mean", "reading")}
    assert kinds == {"fold1_enc0_conv1": "bfloat16", "mean": "float32", "reading": "float32"}


def test_the_networks_stay_as_they_are():
    networks = [made("unet", seed) for seed in range(2)]
    ensemble = ensemble_of(networks, {"": ScoreReading()})
    names = [layer.name for layer in networks[0].layers]
    for weight in ensemble.trainable_variables:
        weight.assign(keras.ops.zeros_like(weight))
    assert not any(name.startswith("fold") for name in names)
    assert np.abs(networks[0].get_layer("enc0_conv1").get_weights()[0]).max() > 0
