"""Which numbers a network can have."""

from __future__ import annotations

from kseg.errors import ConfigError


def check_numbers(name: str, **bounds: tuple[float, float, float]) -> None:
    """Raises ConfigError unless each option, given as (value, least, most), lies within its bounds."""
    for option, (value, least, most) in bounds.items():
        if not least <= value <= most:
            raise ConfigError(f"{name}: {option} is {value}, but must be from {least:g} to {most:g}.")


def check_classes(name: str, classes: int, most: int) -> None:
    """Raises ConfigError unless a network that segments can have so many classes."""
    if classes == 1:
        raise ConfigError(
            f"{name}: classes is 1, but the probabilities of all classes sum to 1: that of a single one is 1 at every "
            "pixel, and nothing is learned. Give 2, background and object."
        )
    check_numbers(name, classes=(classes, 2, most))
