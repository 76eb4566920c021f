"""One number per object: what counts as an object of a mask, objects that touch, and what is measured of each."""

from kseg.instances.finding import ObjectRules, number
from kseg.instances.numbering import are_numbered, components, count_numbered, separate
from kseg.instances.parting import part
from kseg.instances.table import object_table

__all__ = [
    "ObjectRules",
    "are_numbered",
    "components",
    "count_numbered",
    "number",
    "object_table",
    "part",
    "separate",
]
