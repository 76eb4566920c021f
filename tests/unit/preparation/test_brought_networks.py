"""What a recipe makes of its network."""

import numpy as np
import pytest

import kseg
from kseg.errors import ConfigError
from kseg.layers import SCALINGS, ScaleInput, ScoreReading, readings_of
from kseg.preparation.prepared import prepare
from kseg.recipes import RECIPES
from kseg.training.devices import Devices

SLIM = {"model.width": 2, "model.depth": 1, "steps": 1, "precision": "float32"}


def scalings(model) -> list:
    return [layer.scaling for layer in model.layers if isinstance(layer, ScaleInput)]


def network(**settings):
    return prepare(RECIPES.get("demo")().with_settings({**SLIM, **settings}), None).network(Devices.of())


@pytest.mark.parametrize("named", ["own", "none", "vgg", "unit"])
def test_preprocessing_is_named_as_build_names_it(named):
    found = [
        layer.scaling for layer in network(**{"model.preprocessing": named}).layers if isinstance(layer, ScaleInput)
    ]
    built = kseg.build("unet", preprocessing=named, width=2, depth=1)
    assert found == scalings(built) and len(found) == (named != "none")
    assert scalings(kseg.build("unet", preprocessing=None, width=2, depth=1)) == []


def test_an_unknown_preprocessing_gets_the_nearest_name():
    with pytest.raises(ConfigError, match="model.preprocessing is 'vg'. Did you mean 'vgg'"):
        network(**{"model.preprocessing": "vg"})
    assert "vgg" in SCALINGS


def cell_areas(data):
    return [area for item in data for area in np.bincount(item.instances.ravel())[1:].tolist() if area]


def test_a_network_carries_names_colours_and_average_of_its_training():
    prepared = prepare(RECIPES.get("demo")().with_settings(SLIM), None)
    specks = int(np.median(cell_areas(prepared.parts["train"])) / 4)  # until val has chosen what counts as a cell
    reading = ScoreReading(("background", "cell"), average="mirror", min_size=specks)
    assert readings_of(network(average="mirror")) == {"": reading} and specks > 0
    prepared.parts["train"].colours, prepared.parts["train"].upright = ((0, 0, 0), (9, 8, 7)), True
    found = readings_of(prepared.network(Devices.of()))[""]
    assert (found.colours, found.upright, found.threshold) == (((0, 0, 0), (9, 8, 7)), True, None)
