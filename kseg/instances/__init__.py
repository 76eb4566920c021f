"""Objects of a mask, one number each: what counts as an object, how touching ones are separated, their measurements."""

from kseg.instances.finding import ObjectRules, number
from kseg.instances.numbering import are_numbered, components, count_numbered, separate
from kseg.instances.separation import part
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
