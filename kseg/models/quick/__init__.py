"""Networks called in less time than layer by layer, with the same numbers up to rounding."""

from kseg.models.quick.call import call_quickly
from kseg.models.quick.padded_trunk import Call, call_layer

__all__ = ["Call", "call_layer", "call_quickly"]
