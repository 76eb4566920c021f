"""Networks as functions, and `build`, which finds them by name."""

import inspect

import keras
import pytest

import kseg
from kseg.errors import ConfigError
from kseg.layers import SCALINGS, ScaleInput

FUNCTIONS = {name: name.replace("-", "_") for name in kseg.models.names()}
SLIM = {"width": 1 / 64, "fc_width": 2}


def scalings(network) -> list:
    return [layer.scaling for layer in network.layers if isinstance(layer, ScaleInput)]


def test_every_network_is_a_function_of_its_name_with_its_own_signature_and_help():
    for name, function in FUNCTIONS.items():
        built = getattr(kseg.models, function)
        assert inspect.isfunction(built) and built is kseg.models.NETWORKS.get(name), name
        parameters = inspect.signature(built).parameters
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values()), name
        assert {"classes", "input_shape", "width", "preprocessing", "weights"} <= parameters.keys(), name
        assert built.__doc__ and built.__name__ == function


def test_the_fcns_share_the_options_and_their_help_but_not_their_first_line():
    from kseg.models import fcn8s, fcn16s, fcn32s

    signature = inspect.signature(fcn8s)
    assert signature == inspect.signature(fcn32s) == inspect.signature(fcn16s)
    assert (signature.parameters["classes"].default, signature.parameters["backbone"].default) == (21, "vgg16")
    first, *rest = fcn8s.__doc__.splitlines()
    assert first == "FCN-8s: the scores of fc7, pool4 and pool3 summed." and rest == fcn32s.__doc__.splitlines()[1:]
    with pytest.raises(TypeError, match="clases"):
        fcn8s(clases=2)


def test_a_function_builds_what_build_does():
    from kseg.models import unet

    for one, other in (
        (unet(classes=3, width=2, depth=1), kseg.build("unet", classes=3, width=2, depth=1)),
        (kseg.models.fcn8s(classes=3, **SLIM), kseg.build("fcn8s", classes=3, **SLIM)),
        (kseg.models.fcn8s_atonce(classes=3, **SLIM), kseg.build("fcn8s-atonce", classes=3, **SLIM)),
    ):
        assert one.name == other.name and one.output_shape == other.output_shape
        assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]


def test_preprocessing_is_none_own_or_a_name():
    assert scalings(kseg.build("fcn32s", **SLIM)) == scalings(kseg.build("fcn32s", preprocessing="own", **SLIM))
    assert scalings(kseg.build("fcn32s", preprocessing="own", **SLIM)) == [SCALINGS["voc"]]
    for nothing in (None, "none"):
        assert scalings(kseg.build("fcn32s", preprocessing=nothing, **SLIM)) == []
        assert scalings(kseg.build("unet", preprocessing=nothing, width=2)) == []
    assert scalings(kseg.build("fcn32s", preprocessing="vgg", **SLIM)) == [SCALINGS["vgg"]]
    with pytest.raises(ConfigError, match="There is no preprocessing 'vggg'. Did you mean 'vgg'.* none, .* own, "):
        kseg.build("fcn32s", preprocessing="vggg", **SLIM)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.startswith(("fcn", "unet"))])
def test_a_network_that_segments_needs_two_classes_and_says_why(name):
    for build in (getattr(kseg.models, FUNCTIONS[name]), lambda **options: kseg.build(name, **options)):
        with pytest.raises(ConfigError, match=f"{name}: classes is 1, .* Give 2, background and object"):
            build(classes=1)
    with pytest.raises(ConfigError, match=f"{name}: classes is 0, but must be from 2 to"):
        kseg.build(name, classes=0)


def test_one_of_several_heads_needs_two_classes_as_well():
    with pytest.raises(ConfigError, match="classes is 1"):
        kseg.build("fcn8s", classes={"semantic": 3, "geometric": 1}, **SLIM)


@pytest.mark.parametrize("name", ["vgg16", "alexnet", "googlenet"])
def test_a_classifier_may_have_a_single_score(name):
    options = {"width": 1 / 64} if name == "googlenet" else SLIM
    assert kseg.build(name, classes=1, **options).output_shape == (None, 1)


@pytest.mark.parametrize("convolutional", [False, True])
@pytest.mark.parametrize(("name", "rates"), [("vgg16", [0.5, 0.5]), ("alexnet", [0.5, 0.5]), ("googlenet", [0.4])])
def test_a_classifier_drops_as_much_as_its_paper_says(name, rates, convolutional):
    options = {"width": 1 / 64} if name == "googlenet" else SLIM
    layers = kseg.build(name, convolutional=convolutional, **options).layers
    assert [layer.rate for layer in layers if isinstance(layer, keras.layers.Dropout)] == rates
