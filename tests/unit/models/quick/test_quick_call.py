"""`call_quickly(model, x)` is `model(x)`: of kseg's networks, and of those that are called as they are.

Layers compute in float64, but for up-sampling, which is float32 always. An up-sampled cell is the sum of four products,
each rounded, so three stages of up-sampling and their sums keep within 32 units of 2^-24 of the largest score.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kseg
from kseg.models.quick import call_quickly

SLIM = {"classes": 3, "width": 1 / 64, "fc_width": 4}
ROUNDING = 32 * 2.0**-24


def built(name, **options):
    """A network in float64 with random weights and biases that are not zero."""
    keras.config.set_dtype_policy("float64")
    try:
        return randomised(kseg.build(name, **{**SLIM, **options}))
    finally:
        keras.config.set_dtype_policy("float32")


def randomised(network):
    rng = np.random.default_rng(0)
    for variable in network.weights:
        if "seed" in variable.path:
            continue
        inputs = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 1
        variable.assign(rng.normal(size=variable.shape) * np.sqrt(2 / inputs))
    return network


def images_of(network, *sizes, count=2):
    rng = np.random.default_rng(1)
    ends = network.input if isinstance(network.input, dict) else {"": network.input}
    for height, width in sizes:
        images = {name: rng.uniform(0, 255, (count, height, width, end.shape[-1])) for name, end in ends.items()}
        yield {name: tf.constant(image, tf.float32) for name, image in images.items()}


def assert_same(found, expected, rounding):
    keras.tree.assert_same_structure(found, expected)
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        assert one.dtype == other.dtype
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape
        assert not other.size or np.abs(one - other).max() <= rounding * np.abs(other).max()


def traced(function, network):
    """One graph for all sizes, as training and prediction have it."""
    specs = keras.tree.map_structure(lambda end: tf.TensorSpec((None, None, None, end.shape[-1])), network.input)
    return tf.function(function, input_signature=[specs], autograph=False)


NETWORKS = [
    ("fcn32s", {}),
    ("fcn16s", {}),
    ("fcn8s", {}),
    ("fcn8s", {"padding": "same"}),
    ("fcn8s", {"upsampling": "learned", "width": 1 / 32}),
    ("fcn8s", {"classes": {"semantic": 3, "geometric": 2}}),
    ("fcn8s-atonce", {}),
    ("fcn32s", {"backbone": "alexnet"}),
    ("fcn32s", {"backbone": "googlenet"}),
    ("fcn16s", {"streams": ("rgb", "hha")}),
    ("fcn32s-rgbd", {}),
]


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_scores_of_every_residue_of_the_stride_are_those_of_the_whole(name, options):
    network = built(name, **options)
    plain, quick = (traced(each, network) for each in (network, lambda images: call_quickly(network, images)))
    # 7 n modulo 32 meets every residue once, in another order than n does; the trunk's step is 16.
    every = range(1, 33) if (name, options) == ("fcn8s", {}) else range(1, 33, 6)
    for images in images_of(network, *[(n, 7 * n % 32 + 1) for n in every], (40, 33), count=2):
        given = images.get("", images)
        assert_same(quick(given), plain(given), ROUNDING)


@pytest.mark.parametrize("size", [(1, 1), (5, 34), (17, 16)])
@pytest.mark.parametrize("known", [True, False])
def test_a_call_outside_of_a_graph_and_known_sizes_give_the_same(size, known):
    network = built("fcn8s", input_shape=(*size, 3) if known else (None, None, 3))
    (images,) = images_of(network, size)
    assert_same(call_quickly(network, images[""]), network(images[""]), ROUNDING)


def test_dropout_drops_in_training_only():
    network = built("fcn32s")
    (images,) = images_of(network, (20, 20))
    outputs = [np.asarray(call_quickly(network, images[""], training=training)) for training in (True, True, False)]
    assert not np.array_equal(outputs[0], outputs[1])
    assert_same(outputs[2], np.asarray(network(images[""])), ROUNDING)


@pytest.mark.parametrize("options", [{}, {"upsampling": "learned"}, {"streams": ("rgb", "hha")}])
def test_gradients_of_weights_and_image_are_those_of_the_whole(options):
    network = built("fcn8s", **options)
    for layer in network.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    (images,) = images_of(network, (21, 34))
    given = images.get("", images)

    def gradients(call):
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = tf.reduce_sum(tf.cast(call(given, training=True), tf.float64))
        return tape.gradient(loss, [*network.trainable_variables, *tf.nest.flatten(given)])

    found, expected = gradients(lambda images, training: call_quickly(network, images, training=training)), None
    expected = gradients(network)
    # Back through up-sampling go float32 sums of at most 64 + 64 positive terms in three stages: 384 units of 2^-24.
    assert_same(found, expected, 384 * 2.0**-24)


def padded(*following, channels=2, pad=20):
    """A network of layers behind a padding."""
    image = keras.Input((None, None, channels))
    x = layers.ZeroPadding2D(pad)(image)
    for layer in following:
        x = layer(x)
    return image, x


def conv(filters=3, **options):
    return layers.Conv2D(filters, 3, **{"padding": "same", "activation": "relu", **options})


def pool():
    return layers.MaxPooling2D(2, padding="same")


class Subclassed(keras.Model):
    """No functional network."""

    def __init__(self):
        super().__init__()
        self.pad, self.convolution, self.up = layers.ZeroPadding2D(20), conv(), layers.UpSampling2D()

    def call(self, inputs):
        return self.up(self.convolution(self.pad(inputs)))


def shared():
    layer = conv(2)
    image, x = padded(layer, layer, pool())
    return keras.Model(image, x)


def nested():
    inner = keras.Model(*padded(conv(), pool()))
    image = keras.Input((None, None, 2))
    return keras.Model(image, layers.Conv2D(2, 1)(inner(layers.ZeroPadding2D(3)(image))))


def reused_within():
    network = kseg.build("fcn8s", **SLIM)
    return keras.Model(network.input, [network.output, network.get_layer("conv2_1").output])


def ending_within():
    network = kseg.build("fcn8s", **SLIM)
    return keras.Model(network.input, network.get_layer("conv3_3").output)


def with_an_operation():
    image, x = padded(conv(), pool())
    return keras.Model(image, keras.ops.add(x, 1.0) * 2)


class Times(layers.Layer):
    """Takes more than a map."""

    def call(self, inputs, factor=1.0):
        return inputs * factor


def with_an_argument():
    image, x = padded(conv(), pool())
    return keras.Model(image, Times()(x, factor=3.0))


def of_another_graph():
    """A layer whose first call was another network's."""
    layer = conv(2)
    keras.Model(*padded(layer))
    return keras.Model(*padded(layer, pool()))


