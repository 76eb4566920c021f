"""MODEL_CARD.md: what a network is, its scores and limits, and how to use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from textwrap import fill

from kseg.formats import in_figures, in_share
from kseg.reports.result import Result, machine
from kseg.storage import write_text

WIDTH = 120
MOST_CLASSES = 12  # of a head that are named in the first line
_wrapped = partial(fill, width=WIDTH, break_on_hyphens=False, break_long_words=False)


def write_card(result: Result) -> None:
    """Writes MODEL_CARD.md into the run folder."""
    write_text(result.folder / "MODEL_CARD.md", "\n".join(_lines(result)) + "\n")


def _lines(result: Result) -> Iterator[str]:
    report, recipe = result.report, result.recipe
    yield f"# {result.folder.resolve().name}\n"
    yield _wrapped(f"{result.network_name} trained by kseg on {report.dataset}: {_classes(result)}.") + "\n"
    yield from _table(
        ("", ""),
        [
            ("network", result.network()),
            ("input", result.input()),
            ("data", result.data()),
            ("training", result.training()),
            ("this network", result.choice()),
            ("machine", machine()),
            ("command", f"`{result.command}`"),
        ],
    )
    yield f"\n## Scores on {report.scored_on}\n"
    head, rows = result.scores()
    yield from _table(head, [(name, *map(in_figures, figures)) for name, *figures in rows])
    yield ""
    if text := result.comparison():
        yield f"{_wrapped(text)}\n"
    dice = report.per_class_dice
    shares = ((name, in_share(value), in_share(dice[name])) for name, value in report.per_class.items())
    yield from _table(("class", "IU", "Dice"), list(shares))
    if report.objects:
        yield f"\n{_wrapped(report.objects_in_words)}"
    yield f"\n{_wrapped(report.protocol)}\n"
    if together := report.together:
        yield f"The ensemble on {together.split}:\n"
        shown = [(together.words(name), in_figures(value)) for name, value in together.figures.items()]
        yield from _table(("measure", "score"), shown)
        yield f"\n{_wrapped(together.protocol)}\n"
    if text := result.recipe_text():
        yield f"Of the recipe `{recipe.name}` kseg says:\n"
        yield from (f"> {line}".rstrip() for line in text.splitlines())
        yield ""
    yield "## Limits\n"
    yield from (_wrapped(f"- {text}", subsequent_indent="  ") for text in _limits(result))
    yield "\n## Use\n"
    yield _use(result)
    yield "## Terms\n"
    yield _wrapped(result.terms())


def _classes(result: Result) -> str:
    texts = []
    for head, names in ((head, reading.classes) for head, reading in result.readings.items()):
        shown = ", ".join(f"{number} {name}" for number, name in enumerate(names[:MOST_CLASSES]))
        more = ", and so on" if len(names) > MOST_CLASSES else ""
        texts.append(f"{len(names)} {f'{head} classes'.strip()} ({shown}{more})")
    return " and ".join(texts)


def _limits(result: Result) -> Iterator[str]:
    found, report = result.surveys["train"], result.report
    sizes = [f"{low} to {high}" if low != high else f"{low}" for low, high in (found.heights, found.widths)]
    if report.folds:
        yield (
            "The scores are cross-validated: they are those of single networks, each on the fold that it was not "
            "trained on. The ensemble was trained on all these images, so only other images can score it."
        )
        yield "Each network was also chosen on the fold that it is scored on, so the scores are a little too good."
    else:
        count = len(report.images)
        yield f"The scores are of one training with one seed, on {count} images. Another seed gives others."
    if report.split == "val" and result.chosen_at is not None:
        yield "Chosen and scored on the same images of val, so its scores are a little too good."
    yield (
        f"It has seen {found.images} images of {sizes[0]} by {sizes[1]} pixels. Images of another "
        "scale, camera or stain may score far worse: score some of yours first (`kseg evaluate`)."
    )
    scored = [(name, value) for name, value in report.per_class.items() if value == value]
    lowest = min(scored, key=lambda one: one[1]) if scored else None
    if lowest and len(scored) > 1:
        yield f"Of its classes {lowest[0]} has the lowest IU, {lowest[1]:.3f}."
    yield from result.warnings


def _use(result: Result) -> str:
    folder = result.folder
    return f"""```bash
kseg predict {folder} IMAGE... -o predictions/ --overlay
kseg evaluate {folder}{" --data-dir NEW" if result.report.folds else ""}
kseg export {folder} -o models/
```

```python
import kseg

model = kseg.load("{folder}")  # a Keras network: scores before softmax
mask = kseg.predict(model, image)  # class ids; the image as in its file, of any height and width
```
"""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
