"""report.html: everything about a training in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kseg import pages
from kseg.folders import FOLDS
from kseg.formats import in_figures
from kseg.images import read_image
from kseg.metrics import class_iu
from kseg.pictures import fitted, png
from kseg.reports.result import Result, machine
from kseg.storage import write_text

STRIP_WIDTH = 1600


def write_page(result: Result) -> None:
    """Writes report.html into the run folder, whose samples/ hold the pictures of the images that it shows."""
    report, measure = result.report, result.measure
    value = {"mean_iu": report.mean_iu, **report.measures}[measure.name]
    name = result.folder.resolve().name
    title = f"{name}: {report.words(measure.name)} {in_figures(value)} on {report.scored_on}"
    text = pages.page(
        title,
        pages.section("Warnings", *map(pages.warning, result.warnings)),
        pages.section("Scores", *_scores(result)),
        pages.section("The ensemble", *_together(result)),
        pages.section("Confusion", *_confusions(result)),
        pages.section("Curves", *_curves(result)),
        pages.section("The worst images", *_strips(result, result.worst)),
        pages.section("Images from all over the split", *_strips(result, result.spread)),
        pages.section("Every image", _images(result)),
        pages.section("How it was trained", *_training(result)),
    )
    write_text(result.folder / "report.html", text)


def _scores(result: Result) -> list[str]:
    report = result.report
    scored = report.scored_classes
    classes = {
        name + ("" if scored is None or number in scored else " (not in the mean)"): value
        for number, (name, value) in enumerate(report.per_class.items())
    }
    heads = result.parts["train"].heads
    others = [
        pages.bars((f"{head} class", "IU"), dict(zip(heads[head], class_iu(matrix).tolist(), strict=True)))
        for head, matrix in report.others.items()
    ]
    return [
        pages.table(*result.scores()),
        *map(pages.paragraph, filter(None, (report.objects_in_words, result.comparison(), report.protocol))),
        pages.bars(("class", "IU"), classes),
        *others,
        pages.folded("Dice of each class", pages.bars(("class", "Dice"), report.per_class_dice)),
    ]


def _together(result: Result) -> list[str]:
    """The scores on test of the ensemble of a cross-validation."""
    report = result.report.together
    if report is None:
        return []
    rows = [(report.words(name), value) for name, value in report.figures.items()]
    return [pages.table(("measure", "score"), rows), pages.paragraph(report.protocol)]


def _confusions(result: Result) -> list[str]:
    heads = result.parts["train"].heads
    return [
        pages.shaded(
            heads[head], matrix, caption=f"{head} percent of each true class's pixels, by what was found".strip()
        )
        for head, matrix in result.confusions.items()
    ]


def _curves(result: Result) -> list[str]:
    """The curves of the training, or of each fold's."""
    text = "Mean training loss of each epoch, and the scores on val where there is one"
    named = {result.folder / "curves.png": text}
    if result.recipe.is_in_folds:
        numbers = range(1, len(result.report.folds) + 1)
        named = {result.folder / FOLDS / str(number) / "curves.png": f"Fold {number}. {text}" for number in numbers}
    return [pages.picture(path.read_bytes(), caption) for path, caption in named.items() if path.is_file()]


def _strips(result: Result, places: Sequence[int]) -> list[str]:
    figures, words = [], result.report.words
    for image in (result.report.images[place] for place in places):
        path = result.folder / "samples" / f"{image['id']}.png"
        strip = read_image(path)
        shown = png(fitted(strip, STRIP_WIDTH)) if strip.shape[1] > STRIP_WIDTH else path.read_bytes()
        scores = ", ".join(f"{words(name)} {in_figures(image[name])}" for name in result.image_columns)
        figures.append(pages.picture(shown, f"{image['id']}: {scores}", wide=True))
    return figures


def _images(result: Result) -> str:
    images, columns = result.report.images, result.image_columns
    rows = [[image["id"], *(image[name] for name in columns)] for image in images]
    head = ["image", *map(result.report.words, columns)]
    return pages.folded(f"{len(images):,} images", pages.table(head, rows))


def _training(result: Result) -> list[str]:
    config = result.config
    rows = [
        ("network", result.network()),
        ("input", result.input()),
        ("data", result.data()),
        ("training", result.training()),
        ("which network", result.choice()),
        ("precision", result.report.precision),
        ("machine", machine()),
        ("versions", ", ".join(f"{name} {version}" for name, version in config.get("versions", {}).items())),
        ("terms", result.terms()),
    ]
    return [
        pages.table(("", ""), rows),
        pages.listing(result.command),
        pages.folded("The whole configuration", pages.listing(json.dumps(config, indent=2))),
    ]
