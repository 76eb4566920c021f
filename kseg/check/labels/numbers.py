"""Finds out from all labels of a set together what their numbers mean, and which classes they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from kseg.check.finding import Finding
from kseg.check.labels.label_findings import Label, LabelFindings, Mend, Options
from kseg.datasets.contract import VOID
from kseg.datasets.own.folder import MOST_GUESSED
from kseg.errors import Advice, Doubt, Setting
from kseg.instances import are_numbered
from kseg.pictures import palette

VOC_CLASSES = 21


def values_of(labels: Sequence[Label], options: Options) -> Counter[int]:
    """Pixels by number over all labels, without the number for void."""
    seen: Counter[int] = Counter()
    for label in labels:
        seen.update(label.page.counts)
    seen.pop(-1 if options.ignore_class is None else options.ignore_class, None)
    return seen


def meaning_of(labels: Sequence[Label], options: Options, found: LabelFindings) -> dict[int, int] | None:
    """The class of each number that is not its own class, as far as it can be known; None where they are no classes."""
    if options.values is not None:
        return {value: number for number, value in enumerate(options.values)}
    seen = values_of(labels, options)
    apart = not any({1, VOID} <= label.page.counts.keys() for label in labels)
    if VOID in seen and seen.keys() <= {0, 1, VOID} and apart:
        return _binary(labels, mixed=1 in seen, found=found)
    order = sorted(seen)
    if options.count is None or order[-1:] >= [options.count]:
        if len(order) > 2 and order[-1] >= 37 and set(order) <= _brightness():
            what = "grey levels that are the brightness of PASCAL VOC's colours, not its numbers"
            fix = "save the palette files again, without making them grey on the way: some classes have one brightness"
            _add_at_largest("levels", labels, what, fix, found)
            return None
        steps = {after - before for before, after in zip(order, order[1:], strict=False)}
        if order[:1] == [0] and steps and min(steps) >= 10 and max(steps) - min(steps) <= 1:
            return _levels(labels, order, found)
    highest = max(seen.keys() - {VOID}, default=0)
    many = options.count is None and highest >= MOST_GUESSED
    counts = [label.page.objects for label in labels if label.page.counts.keys() - {0}]
    if many or highest >= (options.count or 0) and are_numbered(counts):
        what = f"numbers up to {order[-1]}: one for each object?"
        _add_at_largest("objects", labels, what, Setting("data.instances", True), found)
        return None
    if VOID in seen:
        _void(labels, options, found)
        seen.pop(VOID)
    return _shifted(labels, sorted(seen), options, found)


def _add_at_largest(kind: str, labels: Sequence[Label], what: str, fix: str | Setting, found: LabelFindings) -> None:
    """Adds a finding about the whole set, at its largest number."""
    label = max(labels, key=lambda label: max(label.page.counts))
    found.add(kind, label, max(label.page.counts), what, fix)


def _levels(labels: Sequence[Label], order: Sequence[int], found: LabelFindings) -> dict[int, int]:
    """Evenly spaced grey levels, made for viewing: their classes are 0, 1, ... in this order."""
    what = f"grey levels {', '.join(map(str, order))}, which are for viewing, not class numbers"
    fix, in_copy = Setting("data.values", tuple(order)), f"makes them 0 to {len(order) - 1}"
    for label in labels:
        value = max(label.page.counts.keys() & set(order), default=0)
        if value:
            found.add("levels", label, value, what, fix, in_copy=in_copy)
    levels = {value: number for number, value in enumerate(order)}
    found.mend(labels, Mend(levels))
    return levels


def _void(labels: Sequence[Label], options: Options, found: LabelFindings) -> None:
    fix: str | Setting = Setting("data.ignore_class", VOID)
    if options.ignore_class is None:
        found.settings["data.ignore_class"] = str(VOID)
    else:
        fix = f"void is {options.ignore_class} (data.ignore_class): give what is {VOID} another number in the files"
    what = f"{VOID}, which is often void, among the classes"
    for label in labels:
        if VOID in label.page.counts:
            found.add("void", label, VOID, what, fix)


def _brightness() -> set[int]:
    """The brightness of the colours of VOC's classes and void (ITU-R 601), and its neighbours by rounding."""
    levels = [round(float(palette()[number] @ (0.299, 0.587, 0.114))) for number in [*range(VOC_CLASSES), VOID]]
    return {max(0, level + off) for level in levels for off in (-1, 0, 1)}


def _binary(labels: Sequence[Label], *, mixed: bool, found: LabelFindings) -> dict[int, int]:
    """Masks of 0 and 255: only a person can say which of the two is the object, or whether 255 is void."""
    share = _share_of(VOID, labels)
    inverted = share > 0.5 and not mixed
    what = f"0 and {VOID} only" + (", while other labels have 0 and 1" if mixed else "")
    what += f", and {VOID} covers {share:.0%} of all: perhaps 0 is the object" if inverted else ""
    fix: Advice = (Setting("data.ignore_class", VOID), f" where {VOID} is void")
    if not mixed:
        objects = Setting("data.values", (0, VOID)), f" where {VOID} is the object; "
        fix = (*objects, Setting("data.values", (VOID, 0)), " where 0 is; ", *fix)
    in_copy = "" if inverted else f"makes {VOID} a 1, which is right where it is the object"
    files = [label for label in labels if VOID in label.page.counts]
    for label in files:
        found.add("binary", label, VOID, what, *fix, in_copy=in_copy)
    if not inverted:
        found.mend(files, Mend({VOID: 1}))
    return {VOID: 1}


