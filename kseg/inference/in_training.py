"""A network while it is trained: its predictor, and its file."""

from __future__ import annotations

from pathlib import Path

import keras

from kseg.inference.precision import precision_of
from kseg.inference.predictor import Predictor, changing_predictor
from kseg.storage import aside


class SharedPredictor:
    """The predictor of a network, in the precision of its training, for all callbacks that hold this object."""

    def __init__(self) -> None:
        self._model: keras.Model | None = None

    def __call__(self, model: keras.Model) -> Predictor:
        if self._model is not model:
            self._model, self._predictor = model, changing_predictor(model, precision=precision_of(model))
        return self._predictor


def save_network(model: keras.Model, path: str | Path) -> None:
    """Saves `model` as a `.keras` file, completely or not at all, without its optimiser.

    A checkpoint holds the optimiser. Here it would be half or two thirds of the file, and a third of the time.
    """
    is_functional = getattr(model, "inputs", None) and not isinstance(model, keras.Sequential)
    bare = keras.Model(model.input, model.output, name=model.name) if is_functional else model
    with aside(path) as temporary:
        bare.save(temporary)
