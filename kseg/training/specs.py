"""The settings of the training machine: the optimiser and the checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from kseg.chosen import GIVEN, Chosen
from kseg.options import Above, AtLeast, Below, Option


@dataclass(frozen=True, init=False)
class OptimizerSpec(Chosen):
    """An optimiser of Keras, its options, and how its learning rate falls to 0 over all steps.

    Attributes:
      name: the class's name in small letters: sgd, adam, adamw, rmsprop, lion, ...
      learning_rate: at the start.
      schedule: constant, cosine, or polynomial: (1 - step / steps) ** power.
      power: of the polynomial.
      weight_decay: this times the weight is added to its gradient (Caffe's L2); of adamw and muon the decoupled decay.
      rate_factors: "PATTERN:FACTOR", which multiplies the learning rate of the variables whose layer ("conv1_*") or
        layer and variable ("*/bias") fits the pattern. The last pattern that fits counts; 0 freezes. Caffe's lr_mult.
      decay_factors: the same for the weight decay. Caffe's decay_mult.
      clip_norm: the gradients, taken together as one vector, are shortened to this length; None for not at all.
      accumulate: how many batches' gradients are averaged into one update. Caffe's iter_size. Steps count batches.
        At the end of the training, batches too few for an update change nothing.
      ema: the share of itself that the running average of the weights keeps at each update; 0 for no average. The
        average is what is validated, saved as a network and reported.
      skip: how many steps in a row may have gradients that are not finite. They change nothing; one more ends the
        training.
    """

    kind: ClassVar[str] = "optimiser"
    part: ClassVar[str] = "optimizer"
    name: str = "adam"
    learning_rate: Annotated[float, Above(0)] = 1e-3
    schedule: Literal["constant", "cosine", "polynomial"] = "cosine"
    power: Annotated[float, AtLeast(0)] = 0.9
    weight_decay: Annotated[float, AtLeast(0)] = 0.0
    rate_factors: tuple[str, ...] = ()
    decay_factors: tuple[str, ...] = ()
    clip_norm: Annotated[float | None, Above(0)] = None
    accumulate: Annotated[int, Above(0)] = 1
    ema: Annotated[float, AtLeast(0), Below(1)] = 0.0
    skip: Annotated[int, AtLeast(0)] = 20

    @staticmethod
    def takes(name: str) -> dict[str, Option]:
        from kseg.training.keras_optimizers import options_taken  # with Keras

        return {} if name == GIVEN else options_taken(name)

    def check(self) -> None:
        from kseg.training.keras_optimizers import check_options

        if self.options:
            check_options(self.name, self.options)


@dataclass(frozen=True)
class CheckpointSpec:
    """When the state of a training is saved. It is always saved at an epoch's end and when the training is interrupted.

    Attributes:
      every_steps: also after so many steps; None for not by steps.
      every_minutes: also so many minutes after the last; None for not by the clock.
      keep: how many of the newest checkpoints stay, beside that of the best network.
    """

    every_steps: Annotated[int | None, Above(0)] = None
    every_minutes: Annotated[float | None, Above(0)] = 10.0
    keep: Annotated[int, Above(0)] = 3
