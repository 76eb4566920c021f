"""Chooses the images to hold out where a person did not choose them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Literal

import numpy as np

SplitRule = Literal["hash", "shuffle"]
SHARE = 0.2


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


def _hash(name: str) -> float:
    """A number in [0, 1) that depends on the name alone, and not on its form of Unicode."""
    digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
