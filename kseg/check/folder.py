"""Checks a person's own images and labels: reads every file, whatever is wrong with others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kseg.check.checked import Checked, CheckedPair
from kseg.check.contents import for_each, image_content, label_content
from kseg.check.finding import Finding, in_order
from kseg.check.labels.encodings import judge
from kseg.check.labels.label_findings import Label, Options
from kseg.check.pairs import Layout, find_pairs
from kseg.check.preflight import Needs
from kseg.datasets.labels.colours import find_table
from kseg.datasets.labels.label_files import scale_of
from kseg.datasets.own.opening import advice_on_axes
from kseg.datasets.own.pairing import Pair
from kseg.datasets.text_files import read_lines
from kseg.errors import Setting
from kseg.images import SAVE_IN_ONE_DEPTH, DamagedFile, doubts_of_levels, doubts_of_no_data, question_of_label

# Of an image that occurs twice, a corrected copy keeps the one in the split that is named first here.
_KEPT = ("test", "val", "train", "")
WITHOUT_PAIR = "leaves the pair out"


def check_pairs(
    dataset: str, data_dir: str | Path | None, split: str | None, options: Mapping[str, Any], needs: Needs
) -> Checked:
    """Reads every file of a `folder` or `list`.

    Args:
      dataset: folder or list.
      data_dir, options: as `kseg.datasets.open` takes them.
      split: which part; None for all.
      needs: what a training would ask of it.

    Raises:
      DataError: the folder holds no such data set or split.
      ConfigError: an option does not hold.
    """
    layout = find_pairs(dataset, data_dir, split, options)
    table = find_table(layout.root, options.get("colours"))
    names = layout.root / "classes.txt"
    said = Options.of(options, tuple(read_lines(names)) if names.is_file() else (), table)
    work = [(part, pair) for part, pairs in layout.parts.items() for pair in pairs]
    has_objects = any(pair.label.is_dir() for _, pair in work)
    said = replace(said, instances=True) if has_objects else said
    pairs = for_each(lambda one: _look(said, *one), work, "checking")
    findings = [*layout.findings, *(finding for one in pairs for finding in _of_pair(layout, one, said))]
    findings += _copies(layout, pairs)
    findings += _minorities(layout, pairs)
    labels = judge([label for one in pairs for label in _labels(layout, one)], said)
    findings += labels.findings
    if has_objects:
        labels.settings["data.instances"] = "true"
    findings += _levels(pairs, needs)
    for one in pairs:
        if one.pair.label in labels.hopeless:
            one.left_out = one.left_out or "the label's numbers are lost"
    return Checked(
        dataset,
        layout.root,
        dict(Counter(one.split for one in pairs)),
        in_order(findings),
        pairs,
        labels,
        layout.notes,
        [*labels.doubts, *doubts_of_no_data([one.image.no_data for one in pairs])],
        layout.is_all_read,
        table,
    )


def _look(said: Options, split: str, pair: Pair) -> CheckedPair:
    label = label_content(pair.label, said.table, said.void)
    return CheckedPair(split, pair, image_content(pair.image, said.opening), label, said.opening.drawn)


def _labels(layout: Layout, one: CheckedPair) -> Iterator[Label]:
    """The pages of a label."""
    pages = one.label.pages
    for number, page in enumerate(pages):
        name = layout.name(one.pair.label, number if len(pages) > 1 else None)
        yield Label(name, one.pair.label, number, one.split, page, one.draw(number))


def _of_pair(layout: Layout, one: CheckedPair, said: Options) -> Iterator[Finding]:
    """What is wrong with one pair by itself; sets the pair's `left_out`."""
    image, label = one.pair.image, one.pair.label
    for path, error in ((image, one.image.trouble), (label, one.label.trouble)):
        if error is not None:
            one.left_out = one.left_out or f"{path.name} can't be read"
            kind = "truncated" if isinstance(error, DamagedFile) else "unreadable"
            what = error.what.removeprefix(f"{path}: ").rstrip(".")  # the finding names the file itself
            fix = error.fix or ("export it again",)
            yield Finding(kind, layout.name(path), what, fix, in_copy=WITHOUT_PAIR, draw=one.draw())
    if one.left_out:
        return
    turn = one.label_turn
    if one.image.orientation != 1:
        yield _turned(layout.name(image), one, turn)
    if len(one.image.pages) != len(one.label.pages):
        one.left_out = "image and label have not the same number of pages"
        what = f"{len(one.label.pages)} pages, but {image.name} has {len(one.image.pages)}"
        pages_fix = (*advice_on_axes(len(one.label.pages)), "; else export them again")
        yield Finding("pages", layout.name(label), what, pages_fix, in_copy=WITHOUT_PAIR, draw=one.draw())
    elif turn == 1:
        yield from _sizes(layout, one, said.enlarge_labels)


