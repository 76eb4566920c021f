"""The kinds of bad files that `data check` tells apart."""

from __future__ import annotations

from kseg.errors import DataError


class DamagedFile(DataError):
    """A file that is truncated, damaged or empty."""


class LossyLabel(DataError):
    """A label that was compressed with loss, which blurs its numbers."""


class ColouredLabel(DataError):
    """A label that holds colours in place of numbers."""
