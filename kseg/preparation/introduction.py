"""What the data of a training hold, and what looks wrong with them."""

from __future__ import annotations

from collections.abc import Mapping

from kseg.datasets import Dataset, Survey, by_name
from kseg.datasets.agreement import some_names
from kseg.errors import Setting
from kseg.images import doubts_of_levels
from kseg.log import LOG, told
from kseg.preparation.absent_classes import absent_classes

FEW = 4  # images, for which a cross-validation is proposed
USES = {"train": "train on", "val": "choose by", "test": "report on"}


def introduce(parts: Mapping[str, Dataset], surveys: Mapping[str, Survey], *, white: float | None) -> list[str]:
    """Logs what the data hold and what looks wrong with them.

    Args:
      parts, surveys: by use, as in USES.
      white: the grey level that the network scales to 1; None where it does not scale its images.

    Returns:
      What looks wrong, a text each.
    """
    data, found = parts["train"], surveys["train"]
    counts = [f"{surveys[split].images} to {use}" for split, use in USES.items() if split in surveys]
    text = f"data: {data.name}, images: {', '.join(counts)}"
    for head, pixels in by_name(found.class_pixels).items():
        total = max(1, int(pixels.sum()))
        shares = [f"{name} {count / total:.1%}" for name, count in zip(data.heads[head], pixels, strict=True)]
        text += f"; {len(shares)} {f'{head} classes'.strip()}: {', '.join(shares)}"
    LOG.info("%s", text)
    for note in data.notes:
        LOG.info("note: %s", note)
    doubts = _doubts(parts, surveys, white)
    for doubt in doubts:
        LOG.warning("%s", doubt)
    return doubts


def propose_folds(parts: Mapping[str, Dataset]) -> None:
    """Logs a note where so few images of a person's own are divided that a cross-validation says much more."""
    chosen = [parts[use] for use in ("train", "val") if use in parts and not parts[use].published]
    count = len({part.source(index) for part in chosen for index in range(len(part))})
    if 2 <= count <= FEW:
        advice = told(Setting("folds", count), " holds out each of them once, and gives the mean of all networks.")
        LOG.info("note: there are only %d images to train on and to choose by. %s", count, advice)


def _doubts(parts: Mapping[str, Dataset], surveys: Mapping[str, Survey], white: float | None) -> list[str]:
    """What looks wrong with the data."""
    data, found = parts["train"], surveys["train"]
    doubts = [told(*doubt.parts) for doubt in data.doubts]
    trained_on = _paths(data)
    for split, part in parts.items():
        seen = trained_on & _paths(part)
        if split != "train" and seen:
            doubts.append(
                f"{len(seen)} of {len(part)} images of {part.split} are trained on too: its scores say little."
            )
    if white is not None:
        doubts += [told(*doubt.parts) for doubt in doubts_of_levels(found.darkest, found.brightest, white)]
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
            text = f"class 1 covers {share:.0%} of the pixels: where 0 is the object, pass "
            doubts.append(text + told(Setting("data.values", (1, 0)), "."))
        doubts += filter(None, [absent_classes(data.heads[head], pixels)])
    return doubts


def _paths(data: Dataset) -> set[str]:
    """The paths of the labels, as far as the data set knows them. Two parts may use one id for different images."""
    paths = (data.location(index) for index in range(len(data)))
    return {path for path, name in zip(paths, data.ids, strict=True) if path != name}
