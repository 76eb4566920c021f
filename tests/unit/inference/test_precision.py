"""Which layers compute in which precision."""

from contextlib import contextmanager

import keras
import pytest

import kseg
from kseg.errors import ConfigError
from kseg.inference import computing_in, precision_of, set_precision, settled_precision


def policies(model: keras.Model) -> dict[str, str]:
    inputs = keras.layers.InputLayer  # which computes nothing
    return {layer.name: layer.dtype_policy.name for layer in model.layers if not isinstance(layer, inputs)}


@contextmanager
def dtype_policy(name):
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet", {"width": 2, "depth": 2}),
        ("unet", {"width": 2, "depth": 1, "padding": "same", "normalization": "batch"}),
        ("fcn8s", {"width": 1 / 32, "fc_width": 4, "classes": 3}),
        (
            "fcn16s",
            {"width": 1 / 32, "fc_width": 4, "upsampling": "learned", "classes": {"semantic": 3, "geometric": 2}},
        ),
        ("fcn32s", {"width": 1 / 32, "fc_width": 4, "streams": ("rgb", "hha")}),
    ],
)
def test_a_network_that_is_set_computes_layer_for_layer_as_one_that_was_built_so(name, options):
    for precision in ("mixed_bfloat16", "mixed_float16"):
        with dtype_policy(precision):
            built = kseg.build(name, **options)
        model = kseg.build(name, **options)
        assert precision_of(model) == "float32"
        set_precision(model, precision)
        assert policies(model) == policies(built) and precision_of(model) == precision
        set_precision(built, "float32")
        assert set(policies(built).values()) == {"float32"}


def test_a_precision_for_a_while_leaves_all_as_it_was():
    with dtype_policy("mixed_bfloat16"):
        model = kseg.build("unet", width=2, depth=1)
    before = policies(model)
    with pytest.raises(KeyError), computing_in(model, "float32"):
        assert set(policies(model).values()) == {"float32"}
        raise KeyError
    assert policies(model) == before


def test_a_network_within_a_network_is_set_too():
    inner = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3, padding="same")])
    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(inner(image)))
    set_precision(model, "mixed_bfloat16")
    assert inner.layers[0].dtype_policy.name == "mixed_bfloat16"
    assert model.layers[-1].dtype_policy.name == "float32"


def test_an_unknown_precision_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="no precision 'mixed_float61'. Did you mean 'mixed_float16'"):
        settled_precision("mixed_float61")
