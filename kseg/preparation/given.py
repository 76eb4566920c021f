"""Objects that the caller hands over in place of names: data, network, loss, augmentations, measure, optimiser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from kseg.chosen import GIVEN
from kseg.datasets import Dataset
from kseg.datasets.contract import check_made
from kseg.errors import ConfigError
from kseg.inference import SEGMENTS
from kseg.metrics import Measure
from kseg.objectives import BatchLoss, KerasLoss
from kseg.pipeline import AUGMENTATIONS, check_augmentations
from kseg.preparation.brought import plain

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Given:
    """Objects that take the place of what a recipe names; None, or no data, where there is no object.

    Attributes:
      data: the data sets to train on, choose by and report on, by "train", "val" and "test".
      model: a functional network. Its layers are copied; the network itself is not changed.
      loss: a kseg.objectives.BatchLoss or a loss of Keras.
      augment: augmentations (kseg.pipeline.Augmentation).
      measure: what the network is chosen by.
      optimizer: an optimiser of Keras.

    Raises:
      ConfigError: an object has the wrong kind; the message says which is wanted.
    """

    data: Mapping[str, Dataset] = field(default_factory=dict)
    model: keras.Model | None = None
    loss: BatchLoss | None = None
    augment: Sequence[Any] | None = None
    measure: Measure | None = None
    optimizer: keras.optimizers.Optimizer | None = None

    def __post_init__(self) -> None:
        _check_data(self.data)
        if self.loss is not None:
            object.__setattr__(self, "loss", as_batch_loss(self.loss, "loss"))
        if self.augment is not None:
            check_augmentations(self.augment)
        if self.measure is not None:
            _check_kind("measure", self.measure, Measure, "a kseg.metrics.Measure")
        if self.optimizer is not None:
            _check_kind("optimizer", self.optimizer, keras.optimizers.Optimizer, "an optimiser of Keras")
        if self.model is not None:
            _check_kind("model", self.model, keras.Model, "a keras.Model")
            if not getattr(self.model, "inputs", None):
                raise ConfigError(f"model: {self.model.name} has no inputs of its own.", SEGMENTS)
            object.__setattr__(self, "model", plain(self.model))

    @property
    def names(self) -> list[str]:
        """The names of the objects that were handed over, as the arguments are called."""
        return [name for name, value in vars(self).items() if value is not None and value != {}]

    def settings(self) -> dict[str, Any]:
        """The settings that mark the objects in the recipe."""
        named = {"data": "data.name", "model": "model.name", "loss": "loss.name", "optimizer": "optimizer.name"}
        found: dict[str, Any] = {setting: GIVEN for name, setting in named.items() if name in self.names}
        if self.measure is not None:
            found["measure"] = GIVEN
        if self.augment is not None:  # which replace all augmentations of the recipe
            found |= {f"data.augment.{name}": None for name in AUGMENTATIONS}
        return found

    def to_json(self) -> dict[str, Any]:
        """The class of each object, and its configuration if it has one."""
        objects = {name: getattr(self, name) for name in self.names}
        return {
            name: {key: _described(each) for key, each in value.items()}
            if isinstance(value, Mapping)
            else [_described(each) for each in value]
            if isinstance(value, Sequence)
            else _described(value)
            for name, value in objects.items()
        }


def as_batch_loss(loss: Any, what: str) -> BatchLoss:
    """A loss of kseg unchanged, or a loss of Keras wrapped as one of kseg.

    Raises:
      ConfigError: it is no loss, or a loss of Keras that can't be computed pixel by pixel; the message begins with
        `what`.
    """
    if isinstance(loss, keras.losses.Loss) and not isinstance(loss, BatchLoss):
        return KerasLoss(loss)
    _check_kind(what, loss, BatchLoss, "a kseg.objectives.BatchLoss or a loss of Keras")
    return loss


def _check_data(data: Any) -> None:
    if (
        isinstance(data, tf.data.Dataset)
        or isinstance(data, Mapping)
        and any(isinstance(each, tf.data.Dataset) for each in data.values())
    ):
        raise ConfigError(
            "data: a tf.data.Dataset can't go on at the same item after a break, and can't be scored image by image.",
            "Write a kseg.datasets.Dataset (ids and read). Or train with a plain fit: model.compile(...) with a loss "
            "of kseg.objectives, then model.fit(dataset).",
        )
    if not isinstance(data, Mapping) or (data and "train" not in data) or set(data) - set(PARTS):
        found = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        raise ConfigError(f"data: found {found}.", "Hand over a dict with train, and val or test.")
    for name, each in data.items():
        check_made(each, f"data[{name!r}]")


def _check_kind(what: str, value: Any, kind: type, words: str) -> None:
    if not isinstance(value, kind):
        found = f"the class {value.__name__}" if isinstance(value, type) else f"{type(value).__name__}"
        raise ConfigError(f"{what}: found {found}.", f"Hand over {words}.")


def _described(value: Any) -> dict[str, Any]:
    """An object's class and configuration, in the types of JSON."""
    kind = type(value)
    found: dict[str, Any] = {"class": f"{kind.__module__}.{kind.__qualname__}"}
    if isinstance(value, Dataset):
        found |= {"name": value.name, "split": value.split, "images": len(value)}
    if isinstance(value, keras.Model):
        found["config"] = _with_plain_names(value)
    elif hasattr(value, "get_config"):
        found["config"] = {key: each for key, each in value.get_config().items() if key != "name"}  # Keras numbers it
    elif hasattr(value, "__dataclass_fields__"):
        found["config"] = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return json.loads(json.dumps(found, default=str))


def _with_plain_names(model: keras.Model) -> Any:
    """A network's configuration with its layers numbered from 0. Keras counts on each time a network is built."""
    names = {layer.name: f"layer {number}" for number, layer in enumerate(model.layers)} | {model.name: "network"}

    def renamed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: renamed(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [renamed(each) for each in value]
        return names.get(value, value) if isinstance(value, str) else value

    return renamed(model.get_config())
