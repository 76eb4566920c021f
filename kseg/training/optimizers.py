"""Keras' optimisers with Caffe's factors per layer, and learning rates converted between a summed and a mean loss.

SGD here computes Caffe's update. The gradients of iter_size batches are averaged, and weight_decay x decay_mult x
weight is added. Then velocity = momentum x velocity + rate x lr_mult x gradient, and weight -= velocity.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import keras

from kseg.errors import ConfigError, did_you_mean
from kseg.training.keras_optimizers import DEFAULTS, check_options, keras_class, own_decays
from kseg.training.specs import OptimizerSpec


class _Factors:
    """Mixed into a Keras optimiser: Caffe's weight decay, and factors of each variable's rate and decay.

    A factor is a pair of a pattern and a number. The last pattern that fits a variable ("fc6/kernel") counts.

    Attributes:
      accumulate: how many batches make an update.
      gradient_sums, gathered: where that is several, the sums of the gradients since the last update, and how many
        batches they hold. The caller of `apply` fills and uses them, since they concern all devices together.
    """

    add_variable: Callable[..., keras.Variable]  # the Keras optimiser's

    def __init__(self, *arguments: Any, spec: OptimizerSpec, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._spec, self.accumulate = spec, spec.accumulate
        self._decay = 0.0 if own_decays(spec.name) else spec.weight_decay
        self._rates, self._decays = _pairs(spec.rate_factors), _pairs(spec.decay_factors)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)  # type: ignore[misc]
        if self.accumulate > 1:
            # Each device adds its own part; the sum runs over all of them.
            new = partial(self.add_variable, aggregation="sum")
            self.gradient_sums = [new(each.shape, dtype=each.dtype, name="gradient_sum") for each in variables]
            self.gathered = self.add_variable((), dtype="int32", aggregation="only_first_replica", name="gathered")

    def get_config(self) -> dict[str, Any]:
        spec = {**self._spec.fields, **self._spec.options}
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in spec.items()}  # as in JSON
        return {**super().get_config(), "spec": lists}  # type: ignore[misc]

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        config = {**config, "spec": OptimizerSpec(**config["spec"])}
        return super().from_config(config, custom_objects)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate, decay = _factor(self._rates, variable.name), _factor(self._decays, variable.name)
        if self._decay * decay:
            gradient = gradient + self._decay * decay * variable
        super().update_step(gradient, variable, learning_rate * rate)  # type: ignore[misc]


@functools.cache
def _with_factors(name: str) -> Any:
    """Keras' class of that name with Caffe's factors, registered so that Keras can save it."""
    kind = keras_class(name)
    made = type(f"_{kind.__name__}", (_Factors, kind), {"__module__": __name__})
    return keras.saving.register_keras_serializable("kseg")(made)


def make_optimizer(spec: OptimizerSpec, steps: int) -> keras.optimizers.Optimizer:
    """The optimiser. Its learning rate reaches 0 after `steps` batches, unless it is constant.

    Raises:
      ConfigError: Keras refuses the options.
    """
    check_options(spec.name, spec.options)
    schedules, updates = keras.optimizers.schedules, max(1, steps // spec.accumulate)
    rate = {
        "constant": lambda: spec.learning_rate,
        "cosine": lambda: schedules.CosineDecay(spec.learning_rate, updates),
        "polynomial": lambda: schedules.PolynomialDecay(
            spec.learning_rate, updates, end_learning_rate=0.0, power=spec.power
        ),
    }[spec.schedule]()
    options: dict[str, Any] = {
        "name": spec.name,  # a name of Keras' making begins with "_", which TensorFlow refuses in `fit`
        "spec": spec,
        "global_clipnorm": spec.clip_norm,
        "use_ema": spec.ema > 0,
        "ema_momentum": spec.ema,
        **DEFAULTS.get(spec.name, {}),
        **dict.fromkeys(own_decays(spec.name), spec.weight_decay),  # Keras would take 0.004 by default
        **spec.options,
    }
    return _with_factors(spec.name)(rate, **options)


def check_factors(spec: OptimizerSpec, model: keras.Model) -> None:
    """Checks that every pattern of the factors fits a variable of `model`.

    Raises:
      ConfigError: a pattern fits none, or the optimiser has its own weight decay, which takes no factors.
    """
    if spec.decay_factors and own_decays(spec.name):
        raise ConfigError(
            f"optimizer.decay_factors can't apply to {spec.name}, which has its own weight decay.",
            "Leave the factors out.",
        )
    names = [_short(variable.path) for variable in model.trainable_variables]
    for field in ("rate_factors", "decay_factors"):
        for pattern, _ in _pairs(getattr(spec, field)):
            if not any(_fits(pattern, name) for name in names):
                layers = dict.fromkeys(name.partition("/")[0] for name in names)
                raise ConfigError(f"optimizer.{field}: {pattern!r} fits no layer.", did_you_mean(pattern, layers))


def freeze(spec: OptimizerSpec, model: keras.Model) -> None:
    """Freezes the weights whose rate is 0: they get no gradient and no moments.

    Their layers stay trainable. So a saved network can be trained further, and batch normalisation works as before.
    Call this before the optimiser is built.

    Raises:
      ConfigError: no weight is left to train.
    """
    if not model.trainable_variables:
        raise ConfigError(
            f"model: {model.name} has no trainable weights, so nothing would train.",
            "Set trainable = True on the layers that shall learn.",
        )
    rates = _pairs(spec.rate_factors)
    for variable in model.trainable_variables:
        variable.trainable = _factor(rates, variable.path) > 0
    if not model.trainable_variables:
        raise ConfigError(
            f"optimizer.rate_factors: {', '.join(spec.rate_factors)} gives every weight of the network the rate 0, so "
            "nothing would train.",
            "Give some layer another factor.",
        )


def for_mean_loss(spec: OptimizerSpec, pixels: int) -> OptimizerSpec:
    """The optimiser that does with the mean loss over `pixels` pixels what `spec` does with their sum, for SGD.

    The gradient of the mean is `pixels` times smaller, so the rate is `pixels` times larger. Weight decay and clipping
    length become `pixels` times smaller, to keep their proportion to the gradient.
    """
    return _rescaled(spec, 1 / pixels)


def for_summed_loss(spec: OptimizerSpec, pixels: int) -> OptimizerSpec:
    """The optimiser that does with the summed loss over `pixels` pixels what `spec` does with their mean, for SGD."""
    return _rescaled(spec, pixels)


def _rescaled(spec: OptimizerSpec, factor: float) -> OptimizerSpec:
    """The optimiser that does with gradients times `factor` what `spec` does with the gradients, for SGD."""
    return spec.replaced(
        learning_rate=spec.learning_rate / factor,
        weight_decay=spec.weight_decay * factor,
        clip_norm=spec.clip_norm and spec.clip_norm * factor,
    )


def _pairs(factors: Sequence[str]) -> list[tuple[str, float]]:
    """The pairs of ("conv1_*:0.1",).

    Raises:
      ConfigError: a factor has another form.
    """
    pairs = []
    for each in factors:
        pattern, colon, number = each.rpartition(":")
        try:
            pairs.append((pattern, float(number)))
        except ValueError:
            colon = ""
        if not colon or not 0 <= pairs[-1][1] < math.inf:
            raise ConfigError(f"optimizer: {each!r} is no factor.", "Write PATTERN:FACTOR: conv1_*:0.1 or */bias:2.")
    return pairs


def _factor(pairs: Sequence[tuple[str, float]], name: str) -> float:
    return next((number for pattern, number in reversed(pairs) if _fits(pattern, _short(name))), 1.0)


def _fits(pattern: str, name: str) -> bool:
    return fnmatchcase(name if "/" in pattern else name.partition("/")[0], pattern)


def _short(name: str) -> str:
    """Layer and variable of a name on any replica: "fcn32s/fc6/kernel/replica_1:0" becomes "fc6/kernel"."""
    return "/".join(name.split(":")[0].split("/replica_")[0].split("/")[-2:])
