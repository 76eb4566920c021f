"""Networks called in less time than layer by layer, with the same numbers up to rounding."""

from kseg.models.quick.call import call_quickly

__all__ = ["call_quickly"]