def _turned(name: str, one: CheckedPair, turn: int | None) -> Finding:
    """The finding of an image with an orientation tag; `turn` is the tag that turns its label onto it."""
    tag = one.image.orientation
    if turn is None:
        return Finding.of("exif", name, question_of_label(tag), draw=one.draw())
    fits = "kseg follows it, others may not" if turn == 1 else "the label fits only the image as stored"
    in_copy = "writes it upright, without the tag"
    return Finding("exif", name, f"orientation tag {tag}: {fits}", in_copy=in_copy, draw=one.draw())


def _sizes(layout: Layout, one: CheckedPair, enlarge: bool) -> Iterator[Finding]:
    """The pages whose label has another size than the image; sets the pair's `left_out`."""
    for number, (image, label) in enumerate(zip(one.image.pages, one.label.pages, strict=True)):
        scale = scale_of(image.shape[:2], label.shape)
        if image.shape[:2] == label.shape or scale and enlarge:
            continue
        one.left_out = "image and label differ in size"
        turned = " (turned by a quarter)" if image.shape[1::-1] == label.shape else ""
        what = f"{_by(label.shape)}{turned}, but the image is {_by(image.shape)}"
        larger = ("; where it shows the whole image, ", Setting("data.enlarge_labels", True)) if scale else ()
        fix = ("export it again at the image's size, height x width", *larger)
        name = layout.name(one.pair.label, number if len(one.label.pages) > 1 else None)
        yield Finding("size", name, what, fix, in_copy=WITHOUT_PAIR, draw=one.draw(number))


def _by(shape: Sequence[int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _copies(layout: Layout, pairs: Sequence[CheckedPair]) -> Iterator[Finding]:
    """Images with the same pixels as another. The copy leaves out a file if all its pages are such."""
    rank = {split: number for number, split in enumerate(_KEPT)}
    first: dict[bytes, tuple[CheckedPair, int]] = {}
    for one in sorted(pairs, key=lambda one: rank.get(one.split, len(rank))):
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
            leak = one.split != same.split
            fix = "remove one of them" + (": a score on images of the training says nothing" if leak else "")
            in_copy = "" if None in known else "leaves this one out"
            yield Finding("leak" if leak else "duplicate", name, what, (fix,), in_copy=in_copy, draw=one.draw(number))
        if known and None not in known:
            one.left_out = one.left_out or "another image has the same pixels"


def _minorities(layout: Layout, pairs: Sequence[CheckedPair]) -> Iterator[Finding]:
    """Images of another depth or other channels than most."""
    readable = [one for one in pairs if one.image.pages]
    kinds = Counter(one.image.pages[0].kind for one in readable)
    channels = Counter(one.image.pages[0].channels for one in readable)
    for one in readable:
        page, name = one.image.pages[0], layout.name(one.pair.image)
        usual, most = kinds.most_common(1)[0][0], channels.most_common(1)[0][0]
        if page.kind != usual:
            yield Finding("depth", name, f"{page.kind}, but most are {usual}", (SAVE_IN_ONE_DEPTH,), draw=one.draw())
        if page.channels != most and set(channels) != {1, 3}:
            what = f"{page.channels} channel{'s' * (page.channels > 1)}, but most images have {most}"
            yield Finding("channels", name, what, (f"save all images with {most} channels",), draw=one.draw())


def _levels(pairs: Sequence[CheckedPair], needs: Needs) -> Iterator[Finding]:
    """Grey levels that a training would warn of."""
    pages = [page for one in pairs for page in one.image.pages]
    kinds = {page.kind for page in pages}
    white = needs.white or {"uint8": 255.0, "uint16": 65535.0}.get(min(kinds, default=""), 0.0)
    if not needs.is_scaled or len(kinds) != 1:
        return
    darkest, brightest = min(page.darkest for page in pages), max(page.brightest for page in pages)
    for doubt in doubts_of_levels(darkest, brightest, white or brightest):
        yield Finding.of("grey", "images", doubt)
