"""The splits that a training is made of, introduced to the person who waits."""

from __future__ import annotations

from collections.abc import Mapping

import click

from kseg.callbacks import without_pixels
from kseg.datasets import Dataset, Survey, by_name
from kseg.datasets.agreement import some_names
from kseg.images import doubts_of_levels

USES = {"train": "train on", "val": "choose by", "test": "report on"}


def introduce(parts: Mapping[str, Dataset], surveys: Mapping[str, Survey], *, white: float | None) -> list[str]:
    """Says what was found in the data, and what looks wrong with it, which is given back.

    Args:
      parts, surveys: by what they are used for.
      white: the level that is white to the network; None where it does not scale its images.
    """
    data, found = parts["train"], surveys["train"]
    counts = [f"{surveys[split].images} to {use}" for split, use in USES.items() if split in surveys]
    text = f"data: {data.name}, images: {', '.join(counts)}"
    for head, pixels in by_name(found.class_pixels).items():
        total = max(1, int(pixels.sum()))
        shares = [f"{name} {count / total:.1%}" for name, count in zip(data.heads[head], pixels, strict=True)]
        text += f"; {len(shares)} {f'{head} classes'.strip()}: {', '.join(shares)}"
    click.echo(text, err=True)
    for note in data.notes:
        click.echo(f"note: {note}", err=True)
    doubts = _doubts(parts, surveys, white)
    for doubt in doubts:
        click.echo(f"warning: {doubt}", err=True)
    return doubts


def _doubts(parts: Mapping[str, Dataset], surveys: Mapping[str, Survey], white: float | None) -> list[str]:
    """What looks wrong with the data, in words."""
    data, found = parts["train"], surveys["train"]
    doubts = [str(doubt) for doubt in data.doubts]
    trained_on = _places(data)
    for split, part in parts.items():
        seen = trained_on & _places(part)
        if split != "train" and seen:
            doubts.append(
                f"{len(seen)} of {len(part)} images of {part.split} are trained on too: its scores say little."
            )
    if white is not None:
        doubts += map(str, doubts_of_levels(found.darkest, found.brightest, white))
    for split, part in parts.items():
        for head, pixels in by_name(surveys[split].class_pixels).items():
            trained = by_name(found.class_pixels)[head]
            lost = [
                name for name, here, there in zip(data.heads[head], pixels, trained, strict=True) if there > here == 0
            ]
            if part.has_instances and not pixels[1:].any():
                doubts.append(f"no image of {part.split} has an object: its scores of objects say nothing.")
            elif lost:
                doubts.append(f"no image of {part.split} has {some_names(lost)}: its scores say nothing of it.")
    for head, pixels in by_name(found.class_pixels).items():
        if tuple(data.heads[head]) == ("class 0", "class 1") and pixels[1] > pixels[0]:
            share = pixels[1] / pixels.sum()
            doubts.append(
                f"class 1 covers {share:.0%} of the pixels: where 0 is the object, pass --set data.values=1,0."
            )
        doubts += filter(None, [without_pixels(data.heads[head], pixels)])
    return doubts


def _places(data: Dataset) -> set[str]:
    """Where the items' labels lie, as far as the set says so: ids may be those of other images in another part."""
    places = (data.location(index) for index in range(len(data)))
    return {place for place, name in zip(places, data.ids, strict=True) if place != name}
