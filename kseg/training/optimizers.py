"""Keras' optimisers with Caffe's factors per layer, and learning rates from a summed loss to a mean and back.

Caffe's update, which SGD here does: the gradients of iter_size batches are averaged; to that of each weight comes
weight_decay x decay_mult x weight; velocity = momentum x velocity + rate x lr_mult x gradient; weight -= velocity.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import keras

from kseg.errors import ConfigError, did_you_mean
from kseg.options import Option, options_of
from kseg.recipes.settings import from_json, to_json
from kseg.recipes.specs import OptimizerSpec


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
        self._spec, self.accumulate = spec, spec.accumulate
        self._decay = 0.0 if _own_decays(spec.name) else spec.weight_decay
        self._rates, self._decays = _pairs(spec.rate_factors), _pairs(spec.decay_factors)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)  # type: ignore[misc]
        if self.accumulate > 1:
            # What devices add is summed over them.
            new = partial(self.add_variable, aggregation="sum")
            self.gradient_sums = [new(each.shape, dtype=each.dtype, name="gradient_sum") for each in variables]
            self.gathered = self.add_variable((), dtype="int32", aggregation="only_first_replica", name="gathered")

    def get_config(self) -> dict[str, Any]:
        # Lists, as JSON gives them back.
        return {**super().get_config(), "spec": to_json(self._spec)}  # type: ignore[misc]

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        config = {**config, "spec": from_json(OptimizerSpec, config["spec"], "optimizer.")}
        return super().from_config(config, custom_objects)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate, decay = _factor(self._rates, variable.name), _factor(self._decays, variable.name)
        if self._decay * decay:
            gradient = gradient + self._decay * decay * variable
        super().update_step(gradient, variable, learning_rate * rate)  # type: ignore[misc]


# What `OptimizerSpec` says in its own fields, or what is no option of a training.
_OWN = (
    *("learning_rate", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "name"),
    *("ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps"),
)
_DEFAULTS = {"sgd": {"momentum": 0.99}}  # the papers' momentum


def options_taken(name: str) -> dict[str, Option]:
    """The options that the optimiser `name` takes, by their names.

    Raises:
      ConfigError: Keras has no such optimiser.
    """
    taken = options_of(_keras_class(name), without=_OWN)
    own = {**_DEFAULTS.get(name, {}), **dict.fromkeys(_own_decays(name))}
    return {key: replace(option, default=own.get(key, option.default)) for key, option in taken.items()}


_NONE_OF_ONES_OWN = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")  # they are made of others


def _own_decays(name: str) -> list[str]:
    """The arguments by which Keras' optimiser takes a decay from the weights apart from the gradient, as AdamW does."""
    taken = inspect.signature(_keras_class(name)).parameters
    return [key for key in ("weight_decay", "adam_weight_decay") if key in taken and taken[key].default is not None]


def _keras_class(name: str) -> type[keras.optimizers.Optimizer]:
    base = keras.optimizers.Optimizer
    found = {
        key.lower(): kind
        for key, kind in vars(keras.optimizers).items()
        if isinstance(kind, type) and issubclass(kind, base) and key not in _NONE_OF_ONES_OWN
    }
    if name not in found:
        raise ConfigError(f"There is no optimiser {name!r}. {did_you_mean(name, found)}")
    return found[name]


@functools.cache
def _with_factors(name: str) -> Any:
    """Keras' class of that name with Caffe's factors, known to Keras' saving."""
    kind = _keras_class(name)
    made = type(f"_{kind.__name__}", (_Factors, kind), {"__module__": __name__})
    return keras.saving.register_keras_serializable("kseg")(made)


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
        "name": spec.name,  # a name of Keras' making begins with "_", which TensorFlow refuses in `fit`
        "spec": spec,
        "global_clipnorm": spec.clip_norm,
        "use_ema": spec.ema > 0,
        "ema_momentum": spec.ema,
        **_DEFAULTS.get(spec.name, {}),
        **dict.fromkeys(_own_decays(spec.name), spec.weight_decay),  # Keras would take 0.004 by default
        **spec.options,
    }
    try:
        return _with_factors(spec.name)(rate, **options)
    except (ValueError, TypeError) as error:
        chosen = ", ".join(f"{name}={value}" for name, value in spec.options.items())
        raise ConfigError(f"optimizer {spec.name}, {chosen}: Keras refuses it ({error})") from error


