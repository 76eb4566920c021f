"""Pairs images with their labels by their names.

A pair has the same name before the ending (`.ome` is part of the ending). The two names may differ in upper and lower
case, in the form of Unicode, and in what programs add to them: img_1 and mask_1, a and a_mask, a and a_cp_masks.
Nothing is guessed: where two files could belong to a third, all three are reported.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from kseg.errors import DataError, Setting
from kseg.images import is_image, stem_of

_LABEL_WORDS = r"masks?|labels?|seg|segmentations?|gt|ground[-_]?truth|annots?|annotations?|instances?"
_IMAGE_WORDS = r"img|imgs|image|images|im|raw"
_LABEL_AFFIX = re.compile(
    rf"(?P<before>^(?:{_LABEL_WORDS})(?:[-_. ]+|(?=\d)))|(?P<behind>[-_. ](?:cp[-_])?(?:{_LABEL_WORDS})$)"
)
_IMAGE_AFFIX = re.compile(rf"^(?:{_IMAGE_WORDS})(?:[-_. ]+|(?=\d))|[-_. ](?:{_IMAGE_WORDS})$")


class Pair(NamedTuple):
    """An image and its label.

    Attributes:
      image: its file.
      label: its file, or a folder with one mask per object.
      page: of both files; None where they have a single page.
      weight: in the loss, no unit.
      tag: the orientation tag of the image, 1..8; 1 where it has none, or the label has one too.
      is_asked: whether a person must say if the label was drawn on the image as the tag turns it.
      no_data: the number that marks pixels without data in the image; None where there is none.
      region: train or val, where the item is that part of the image; None for the whole.
      name: of the image, with the folders in which it lies; "" for the name of its file.
    """

    image: Path
    label: Path
    page: int | None = None
    weight: float = 1.0
    tag: int = 1
    is_asked: bool = False
    no_data: float | None = None
    region: str | None = None
    name: str = ""


@dataclass
class Matched:
    """The pairs of some images and labels, and the files that are no pair.

    Attributes:
      pairs: in the order of the images' names.
      images, labels: those without a partner.
      rivals: groups of files in which it is not clear which belong together; images first.
      notes: text about names that were paired though they differ.
    """

    pairs: list[Pair] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    rivals: list[tuple[Path, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def match(images: Mapping[Path, str], labels: Mapping[Path, str]) -> Matched:
    """Pairs images with labels.

    Args:
      images, labels: the name of each file, as `names_in` gives it.
    """
    found = Matched()
    left, right = dict(images), dict(labels)
    for same, said in _WAYS:
        of_images, of_labels = _grouped(left, same[0]), _grouped(right, same[1])
        paired = []
        for key in of_images.keys() & of_labels.keys():
            one, other = of_images[key], of_labels[key]
            if len(one) == len(other) == 1:
                paired.append(Pair(one[0], other[0], name=images[one[0]]))
            else:
                found.rivals.append((*one, *other))
            for path in one:
                del left[path]
            for path in other:
                del right[path]
        found.pairs += paired
        if said and paired:
            first = min(paired)
            found.notes.append(f"{said}: {first.label.name} belongs to {first.image.name} ({len(paired)} of such)")
    _beside_pairs(found, right)
    found.pairs.sort(key=lambda pair: pair.name)
    found.rivals.sort()
    found.images, found.labels = list(left), list(right)
    return found


def _beside_pairs(found: Matched, right: dict[Path, str]) -> None:
    """Takes apart the pairs whose image may also belong to a label that is left over: all three are rivals then."""
    bare = {bare_image(pair.name): pair for pair in found.pairs} if right else {}
    doubtful = set()
    for path, name in list(right.items()):
        pair = bare.get(bare_label(name))
        if pair is not None:
            del right[path]
            if pair not in doubtful:
                doubtful.add(pair)
                found.rivals.append((pair.image, pair.label, path))
    found.pairs = [pair for pair in found.pairs if pair not in doubtful]


def pairs(images: Path, labels: Path) -> list[Pair]:
    """The pairs of two folders that lie beside each other, in the order of the names.

    Raises:
      DataError: a folder is not there, a file has no partner, or it is not clear which files belong together.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            raise no_folder(folder, images.name, labels.name)
    return complete_pairs(match(names_in(images), names_in(labels)), images.parent)


