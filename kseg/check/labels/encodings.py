"""Finds labels that are saved wrongly: with loss, as colours, or with other numbers than those of the classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kseg.check.finding import Finding
from kseg.check.labels.coloured import judge_colours
from kseg.check.labels.label_findings import Label, LabelFindings, Mend, Options
from kseg.check.labels.numbers import doubt_inverted, judge_blank, judge_classes, meaning_of, values_of
from kseg.datasets.contract import VOID
from kseg.datasets.labels.colours import NAMES_OF_VOID
from kseg.datasets.labels.smoothed import is_smoothed
from kseg.errors import Setting


def judge(labels: Sequence[Label], options: Options) -> LabelFindings:
    """What is wrong with how the labels are saved, and with the classes in them."""
    found = LabelFindings()
    lossy = [label for label in labels if label.page.form == "lossy"]
    coloured = [label for label in labels if label.page.form == "colours"]
    numbers = [label for label in labels if label.page.form == "numbers"]
    _judge_lossy(lossy, values_of(numbers, options), options, found)
    judge_colours(coloured, bool(numbers), options, found)
    _judge_names(options, found)
    _judge_below(numbers, options, found)
    if _judge_smoothed(numbers, options, found):
        return found
    if numbers and options.instances:
        judge_blank(numbers, {}, found)
    elif numbers:
        meaning = meaning_of(numbers, options, found)
        if meaning is not None:
            judge_classes(numbers, meaning, options, found)
            judge_blank(numbers, meaning, found)
            doubt_inverted(numbers, options, found)
    return found


def _judge_smoothed(numbers: Sequence[Label], options: Options, found: LabelFindings) -> bool:
    """Whether the labels are masks of 0 and 255 with grey edges, whose levels are no classes and no objects."""
    flat: Counter[int] = Counter()
    for label in numbers:
        flat.update(label.page.flat)
    if not numbers or not is_smoothed(values_of(numbers, Options()), flat):
        return False
    high = VOID if options.values else 1
    for label in numbers:
        between = label.page.counts.keys() - {0, VOID}
        if between:
            what = f"grey levels between 0 and {VOID}: a mask whose edges were smoothed, no numbers"
            fix, in_copy = "export it again without smoothing", f"makes {high} of 128 and more, else 0"
            found.add("smoothed", label, min(between), what, fix, in_copy=in_copy)
    found.mend(numbers, Mend(threshold=high))
    return True


def _judge_lossy(lossy: Sequence[Label], numbers: Counter[int], options: Options, found: LabelFindings) -> None:
    """Labels saved with loss: a threshold brings back black and white; all other numbers are lost."""
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
        fix = "export it again as PNG or TIFF from where it was drawn"
        fix += "" if plain else ": the numbers are lost"
        in_copy = "tells black and white apart" if plain else ""
        what = f"compressed with loss (JPEG, WebP): {seen}"
        found.findings.append(Finding("jpeg", label.name, what, (fix,), in_copy=in_copy, draw=label.draw))
    if plain:
        found.mend(lossy, Mend(threshold=VOID if options.values else 1, lossy=True))
    else:
        found.hopeless |= {label.path for label in lossy}


def _judge_below(numbers: Sequence[Label], options: Options, found: LabelFindings) -> None:
    """Numbers below 0, which can only be void."""
    for label in numbers:
        value = min(label.page.counts, default=0)
        if value < 0 and options.values is None and value != options.ignore_class:
            void = Setting("data.ignore_class", value)
            found.add("outside", label, value, f"label {value}, below 0", "where it is void, pass ", void)


def _judge_names(options: Options, found: LabelFindings) -> None:
    for number, name in enumerate(options.names):
        if name.lower() in NAMES_OF_VOID and number != options.ignore_class:
            what = f"line {number + 1} names class {number} {name!r}: void would be learned like any other"
            fix = ("take the line out and pass ", Setting("data.ignore_class", number))
            found.findings.append(Finding("void", "classes.txt", what, fix))
