"""A person's own images and labels, all of them looked at, whatever is wrong with one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from kseg.check.encodings import judge
from kseg.check.finding import Finding, in_order
from kseg.check.judgement import Judgement, Label, Options
from kseg.check.layout import Layout, Pair, lay_out
from kseg.check.looks import ImageLook, LabelLook, for_each, look_at_image, look_at_label
from kseg.check.preflight import Needs, preflight
from kseg.check.sheet import draw_pair
from kseg.datasets.colours import ColourTable, find_table
from kseg.datasets.lines import read_lines
from kseg.datasets.opening import words_for_axes
from kseg.datasets.stored import scale_of
from kseg.errors import ConfigError, DataError, SizeError
from kseg.images import (
    FIXES_OF_ORIENTATION,
    Drawn,
    doubts_of_levels,
    orientation_of,
    turn_of_label,
    words_for_depths,
    words_for_no_data,
)

# Of one image twice, that of the split named first here stays in a corrected copy.
_KEPT = ("test", "val", "train", "")
# What a training goes on with.
NO_HINDRANCE = ("leak", "duplicate", "blank", "unseen", "grey")


@dataclass
class Seen:
    """A pair, what its files hold, and why a corrected copy leaves it out ("" where it does not)."""

    pair: Pair
    image: ImageLook
    label: LabelLook
    drawn: Drawn | None = None
    left_out: str = ""

    @property
    def whole(self) -> bool:
        return self.image.trouble is None and self.label.trouble is None

    @property
    def label_turn(self) -> int | None:
        """The orientation tag by which the label comes to lie on its image; None where nothing tells."""
        tag = self.image.orientation
        if tag == 1 or not self.pair.label.is_dir() and orientation_of(self.pair.label) != 1:
            return 1
        return turn_of_label(self.image.pages[0].shape[:2], self.label.pages[0].shape, tag, self.drawn)


@dataclass
class Checked:
    """What a check found, and all that a corrected copy is made of.

    Attributes:
      name: the data set's.
      root: its folder; None where its own reader found it.
      splits: items by split ("" where there is none).
      findings: in the order of their kinds.
      seen: the pairs; none where the data set's own reader gave the items.
      judgement: of the labels.
      notes: how the folder was understood, and what in it was not looked at.
      table: which colour is which number, where that was said.
    """

    name: str
    root: Path | None
    splits: dict[str, int]
    findings: list[Finding]
    seen: list[Seen] = field(default_factory=list)
    judgement: Judgement = field(default_factory=Judgement)
    notes: list[str] = field(default_factory=list)
    table: ColourTable | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.name,
            "folder": None if self.root is None else str(self.root),
            "splits": self.splits,
            "findings": [finding.to_json() for finding in self.findings],
            "notes": self.notes,
        }


def check_pairs(
    dataset: str, data_dir: str | Path | None, split: str | None, options: Mapping[str, Any], needs: Needs
) -> Checked:
    """Looks at every file of a `folder` or `list`.

    Args:
      dataset: folder or list.
      data_dir, options: as `kseg.datasets.open` takes them.
      split: which part; None for all.
      needs: what a training would ask of it.

    Raises:
      DataError: the folder holds no such data set or split.
      ConfigError: an option does not hold.
    """
    layout = lay_out(dataset, data_dir, split, options)
    table = find_table(layout.root, options.get("colours"))
    names = layout.root / "classes.txt"
    said = Options.of(options, tuple(read_lines(names)) if names.is_file() else (), table)
    objects = any(pair.label.is_dir() for pair in layout.pairs)
    said = replace(said, instances=True) if objects else said
    seen = for_each(partial(_look, said), layout.pairs, "checking")
    findings = [*layout.findings, *(finding for one in seen for finding in _of_pair(layout, one, said))]
    findings += _copies(layout, seen)
    findings += _minorities(layout, seen)
    judgement = judge([label for one in seen for label in _labels(layout, one)], said)
    findings += judgement.findings
    if objects:
        judgement.settings["data.instances"] = "true"
    findings += _levels(seen, needs)
    if split is None and all(finding.kind in NO_HINDRANCE for finding in findings):
        findings += refusals(dataset, data_dir, needs, options)
    for one in seen:
        if one.pair.label in judgement.hopeless:
            one.left_out = one.left_out or "the label's numbers can't be told"
    splits = Counter(one.pair.split for one in seen)
    return Checked(
        dataset,
        layout.root,
        dict(splits),
        in_order(findings),
        seen,
        judgement,
        [*layout.notes, *judgement.notes, *_gaps(seen)],
        table,
    )


def _look(said: Options, pair: Pair) -> Seen:
    label = look_at_label(pair.label, said.table, said.void)
    return Seen(pair, look_at_image(pair.image, said.opening), label, said.orientation)


def _labels(layout: Layout, one: Seen) -> Iterator[Label]:
    """The pages of a label that goes with its image."""
    pages = one.label.pages
    for number, page in enumerate(pages):
        name = layout.name(one.pair.label, number if len(pages) > 1 else None)
        draw = partial(draw_pair, one.pair.image, one.pair.label, number)
        yield Label(name, one.pair.label, number, one.pair.split, page, draw)


def _of_pair(layout: Layout, one: Seen, said: Options) -> Iterator[Finding]:
    """What is wrong with one pair alone; sets why it is left out."""
    draw = partial(draw_pair, one.pair.image, one.pair.label, 0)
    for path, look in ((one.pair.image, one.image), (one.pair.label, one.label)):
        if look.trouble is not None:
            one.left_out = one.left_out or f"{path.name} can't be read"
            what, _, fix = look.trouble.text.replace("\n", " ").partition(". ")
            fix = fix[:1].lower() + (fix[1:] or "export it again").rstrip(".") + "; --fix DIR leaves the pair out"
            yield Finding(look.trouble.kind, layout.name(path), what.rstrip("."), fix, mendable=True, draw=draw)
    if not one.whole:
        return
    turn = one.label_turn
    if one.image.orientation != 1:
        tag = f"orientation tag {one.image.orientation}"
        fits = "kseg follows it, others may not" if turn == 1 else "the label fits only the image as stored"
        fix = "--fix DIR writes it upright, without the tag"
        if turn is None:
            fits = "nothing tells whether the label was drawn on the image as it is seen or as it is stored (EXIF)"
            fix = "look at one pair, then pass " + FIXES_OF_ORIENTATION
        what = f"{tag}: {fits}"
        yield Finding("exif", layout.name(one.pair.image), what, fix, mendable=turn is not None, draw=draw)
    if len(one.image.pages) != len(one.label.pages):
        one.left_out = "image and label have not the same number of pages"
        what = f"{len(one.label.pages)} pages, but {one.pair.image.name} has {len(one.image.pages)}"
        fix = words_for_axes(len(one.label.pages)) + "; else export them again; --fix DIR leaves the pair out"
        yield Finding("pages", layout.name(one.pair.label), what, fix, mendable=True, draw=draw)
        return
    if turn == 1:
        yield from _sizes(layout, one, said.enlarge_labels)


def _sizes(layout: Layout, one: Seen, enlarge: bool) -> Iterator[Finding]:
    for number, (image, label) in enumerate(zip(one.image.pages, one.label.pages, strict=True)):
        scale = scale_of(image.shape[:2], label.shape)
        if image.shape[:2] == label.shape or scale and enlarge:
            continue
        one.left_out = "image and label differ in size"
        turned = " (turned by a quarter)" if image.shape[1::-1] == label.shape else ""
        what = f"{_by(label.shape)}{turned}, but the image is {_by(image.shape)}"
        fix = "export it again at the image's size, height x width; --fix DIR leaves the pair out"
        fix += "; where it shows the whole image, --set data.enlarge_labels=true" if scale else ""
        name = layout.name(one.pair.label, number if len(one.label.pages) > 1 else None)
        draw = partial(draw_pair, one.pair.image, one.pair.label, number)
        yield Finding("size", name, what, fix, mendable=True, draw=draw)


def _by(shape: Sequence[int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _copies(layout: Layout, seen: Sequence[Seen]) -> Iterator[Finding]:
    """Images whose pixels are those of another; where all pages of a file are, the copy leaves it out."""
    place = {split: number for number, split in enumerate(_KEPT)}
    first: dict[bytes, tuple[Seen, int]] = {}
    for one in sorted(seen, key=lambda one: place.get(one.pair.split, len(place))):
        known = [first.get(page.digest) for page in one.image.pages]
        for number, (page, other) in enumerate(zip(one.image.pages, known, strict=True)):
            if other is None:
                if not one.left_out:
                    first[page.digest] = one, number
                continue
            same, at = other
            name = layout.name(one.pair.image, number if len(known) > 1 else None)
            its = layout.name(same.pair.image, at if len(same.image.pages) > 1 else None)
            differ = one.label.pages[number:][:1] != same.label.pages[at:][:1]
            what = f"the same pixels as {its}" + (", with another label" if differ else "")
            leak = one.pair.split != same.pair.split
            fix = "remove one of them: a score on what was trained on is none" if leak else "remove one of them"
            draw = partial(draw_pair, one.pair.image, one.pair.label, number)
            mendable = None not in known
            fix += "; --fix DIR leaves this one out" if mendable else ""
            yield Finding("leak" if leak else "duplicate", name, what, fix, mendable=mendable, draw=draw)
        if known and None not in known:
            one.left_out = one.left_out or "another image has the same pixels"


def _minorities(layout: Layout, seen: Sequence[Seen]) -> Iterator[Finding]:
    """Images of another depth or other channels than most."""
    whole = [one for one in seen if one.image.pages]
    kinds = Counter(one.image.pages[0].kind for one in whole)
    examples = {one.image.pages[0].kind: layout.name(one.pair.image) for one in whole}
    channels = Counter(1 if one.image.pages[0].grey else one.image.pages[0].shape[2] for one in whole)
    for one in whole:
        page = one.image.pages[0]
        draw = partial(draw_pair, one.pair.image, one.pair.label, 0)
        usual = kinds.most_common(1)[0][0]
        if page.kind != usual:
            what, fix = f"{page.kind}, but most are {usual}", words_for_depths(examples).partition(". ")[2].rstrip(".")
            yield Finding("depth", layout.name(one.pair.image), what, fix, draw=draw)
        count, most = 1 if page.grey else page.shape[2], channels.most_common(1)[0][0]
        if count != most and set(channels) != {1, 3}:
            what, fix = (
                f"{count} channel{'s' * (count > 1)}, but most images have {most}",
                f"save all images with {most} channels",
            )
            yield Finding("channels", layout.name(one.pair.image), what, fix, draw=draw)


def _gaps(seen: Sequence[Seen]) -> list[str]:
    """The sentence about images with pixels without data."""
    marks = Counter(str(one.image.no_data) for one in seen if one.image.no_data is not None)
    return list(filter(None, [words_for_no_data(marks, len(seen))]))


def _levels(seen: Sequence[Seen], needs: Needs) -> Iterator[Finding]:
    """Grey levels that a training would warn of."""
    pages = [page for one in seen for page in one.image.pages]
    kinds = {page.kind for page in pages}
    white = needs.white or {"uint8": 255.0, "uint16": 65535.0}.get(min(kinds, default=""), 0.0)
    if not needs.is_scaled or len(kinds) != 1:
        return
    darkest, brightest = min(page.darkest for page in pages), max(page.brightest for page in pages)
    for doubt in doubts_of_levels(darkest, brightest, white or brightest):
        what, _, fix = doubt.partition(". ")
        yield Finding("grey", "images", what, fix.rstrip("."))


def refusals(dataset: str, data_dir: str | Path | None, needs: Needs, options: Mapping[str, Any]) -> Iterator[Finding]:
    """What a training would stop at."""
    try:
        preflight(dataset, data_dir, needs, options)
    except (ConfigError, DataError, SizeError) as error:
        what, _, fix = str(error).replace("\n", " ").partition(". ")
        yield Finding("refused", dataset, what, fix.rstrip("."))
