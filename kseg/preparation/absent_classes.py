"""Warns of classes that the training data never show."""

from __future__ import annotations

from collections.abc import Sequence


def absent_classes(classes: Sequence[str], pixels: Sequence[int]) -> str | None:
    """A warning about the classes without a pixel in the training data; None if there are none.

    Args:
      classes: the names.
      pixels: the number of pixels of each.
    """
    never = [name for name, count in zip(classes, pixels, strict=True) if count == 0]
    if not never:
        return None
    several = len(never) > 1
    return (
        f"no pixel to train on for {', '.join(never)}: the network will not learn {'them' if several else 'it'}. "
        f"Either no image shows {'them' if several else 'it'}, or the labels use other numbers than the class list. "
        "`kseg data stats` counts the pixels of each class. Put such images into the part that is trained on, or take "
        f"the name{'s' if several else ''} out of the class list."
    )