def _share_of(number: int, labels: Sequence[Label]) -> float:
    """The share of the pixels with this number among all, 0..1."""
    counts = [label.page.counts for label in labels]
    return sum(one.get(number, 0) for one in counts) / max(1, sum(sum(one.values()) for one in counts))


def doubt_inverted(labels: Sequence[Label], options: Options, found: LabelFindings) -> None:
    """Adds a doubt where masks of 0 and 1 are mostly 1."""
    if values_of(labels, options).keys() == {0, 1} and options.values is None and not options.names:
        share = _share_of(1, labels)
        if share > 0.5:
            what = f"class 1 covers {share:.0%} of the pixels:"
            found.doubts.append(Doubt(what, ("where 0 is the object, pass ", Setting("data.values", (1, 0)))))


def _shifted(labels: Sequence[Label], order: list[int], options: Options, found: LabelFindings) -> dict[int, int]:
    """The class of each number where the classes are 1..K in place of 0..K-1; {} where they are not."""
    if not order or order[0] != 1 or len(order) < 2:
        return {}
    highest = order[-1]
    if options.count not in (None, highest) or options.count is None and order != list(range(1, highest + 1)):
        return {}
    label = next(label for label in labels if highest in label.page.counts)
    fix: Advice = (Setting("data.values", tuple(range(1, highest + 1))),)
    if found.settings:
        fix = (*fix, " ", Setting("data.ignore_class", VOID))
    what = f"0 never occurs in {len(labels)} labels, 1 to {highest} do"
    shift = {number: number - 1 for number in range(1, highest + 1)}
    if options.ignore_class == 0:
        what = f"0 is void, so that the classes are 1 to {highest} and no label has class 0"
        shift[0] = VOID
        found.settings["data.ignore_class"] = str(VOID)
    found.add("off by one", label, highest, what, *fix, in_copy=f"makes them 0 to {highest - 1}")
    found.mend(labels, Mend(shift))
    return shift


def judge_classes(labels: Sequence[Label], meaning: Mapping[int, int], options: Options, found: LabelFindings) -> None:
    """Numbers beyond the classes, classes that never occur, and classes that only held-out labels have."""
    void = {options.ignore_class, *([VOID] if "data.ignore_class" in found.settings else [])}
    by_split: dict[str, set[int]] = {}
    highest = options.count
    for label in labels:
        stored = {value for value in label.page.counts if value not in void}
        if options.values is not None:
            unknown = stored - meaning.keys()
            stored -= unknown
            for value in sorted(unknown)[:1]:
                what = f"label {value} is not among data.values={','.join(map(str, options.values))}"
                fix = "name the number of every class in data.values, and void in data.ignore_class"
                found.add("outside", label, value, what, fix)
        classes = {meaning.get(value, value): value for value in stored}
        classes.pop(VOID, None)
        beyond = [number for number in classes if highest is not None and number >= highest]
        if beyond:
            value = classes[max(beyond)]
            what = f"label {value}, but there are {highest} classes"
            found.add("outside", label, value, what, *_beyond(value, highest or 0, options))
        by_split.setdefault(label.split, set()).update(set(classes) - set(beyond))
    _judge_unseen(by_split, options, found)


def _beyond(value: int, count: int, options: Options) -> Advice:
    """What to do about a number beyond the classes."""
    fix: Advice = (Setting("data.ignore_class", value), " where it is void; ")
    if value >= 2 * count and value != VOID:
        fix = (*fix, Setting("data.instances", True), " where objects are numbered; ")
    if options.names:
        return *fix, "else name every class in classes.txt"
    return *fix, "else ", Setting("data.classes", max(value, count) + 1)


def _judge_unseen(by_split: Mapping[str, set[int]], options: Options, found: LabelFindings) -> None:
    everywhere = set().union(*by_split.values())
    count = options.count or max(everywhere, default=0) + 1
    empty = sorted(set(range(count)) - everywhere)
    called = [f"{number}" + (f" ({options.names[number]})" if options.names else "") for number in range(count)]
    if empty and everywhere:
        what = f"no label has class {', '.join(called[number] for number in empty)} of {count}"
        values = Setting("data.values", tuple(sorted(everywhere)))
        fix = ("label some, or ", "take the names out of classes.txt" if options.names else values)
        found.findings.append(Finding("unseen", "labels", what, fix))
    if "train" in by_split:
        for split in sorted(by_split.keys() - {"train"}):
            late = sorted(by_split[split] - by_split["train"])
            if late:
                what = f"class {', '.join(called[number] for number in late)} occurs here, but never in train"
                found.findings.append(Finding("unseen", split, what, ("move some images with it to train/",)))


def judge_blank(labels: Sequence[Label], meaning: Mapping[int, int], found: LabelFindings) -> None:
    blank = [label for label in labels if all(meaning.get(value, value) == 0 for value in label.page.counts)]
    if 2 * len(blank) > len(labels):
        what = f"{len(blank)} of {len(labels)} labels hold nothing but class 0, this for one"
        fix = ("see that they were drawn and exported; leave out images from which nothing can be learned",)
        found.findings.append(Finding("blank", blank[0].name, what, fix, draw=blank[0].draw))