def of_a_list():
    image, x = padded(conv(), pool())
    return keras.Model([image], [x])


def residual():
    image, x = padded(conv(2))
    return keras.Model(image, layers.Add()([x, conv(2)(x)]))


BROUGHT = {
    "sequential": lambda: keras.Sequential([keras.Input((None, None, 2)), layers.ZeroPadding2D(20), conv(), pool()]),
    "subclassed": Subclassed,
    "shared": shared,
    "nested": nested,
    "an output within": reused_within,
    "an end within": ending_within,
    "an operation": with_an_operation,
    "an argument": with_an_argument,
    "another graph": of_another_graph,
    "lists": of_a_list,
    "residual": residual,
    "identity": lambda: keras.Model(*[keras.Input((None, None, 2))] * 2),
    "classifier": lambda: kseg.build("vgg16", input_shape=(32, 32, 2), classes=3, width=1 / 64, fc_width=4),
    "unet": lambda: kseg.build("unet", depth=1, width=2, padding="same", input_shape=(8, 6, 2)),
    "pad 0": lambda: keras.Model(*padded(conv(), pool(), pad=0)),
    "pad 1": lambda: keras.Model(*padded(conv(padding="valid"), pool(), pad=1)),
    "uneven padding": lambda: keras.Model(*padded(conv(), pool(), pad=((1, 20), (30, 4)))),
    "huge padding": lambda: keras.Model(*padded(conv(), conv(), pool(), conv(), pool(), pad=131)),
    "padding 7": lambda: keras.Model(*padded(conv(padding="valid"), conv(), pool(), conv(), pool(), pad=7)),
    "all valid": lambda: keras.Model(*padded(*[conv(padding="valid"), pool()] * 1, conv(padding="valid"), pool())),
    "no bias": lambda: keras.Model(*padded(conv(use_bias=False), pool(), conv(use_bias=False), pool())),
    "no activation": lambda: keras.Model(*padded(conv(activation=None), pool(), conv(activation=None), pool())),
    "softmax": lambda: keras.Model(*padded(conv(activation="softmax"), pool())),
    "dilation": lambda: keras.Model(*padded(conv(dilation_rate=2), pool())),
    "strides": lambda: keras.Model(*padded(conv(strides=2), pool())),
    "groups": lambda: keras.Model(*padded(conv(4, groups=2, activation=None), pool())),
    "valid pooling": lambda: keras.Model(*padded(conv(), layers.MaxPooling2D(2), conv(), pool())),
    "dropout": lambda: keras.Model(*padded(conv(), layers.Dropout(0.5), pool())),
    "batch norm": lambda: keras.Model(*padded(conv(), layers.BatchNormalization(), pool())),
    "two pads": lambda: keras.Model(*padded(conv(), pool(), layers.ZeroPadding2D(20), conv(), pool())),
    "pools in a row": lambda: keras.Model(*padded(conv(), pool(), pool())),
    "nothing behind": lambda: keras.Model(*padded()),
    "a regularised conv": lambda: keras.Model(*padded(conv(kernel_regularizer="l2"), pool())),
}


