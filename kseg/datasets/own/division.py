"""Chooses the images to hold out where a person did not choose them, or the part of a single image."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Literal

import numpy as np

SplitRule = Literal["hash", "shuffle"]
SHARE = 0.2
LEAST_SIDE = 64  # pixels: a single image whose longer side is shorter is not divided
GAP = 0.05  # of the longer side lies between the two parts of a single image


def held_out(names: Sequence[str], rule: SplitRule = "hash") -> set[int]:
    """The positions of the names that are for val: about a fifth, at least one, and never all.

    Args:
      names: two or more, each once.
      rule: "hash": each name alone decides, so that an image that is added later moves no other. "shuffle": the
        number of names decides, as in runs that began before config.json named the rule.
    """
    if rule == "shuffle":
        shuffled = np.random.default_rng(0).permutation(len(names))
        return set(shuffled[: max(1, round(len(names) * SHARE))].tolist())
    hashes = [_hash(name) for name in names]
    order = sorted(range(len(names)), key=hashes.__getitem__)
    count = sum(number < SHARE for number in hashes)
    return set(order[: min(max(1, count), len(names) - 1)])


def folds_of(names: Sequence[str], count: int) -> list[int]:
    """The fold of each name, 1..count, in the order of their hashes: the same names always give the same folds.

    Equal names are in one fold. Folds differ by one name at most, and a name that is added later moves few others.
    """
    order = sorted(set(names), key=lambda name: (_hash(name), name))
    fold = {name: 1 + place * count // len(order) for place, name in enumerate(order)}
    return [fold[name] for name in names]


def region(part: str, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns of a single image that are for train or val: the two ends of its longer side.

    Val is a fifth of it, and the strip before val belongs to neither, so that cells of both see no common pixel.
    """
    length = max(height, width)
    start = round(length * (1 - SHARE))
    ends = slice(start, length) if part == "val" else slice(0, start - round(length * GAP))
    return (ends, slice(None)) if height >= width else (slice(None), ends)


def _hash(name: str) -> float:
    """A number in [0, 1) that depends on the name alone, and not on its form of Unicode."""
    digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