def check_factors(spec: OptimizerSpec, model: keras.Model) -> None:
    """Whether every pattern of the factors fits a variable of `model`.

    Raises:
      ConfigError: one fits none, or the optimiser decays by itself, without factors.
    """
    if spec.decay_factors and _own_decays(spec.name):
        raise ConfigError(f"optimizer.decay_factors can't apply to {spec.name}, which decays by itself. Leave it out.")
    names = [_short(variable.path) for variable in model.trainable_variables]
    for field in ("rate_factors", "decay_factors"):
        for pattern, _ in _pairs(getattr(spec, field)):
            if not any(_fits(pattern, name) for name in names):
                layers = dict.fromkeys(name.partition("/")[0] for name in names)
                raise ConfigError(f"optimizer.{field}: {pattern!r} fits no layer. {did_you_mean(pattern, layers)}")


def freeze(spec: OptimizerSpec, model: keras.Model) -> None:
    """Takes the weights whose rate is 0 out of the training: they have no gradient and no moments.

    Their layers stay trainable, so that a network that is saved can be trained on, and batch normalisation goes on as
    it did. To be called before the optimiser is built.

    Raises:
      ConfigError: no weight is left to train.
    """
    if not model.trainable_variables:
        raise ConfigError(
            f"model: all layers of {model.name} are frozen (trainable = False), or it has no weights, so nothing would "
            "train. Set trainable = True on those that shall learn."
        )
    rates = _pairs(spec.rate_factors)
    for variable in model.trainable_variables:
        variable.trainable = _factor(rates, variable.path) > 0
    if not model.trainable_variables:
        raise ConfigError(
            f"optimizer.rate_factors: {', '.join(spec.rate_factors)} gives every weight of the network the rate 0, so "
            "nothing would train. Give some layer another factor."
        )


def for_mean_loss(spec: OptimizerSpec, pixels: int) -> OptimizerSpec:
    """What does with the mean over `pixels` pixels the same as `spec` with their sum, for SGD.

    The mean's gradient is the sum's divided by `pixels`: the rate is as many times larger. So that the decay and the
    length that gradients are clipped to stay as they were beside the gradient, they are as many times smaller.
    """
    return _rescaled(spec, 1 / pixels)


def for_summed_loss(spec: OptimizerSpec, pixels: int) -> OptimizerSpec:
    """What does with the sum over `pixels` pixels the same as `spec` with their mean, for SGD."""
    return _rescaled(spec, pixels)


def _rescaled(spec: OptimizerSpec, factor: float) -> OptimizerSpec:
    """What does with gradients times `factor` the same as `spec` with these, for SGD."""
    return spec.replaced(
        learning_rate=spec.learning_rate / factor,
        weight_decay=spec.weight_decay * factor,
        clip_norm=spec.clip_norm and spec.clip_norm * factor,
    )


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback], spec: OptimizerSpec) -> None:
    """Whether the recipe leaves the learning rate to the callbacks that set it.

    Raises:
      ConfigError: one sets it, but the recipe's schedule does too.
    """
    if spec.schedule == "constant":
        return
    for each in callbacks:
        if isinstance(each, keras.callbacks.LearningRateScheduler | keras.callbacks.ReduceLROnPlateau):
            raise ConfigError(
                f"callbacks: {type(each).__name__} sets the learning rate, but the recipe's schedule ({spec.schedule}) "
                "does too: pass settings={'optimizer.schedule': 'constant'}."
            )


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
        if not colon or not 0 <= pairs[-1][1] < math.inf:
            raise ConfigError(f"optimizer: {each!r} is no factor. Write PATTERN:FACTOR, as conv1_*:0.1 or */bias:2.")
    return pairs


def _factor(pairs: Sequence[tuple[str, float]], name: str) -> float:
    return next((number for pattern, number in reversed(pairs) if _fits(pattern, _short(name))), 1.0)


def _fits(pattern: str, name: str) -> bool:
    return fnmatchcase(name if "/" in pattern else name.partition("/")[0], pattern)


def _short(name: str) -> str:
    """Layer and variable, of the name on any replica: "fcn32s/fc6/kernel/replica_1:0" is "fc6/kernel"."""
    return "/".join(name.split(":")[0].split("/replica_")[0].split("/")[-2:])
