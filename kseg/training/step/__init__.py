"""A step of a training, and what to say where it fails."""

from kseg.training.step.first_nan import first_not_finite
from kseg.training.step.one_step import is_compiled, step_of, with_average_weights

__all__ = ["first_not_finite", "is_compiled", "step_of", "with_average_weights"]
