"""Checks of the numbers that a network is built with."""

from __future__ import annotations

from collections.abc import Iterable

from kseg.errors import ConfigError


def check_bounds(name: str, **bounds: tuple[float, float, float]) -> None:
    """Raises ConfigError unless each option, given as (value, least, most), is within its bounds."""
    for option, (value, least, most) in bounds.items():
        if not least <= value <= most:
            raise ConfigError(f"{name}: {option} is {value}, but must be from {least:g} to {most:g}.")


def check_choice(name: str, **choices: tuple[str, Iterable[str]]) -> None:
    """Raises ConfigError unless each option, given as (value, known), has a known value."""
    for option, (value, known) in choices.items():
        if value not in known:
            raise ConfigError(f"{name}: {option} is {value!r}, but must be one of {', '.join(known)}.")


def check_classes(name: str, classes: int, most: int) -> None:
    """Raises ConfigError unless a segmentation network can have so many classes."""
    if classes == 1:
        raise ConfigError(
            f"{name}: classes is 1, but the probabilities of all classes sum to 1: a single class has 1 at every "
            "pixel, and nothing is learned.",
            "Give 2, background and object.",
        )
    check_bounds(name, classes=(classes, 2, most))
