"""Which of a person's images are held out, where they did not say so."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Literal

import numpy as np

SplitRule = Literal["hash", "shuffle"]
SHARE = 0.2


def held_out(names: Sequence[str], rule: SplitRule = "hash") -> set[int]:
    """The positions of those names that are for val: about a fifth, one at least, and never all.

    Args:
      names: two or more, each once.
      rule: "hash": each name alone decides, so that an image that is added later moves no other. "shuffle": the
        number of names decides, as in runs begun before the rule was written into config.json.
    """
    if rule == "shuffle":
        shuffled = np.random.default_rng(0).permutation(len(names))
        return set(shuffled[: max(1, round(len(names) * SHARE))].tolist())
    places = [_place(name) for name in names]
    order = sorted(range(len(names)), key=places.__getitem__)
    count = sum(place < SHARE for place in places)
    return set(order[: min(max(1, count), len(names) - 1)])


def _place(name: str) -> float:
    """A number in [0, 1) that follows from the name alone, in whatever form Unicode writes it."""
    digest = hashlib.sha256(unicodedata.normalize("NFC", name).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