def no_folder(folder: Path, images: str = "images", labels: str = "labels", notes: Sequence[str] = ()) -> DataError:
    """The error that a folder is missing, with notes on how the folder around it was understood."""
    fix = f"Put images into {images}/ and their labels into {labels}/ beside it, under the same names."
    return DataError(f"{folder}: there is no such folder.", " ".join([fix, *notes]))


def complete_pairs(found: Matched, root: Path, *, leave: bool = False) -> list[Pair]:
    """The pairs, where every file belongs to one.

    Args:
      found: what was matched.
      root: the folder that messages name, and at which the paths in them start.
      leave: whether images without a label are left out.

    Raises:
      DataError: a file has no partner, it is not clear which files belong together, or there is no pair.
    """
    for rivals in found.rivals[:1]:
        names = ", ".join(path.relative_to(root).as_posix() for path in rivals)
        fix = "Remove or rename what is not meant: a label has the name of its image before the ending."
        raise DataError(f"{root}: it is not clear which of these belong together: {names}.", fix)
    count = len(found.pairs)
    lonely = [path.relative_to(root).as_posix() for path in [*([] if leave else found.images), *found.labels]]
    if lonely:
        leaving = ("; where these images are to have no label, pass ", Setting("data.unlabelled", "leave"))
        raise DataError(
            f"{root}: {count + len(found.images)} images and {count + len(found.labels)} labels, {len(lonely)} of them "
            f"without a partner: {', '.join(lonely[:5])}{', ...' if len(lonely) > 5 else ''}.",
            "An image and its label have the same name before the ending; a word more is understood, as in a_mask or "
            "mask_a. `kseg data check` names all that is wrong",
            *(leaving if found.images and count and not found.labels else ()),
            ".",
        )
    if not found.pairs:
        fix = "Put PNG, TIFF, ... files into images/ and labels/."
        raise DataError(f"{root}: there is no image with a label.", fix)
    return found.pairs


def names_in(folder: Path, beside: Collection[str] = ()) -> dict[Path, str]:
    """The image files in `folder` and in its inner folders `beside`, and their names.

    A name is the path within `folder` without the ending.
    """
    found = {}
    for within in ("", *(f"{name}/" for name in sorted(beside))):
        for path in sorted((folder / within).iterdir(), key=attrgetter("name")):
            if is_image(path) and not path.is_dir():  # a broken link counts, so that reading it fails
                found[path] = within + stem_of(path)
    return found


def folders_in(folder: Path) -> list[str]:
    """The names of the folders in `folder` that hold an image."""
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path.name for path in inner if any(is_image(each) and not each.is_dir() for each in path.iterdir())]


def apart(files: Sequence[Path]) -> tuple[dict[Path, str], dict[Path, str]]:
    """Separates the files of one folder into images and labels. A label has the name of an image and a label's word."""
    names = {path: stem_of(path) for path in files}
    images = {bare_image(name) for name in names.values() if _unlabelled(name) == plain(name)}
    labels = {
        path: name for path, name in names.items() if bare_label(name) in images and _unlabelled(name) != plain(name)
    }
    return {path: name for path, name in names.items() if path not in labels}, labels


def plain(name: str) -> str:
    """A name in lower case and in one form of Unicode."""
    return unicodedata.normalize("NFC", name).casefold()


def bare_image(name: str) -> str:
    """An image's name without words as `img`."""
    return _without(_IMAGE_AFFIX, plain(name))


def bare_label(name: str) -> str:
    """A label's name without words as `mask`, and then without words as `img`."""
    return _without(_IMAGE_AFFIX, _unlabelled(name))


def _unlabelled(name: str) -> str:
    return _without(_LABEL_AFFIX, plain(name))


def _without(affix: re.Pattern[str], name: str) -> str:
    folder, slash, name = name.rpartition("/")
    while (rest := affix.sub("", name, count=1)) != name and rest:
        name = rest
    return folder + slash + name


def _grouped(names: Mapping[Path, str], same: Callable[[str], str]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path, name in names.items():
        groups.setdefault(same(name), []).append(path)
    return groups


# The functions that make the names of an image and its label equal, the strictest first, and the note about their use.
_WAYS: list[tuple[tuple[Callable[[str], str], Callable[[str], str]], str]] = [
    ((str, str), ""),
    ((plain, plain), "names that differ in the case of letters or the form of Unicode are paired"),
    ((bare_image, bare_label), "names that differ by what programs add to them are paired"),
]
