"""U-Net against golden/unet: PyTorch, written independently."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.inference import predict_scores
from kseg.objectives import PixelCrossEntropy
from kseg.pipeline import balanced_weight_map, border_weight_map

# float32 against float64 differ by at most 2e-6 here, Keras from PyTorch by 2.4e-6 (its README); twice their sum.
SCORES = 9e-6

NETWORKS = [
    ("unet_paper_w4_d4_188x188", "paper", "skip_first"),
    ("unet_paper_w3_d3_batch2_100x124", "paper", "skip_first"),
    ("unet_paper_w2_d1_20x24", "paper", "skip_first"),
    ("unet_release_form_w4_d4_204x188", "phseg_v5", "upsampled_first"),
]


def golden_network(golden, variant: str) -> keras.Model:
    network = kseg.build(
        "unet",
        variant=variant,
        classes=int(golden["meta/classes"]),
        depth=int(golden["meta/depth"]),
        width=int(golden["meta/base_width"]),
        input_shape=(None, None, int(golden["meta/in_channels"])),
        preprocessing=None,
    )
    for layer in network.layers:
        if layer.weights:
            name = layer.name.replace("_", ".")
            kernel = golden[f"weights/{name}.weight"].transpose(2, 3, 1, 0)
            layer.set_weights([kernel, golden[f"weights/{name}.bias"]])
    return network


@pytest.fixture(scope="module", params=NETWORKS, ids=[row[0] for row in NETWORKS])
def case(request, shared):
    name, variant, order = request.param
    golden = np.load(shared / "golden" / "unet" / f"{name}.npz")
    network = golden_network(golden, variant)
    with tf.GradientTape() as tape:
        scores = network(golden["input_nchw"].transpose(0, 2, 3, 1), training=False)
        loss = PixelCrossEntropy()(golden["loss/target"], scores, golden["loss/weight_map"])
    gradients = tape.gradient(loss, network.trainable_variables)
    paths = [variable.path.replace("_", ".") for variable in network.trainable_variables]
    return golden, order, network, scores, dict(zip(paths, gradients, strict=True))


def test_scores_equal_the_golden_ones(case):
    golden, order, network, scores, _ = case
    assert network.count_params() == golden["meta/n_params"]
    np.testing.assert_allclose(
        scores.numpy().transpose(0, 3, 1, 2), golden[f"{order}/logits_nchw"], rtol=0, atol=SCORES
    )


@pytest.mark.parametrize(
    ("average", "key"), [("pixels", "loss_mean"), ("weights", "loss_weighted_mean"), ("none", "loss_sum")]
)
def test_losses_equal_the_golden_ones(case, average, key):
    golden, order, _, scores, _ = case
    loss = PixelCrossEntropy(average=average)(golden["loss/target"], scores, golden["loss/weight_map"])
    # A sum of n float32 terms is off by less than log2(n) roundings (TensorFlow sums in a tree); n < 2^10.
    np.testing.assert_allclose(float(loss), golden[f"{order}/{key}"], rtol=10 * 2**-24 + 2e-6)


def test_gradients_equal_the_golden_ones(case):
    golden, order, _, _, gradients = case
    checked = 0
    for key in golden:
        if key.startswith(f"{order}/grad_of_loss_mean/"):
            name = key.rsplit("/", 1)[1].replace(".weight", "/kernel").replace(".bias", "/bias")
            found = gradients[name].numpy()
            found = found.transpose(3, 2, 0, 1) if found.ndim == 4 else found
            np.testing.assert_allclose(found, golden[key], rtol=0, atol=5e-6 * max(1, np.abs(golden[key]).max()))
            checked += 1
    assert checked == 6


@pytest.mark.parametrize("tile", [None, 108, 124, 132])
def test_tiles_equal_the_single_pass(shared, tile):
    weights = np.load(shared / "golden" / "unet" / "unet_paper_w3_d3_batch2_100x124.npz")
    golden = np.load(shared / "golden" / "unet" / "unet_tiles_w3_d3.npz")
    scores = predict_scores(golden_network(weights, "paper"), golden["image"], tile=tile)
    for key in ("single_pass_reflect_fill", "tiles36_stride32_reflect_fill"):
        np.testing.assert_allclose(scores, golden[key], rtol=0, atol=SCORES)


@pytest.mark.parametrize("name", ["0cells", "1cell", "several", "100cells"])
def test_border_weight_maps_equal_the_golden_ones(shared, name):
    golden = np.load(shared / "golden" / "unet" / f"weightmap_{name}.npz")
    options = {
        "w0": float(golden["w0"]),
        "sigma": float(golden["sigma"]),
        "class_weights": (float(golden["wc_background"]), float(golden["wc_cell"])),
    }
    for where, key in (("background", "weights_background_only"), ("everywhere", "weights_everywhere")):
        found = border_weight_map(golden["labels"], where=where, **options)
        np.testing.assert_allclose(found, golden[key], rtol=2**-23)  # stored as float32


@pytest.mark.parametrize("name", ["0cells", "1cell", "several", "100cells"])
def test_balanced_weight_maps_equal_the_golden_ones(shared, name):
    golden = np.load(shared / "golden" / "unet" / f"weightmap_{name}.npz")
    # Both are float64 rounded to float32: half a unit in the last place each.
    np.testing.assert_allclose(balanced_weight_map(golden["labels"]), golden["falk_weights"], rtol=2**-23)


@pytest.mark.parametrize("name", ["0cells", "1cell", "several", "100cells"])
def test_separation_equals_the_authors(shared, name):
    golden = np.load(shared / "golden" / "unet" / f"weightmap_{name}.npz")
    np.testing.assert_array_equal(kseg.instances.separate(golden["labels"]) > 0, golden["separated_mask"] == 1)