@pytest.mark.parametrize("kind", BROUGHT)
def test_any_network_gives_what_it_gives(kind):
    keras.config.set_dtype_policy("float64")
    try:
        network = BROUGHT[kind]()
        channels = getattr(network, "input_shape", None) if kind != "subclassed" else (None, None, None, 2)
        channels = channels[0] if isinstance(channels, list) else channels
        sizes = [channels[1:3]] if channels[1] else [(1, 1), (2, 9), (17, 6), (33, 40)]
        for size in sizes:
            image = np.random.default_rng(2).normal(size=(2, *size, channels[-1]))
            network(image if kind != "lists" else [image])
            randomised(network)
            given = image if kind != "lists" else [image]
            # Sums of at most 9 x 64 products, in another order: 576 units of 2^-53 for each of at most twenty layers.
            bound = 20 * 576 * 2.0**-53 if kind != "an output within" else ROUNDING
            assert_same(call_quickly(network, given), network(given), bound)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_its_types_and_rounding(policy):
    keras.config.set_dtype_policy(policy)
    try:
        network = randomised(keras.Model(*padded(conv(), conv(), pool(), conv(), pool())))
    finally:
        keras.config.set_dtype_policy("float32")
    image = np.random.default_rng(2).normal(size=(2, 9, 14, 2)).astype(np.float32)
    found, expected = call_quickly(network, image), network(image)
    assert found.dtype == expected.dtype
    # A sum may round to the next number in each of three convolutions, and each passes an error on to 27 products.
    unit = 2.0**-8 if policy == "mixed_bfloat16" else 2.0**-11
    found, expected = (np.asarray(keras.ops.cast(each, "float32")) for each in (found, expected))
    assert np.abs(found - expected).max() <= 4 * 3 * unit * np.abs(expected).max()
