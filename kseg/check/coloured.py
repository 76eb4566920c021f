"""What labels saved as colours mean: by a table, as PASCAL VOC's, or numbered in an order of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from kseg.check.finding import Finding
from kseg.check.judgement import Judgement, Label, Mend, Options
from kseg.check.numbers import VOC_CLASSES
from kseg.datasets.colours import Colour
from kseg.datasets.contract import VOID
from kseg.datasets.shades import are_shades
from kseg.pictures import palette

MOST_COLOURS = 64  # of a set, that are numbered; of one label, beyond which it is no drawing
FEWEST_SHADES = 2  # between two colours; a single one is the colour of thin lines


def judge_colours(coloured: Sequence[Label], numbers: bool, options: Options, found: Judgement) -> None:
    """Colours are numbered by the table that was given, or as VOC's, or anew where nothing contradicts that."""
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
    whose = "they are PASCAL VOC's"
    if options.table:
        whose = f"as {options.table.path.name} says"
    elif given is None:
        whose = (
            f"the {len(drawn)} of the set are numbered in colours.csv; for another set with the same colours pass it: "
            "--set data.colours=DIR/colours.csv"
        )
    for label in coloured:
        _judge_one(label, shades, table, whose, options, found)
    if table is not None:
        found.mend([label for label in coloured if label.page.colours is not None], Mend(colours=table))
        found.colours = {colour: table[colour] for colour in sorted(drawn, key=lambda colour: table[colour])}
        if given is not None and VOID in found.colours.values():
            found.settings["data.ignore_class"] = str(VOID)


def _judge_one(
    label: Label,
    shades: set[Colour],
    table: Mapping[Colour, int] | None,
    whose: str,
    options: Options,
    found: Judgement,
) -> None:
    """One label's finding."""
    colours = label.page.colours
    drawn = None if colours is None else colours.keys() - shades
    many = drawn is None or len(drawn) > MOST_COLOURS and table is None
    what = f"{'over ' + str(MOST_COLOURS) if many else len(drawn or ())} colours, not class numbers"
    if colours is not None and len(colours) > len(drawn or ()):
        what += f", and {len(colours.keys() & shades)} shades between them along smoothed edges"
    mendable = table is not None and not many
    if mendable:
        fix = f"--fix DIR writes class numbers ({whose})"
        fix += "; each shade becomes the colour beside it that is most like it" if shades else ""
    elif many:
        fix = "save it as a palette or grey image of class numbers, without smoothed edges"
    elif options.table:
        unknown = sorted((drawn or set()) - options.table.numbers.keys())
        named = ",".join(map(str, unknown[0])) if unknown else ""
        fix = f"name the colour {named} in {options.table.path.name}" if unknown else "see the other labels"
    else:
        fix = (
            "say which colour is which class: put a table colours.csv into the folder, its first line "
            "class,red,green,blue, or pass --set data.colours=FILE"
        )
    found.findings.append(Finding("colours", label.name, what, fix, mendable=mendable, draw=label.draw))
    if not mendable:
        found.hopeless.add(label.path)


def _shades(seen: Counter[Colour], flat: Counter[int], given: Mapping[Colour, int] | None) -> set[Colour]:
    """The colours that smoothing made of two or three that were drawn."""
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
