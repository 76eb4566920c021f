"""What is wrong with how the labels of a set are saved: with loss, as colours, as other numbers than their classes'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kseg.check.finding import Finding
from kseg.check.judgement import Judgement, Label, Mend, Options, found_at
from kseg.check.looks import Colour
from kseg.check.numbers import VOC_CLASSES, judge_blank, judge_classes, meaning_of, values_of
from kseg.datasets.contract import VOID
from kseg.images import words_for_below
from kseg.pictures import palette

MOST_OWN_COLOURS = 64
_NAMES_OF_VOID = {"void", "unlabelled", "unlabeled", "ignore", "ignored", "unknown"}


def judge(labels: Sequence[Label], options: Options) -> Judgement:
    """What is wrong with how the labels are saved, and with the classes they hold."""
    found = Judgement()
    lossy = [label for label in labels if label.page.form == "lossy"]
    coloured = [label for label in labels if label.page.form == "colours"]
    numbers = [label for label in labels if label.page.form == "numbers"]
    _judge_lossy(lossy, values_of(numbers, options), found)
    _judge_colours(coloured, bool(numbers), options, found)
    _judge_names(options, found)
    _judge_below(numbers, options, found)
    if numbers and options.instances:
        judge_blank(numbers, {}, found)
    elif numbers:
        meaning = meaning_of(numbers, options, found)
        if meaning is not None:
            judge_classes(numbers, meaning, options, found)
            judge_blank(numbers, meaning, found)
    return found


def _judge_lossy(lossy: Sequence[Label], numbers: Counter[int], found: Judgement) -> None:
    """JPEG: plain black and white comes back by a threshold, anything else is gone."""
    levels: Counter[int] = Counter()
    for label in lossy:
        levels.update(label.page.counts or {128: 1})
    total = max(levels.total(), 1)
    near = sum(count for level, count in levels.items() if min(level, 255 - level) <= 8) / total
    far = sum(count for level, count in levels.items() if 85 < level < 170) / total
    bright = sum(count for level, count in levels.items() if level >= 170)
    plain = near >= 0.9 and far <= 0.02 and bright > 0 and set(numbers) <= {0, 1, 255}
    for label in lossy:
        count = len(label.page.counts)
        seen = f"{count} grey levels where there should be a few numbers" if count else "colours, blurred"
        fix = (
            "export it again as PNG; black and white as they are can be told apart, which --fix DIR does"
            if plain
            else "export it again as PNG or TIFF from where it was drawn: the numbers can't be told any more"
        )
        what = f"compressed with loss (JPEG, WebP): {seen}"
        found.findings.append(Finding("jpeg", label.name, what, fix, mendable=plain, draw=label.draw))
    if plain:
        found.mend(lossy, Mend(threshold=True))
    else:
        found.hopeless |= {label.path for label in lossy}


def _judge_colours(coloured: Sequence[Label], numbers: bool, options: Options, found: Judgement) -> None:
    """Colours of VOC's palette are its numbers; a few others are numbered where nothing contradicts that."""
    plain = [label for label in coloured if label.page.colours is not None]
    seen: Counter[Colour] = Counter()
    for label in plain:
        seen.update(label.page.colours or {})
    voc = {_colour(number): number for number in [*range(VOC_CLASSES), VOID]}
    own = {colour: number for number, colour in enumerate(sorted(seen))}
    is_voc = seen.keys() <= voc.keys()
    table = voc if is_voc else own if len(own) <= MOST_OWN_COLOURS and not numbers and not options.names else None
    for label in coloured:
        colours = label.page.colours
        what = f"{'over 256' if colours is None else len(colours)} colours, not class numbers"
        if colours is None:
            fix = "save it as a palette or grey image of class numbers, without smoothed edges"
        elif table is None:
            fix = "save it as a palette or grey image of class numbers: which colour is which class is not known here"
        else:
            whose = "they are PASCAL VOC's" if is_voc else f"the {len(own)} of the set are numbered in colours.csv"
            fix = f"--fix DIR writes class numbers ({whose})"
        mendable = table is not None and colours is not None
        found.findings.append(Finding("colours", label.name, what, fix, mendable=mendable, draw=label.draw))
        if not mendable:
            found.hopeless.add(label.path)
    if table is not None and plain:
        found.mend(plain, Mend(colours=table))
        found.colours = {colour: table[colour] for colour in sorted(seen, key=lambda colour: table[colour])}
        if is_voc and _colour(VOID) in seen:
            found.settings["data.ignore_class"] = str(VOID)


def _colour(number: int) -> Colour:
    red, green, blue = palette()[number].tolist()
    return red, green, blue


def _judge_below(numbers: Sequence[Label], options: Options, found: Judgement) -> None:
    """Numbers below 0, which can be void and nothing else."""
    for label in numbers:
        value = min(label.page.counts, default=0)
        if value < 0 and options.values is None and value != options.ignore_class:
            found.findings.append(found_at("outside", label, value, f"label {value}, below 0", words_for_below(value)))


def _judge_names(options: Options, found: Judgement) -> None:
    for number, name in enumerate(options.names):
        if name.lower() in _NAMES_OF_VOID and number != options.ignore_class:
            what = f"line {number + 1} names class {number} {name!r}: void would be learned like any other"
            fix = f"take the line out and pass --set data.ignore_class={number}"
            found.findings.append(Finding("void", "classes.txt", what, fix))
