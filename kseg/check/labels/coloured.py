"""Gives the colours in labels numbers: those of a table, those of PASCAL VOC, or new ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from kseg.check.finding import Finding
from kseg.check.labels.label_findings import Label, LabelFindings, Mend, Options
from kseg.check.labels.numbers import VOC_CLASSES
from kseg.datasets.contract import VOID
from kseg.datasets.labels.colours import Colour, ColourTable
from kseg.datasets.labels.smoothed import are_shades
from kseg.errors import Advice, Setting
from kseg.pictures import palette

MOST_COLOURS = 64  # a set with more is not numbered, and a label with more is no drawing
FEWEST_SHADES = 2  # between two colours; a single one may be the colour of thin lines


def judge_colours(coloured: Sequence[Label], numbers: bool, options: Options, found: LabelFindings) -> None:
    """Numbers the colours by the table that was given, or by VOC's, or in a new order where nothing contradicts it."""
    seen: Counter[Colour] = Counter()
    flat: Counter[int] = Counter()
    for label in coloured:
        seen.update(label.page.colours or {})
        flat.update(label.page.flat)
    if not coloured:
        return
    voc = {_colour(number): number for number in [*range(VOC_CLASSES), VOID]}
    given = options.table.numbers if options.table else voc if seen.keys() <= voc.keys() else None
    shades = _shades(seen, flat, given)
    drawn = sorted(seen.keys() - shades)
    table: Mapping[Colour, int] | None = given
    if given is None and len(drawn) <= MOST_COLOURS and not numbers and not options.names:
        table = {colour: number for number, colour in enumerate(drawn)}
    if table is not None and not set(drawn) <= table.keys():
        table = None
    fix: Advice = ()
    whose = "they are PASCAL VOC's"
    if options.table:
        whose = f"as {options.table.path.name} says"
    elif given is None:
        whose = f"the {len(drawn)} of the set are numbered in colours.csv"
        fix = ("for another set with the same colours pass ", Setting("data.colours", "DIR/colours.csv"))
    in_copy = f"writes class numbers ({whose})"
    in_copy += "; each shade becomes the colour beside it that is most like it" if shades else ""
    for label in coloured:
        colours = label.page.colours
        own = None if colours is None else colours.keys() - shades
        many = own is None or len(own) > MOST_COLOURS and table is None
        what = f"{f'over {MOST_COLOURS}' if many else len(own or ())} colours, not class numbers"
        if colours is not None and len(colours) > len(own or ()):
            what += f", and {len(colours.keys() & shades)} shades between them along smoothed edges"
        if table is not None and not many:
            finding = Finding("colours", label.name, what, fix, in_copy=in_copy, draw=label.draw)
        else:
            advice = _advice(own or set(), options.table, many=many)
            finding = Finding("colours", label.name, what, advice, draw=label.draw)
            found.hopeless.add(label.path)
        found.findings.append(finding)
    if table is not None:
        found.mend([label for label in coloured if label.page.colours is not None], Mend(colours=table))
        found.colours = {colour: table[colour] for colour in sorted(drawn, key=lambda colour: table[colour])}
        if given is not None and VOID in found.colours.values():
            found.settings["data.ignore_class"] = str(VOID)


def _advice(own: Collection[Colour], table: ColourTable | None, *, many: bool) -> Advice:
    """What to do about a label that the corrected copy leaves out; `own` are its colours without shades."""
    if many:
        return ("save it as a palette or grey image of class numbers, without smoothed edges",)
    if table is None:
        return (
            "say which colour is which class: put a table colours.csv into the folder, its first line "
            "class,red,green,blue, or pass ",
            Setting("data.colours"),
        )
    unknown = sorted(set(own) - table.numbers.keys())
    named = f"name the colour {','.join(map(str, unknown[0]))} in {table.path.name}" if unknown else ""
    return (named or "see the other labels",)


def _shades(seen: Counter[Colour], flat: Counter[int], given: Mapping[Colour, int] | None) -> set[Colour]:
    """The colours that smoothing mixed from two or three drawn ones."""
    codes = {red << 16 | green << 8 | blue: (red, green, blue) for red, green, blue in seen}
    drawn = [code for code, colour in codes.items() if (colour in given if given else flat[code])]
    other = [code for code in codes if code not in drawn]
    if not 2 <= len(drawn) <= MOST_COLOURS or len(other) < FEWEST_SHADES:
        return set()
    shaded = are_shades(np.array(other), np.array(drawn), FEWEST_SHADES)
    return {codes[code] for code, is_shade in zip(other, shaded.tolist(), strict=True) if is_shade}


def _colour(number: int) -> Colour:
    red, green, blue = palette()[number].tolist()
    return red, green, blue
