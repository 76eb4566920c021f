"""SGD and Adam with Caffe's factors per layer, and learning rates from a summed loss to a mean and back.

Caffe's update, which SGD here does: the gradients of iter_size batches are averaged; to that of each weight comes
weight_decay x decay_mult x weight; velocity = momentum x velocity + rate x lr_mult x gradient; weight -= velocity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import keras

from kseg.errors import ConfigError, did_you_mean
from kseg.training.specs import OptimizerSpec


class _Factors:
    """Beside a Keras optimiser: Caffe's weight decay, and what each variable's rate and decay are multiplied by.

    The factors are pairs of a pattern and a number; of those that fit a variable ("fc6/kernel") the last counts.

    Attributes:
      accumulate: the batches to an update.
      gradient_sums, gathered: where that is several, the sums of the gradients since the last one, and of how many
        batches. Who calls `apply` fills them and uses them, since that is no matter of one device.
    """

    add_variable: Callable[..., keras.Variable]  # the Keras optimiser's

    def __init__(self, *arguments: Any, spec: OptimizerSpec, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._decay, self.accumulate = spec.weight_decay, spec.accumulate
        self._rates, self._decays = _pairs(spec.rate_factors), _pairs(spec.decay_factors)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)  # type: ignore[misc]
        if self.accumulate > 1:
            # What devices add is summed over them.
            new = partial(self.add_variable, aggregation="sum")
            self.gradient_sums = [new(each.shape, dtype=each.dtype, name="gradient_sum") for each in variables]
            self.gathered = self.add_variable((), dtype="int32", aggregation="only_first_replica", name="gathered")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate, decay = _factor(self._rates, variable.name), _factor(self._decays, variable.name)
        if rate == 0:
            return
        if self._decay * decay:
            gradient = gradient + self._decay * decay * variable
        super().update_step(gradient, variable, learning_rate * rate)  # type: ignore[misc]


class _SGD(_Factors, keras.optimizers.SGD): ...


class _Adam(_Factors, keras.optimizers.Adam): ...


def make_optimizer(spec: OptimizerSpec, steps: int) -> keras.optimizers.Optimizer:
    """The optimiser, whose learning rate reaches zero after `steps` batches unless it is constant."""
    schedules, updates = keras.optimizers.schedules, max(1, steps // spec.accumulate)
    rate = {
        "constant": lambda: spec.learning_rate,
        "cosine": lambda: schedules.CosineDecay(spec.learning_rate, updates),
        "polynomial": lambda: schedules.PolynomialDecay(
            spec.learning_rate, updates, end_learning_rate=0.0, power=spec.power
        ),
    }[spec.schedule]()
    options: dict[str, Any] = {
        "spec": spec,
        "global_clipnorm": spec.clip_norm,
        "use_ema": spec.ema > 0,
        "ema_momentum": spec.ema,
    }
    if spec.name == "sgd":
        return _SGD(rate, momentum=spec.momentum, **options)
    return _Adam(rate, **options)


def check_factors(spec: OptimizerSpec, model: keras.Model) -> None:
    """Whether every pattern of the factors fits a variable of `model`.

    Raises:
      ConfigError: one fits none.
    """
    names = [_short(variable.path) for variable in model.trainable_variables]
    for field in ("rate_factors", "decay_factors"):
        for pattern, _ in _pairs(getattr(spec, field)):
            if not any(_fits(pattern, name) for name in names):
                layers = dict.fromkeys(name.partition("/")[0] for name in names)
                raise ConfigError(f"optimizer.{field}: {pattern!r} fits no layer. {did_you_mean(pattern, layers)}")


def for_mean_loss(spec: OptimizerSpec, pixels: int) -> OptimizerSpec:
    """What does with the mean over `pixels` pixels the same as `spec` with their sum, for SGD.

    The mean's gradient is the sum's divided by `pixels`: the rate is as many times larger. So that the decay stays as
    it was beside the gradient, it is as many times smaller.
    """
    return dataclasses.replace(spec, learning_rate=spec.learning_rate * pixels, weight_decay=spec.weight_decay / pixels)


def for_summed_loss(spec: OptimizerSpec, pixels: int) -> OptimizerSpec:
    """What does with the sum over `pixels` pixels the same as `spec` with their mean, for SGD."""
    return dataclasses.replace(spec, learning_rate=spec.learning_rate / pixels, weight_decay=spec.weight_decay * pixels)


def _pairs(factors: Sequence[str]) -> list[tuple[str, float]]:
    """("conv1_*:0.1",) as pairs.

    Raises:
      ConfigError: one is not of that form.
    """
    pairs = []
    for each in factors:
        pattern, colon, number = each.rpartition(":")
        try:
            pairs.append((pattern, float(number)))
        except ValueError:
            colon = ""
        if not colon or pairs[-1][1] < 0:
            raise ConfigError(f"optimizer: {each!r} is no factor. Write PATTERN:FACTOR, as conv1_*:0.1 or */bias:2.")
    return pairs


def _factor(pairs: Sequence[tuple[str, float]], name: str) -> float:
    return next((number for pattern, number in reversed(pairs) if _fits(pattern, _short(name))), 1.0)


def _fits(pattern: str, name: str) -> bool:
    return fnmatchcase(name if "/" in pattern else name.partition("/")[0], pattern)


def _short(name: str) -> str:
    """Layer and variable, of the name on any replica: "fcn32s/fc6/kernel/replica_1:0" is "fc6/kernel"."""
    return "/".join(name.split(":")[0].split("/replica_")[0].split("/")[-2:])
