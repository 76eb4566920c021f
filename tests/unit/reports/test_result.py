import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kseg
from kseg.datasets import Dataset, Item, survey
from kseg.images import write_image
from kseg.layers import ScoreReading
from kseg.metrics import Score, measure
from kseg.recipes import RECIPES, Recipe
from kseg.recipes.specs import DataSpec, PublishedSpec
from kseg.reports import Report
from kseg.reports.card import write_card
from kseg.reports.page import write_page
from kseg.reports.result import Result, machine, read_rows


class Streets(Dataset):
    """Two heads; a class that never occurs, one with a name to be escaped, and no val."""

    name, classes = "streets", {"what": ("sky", "a|b <i>", "moon"), "where": ("up", "down")}

    def __init__(self, split):
        self.choose(split, ["trainval", "test"])
        self.ids = [f"{split}{number}" for number in range(6)]

    def read(self, index):
        label = np.zeros((8, 8), np.int32)
        label[4:] = 1
        return Item(self.ids[index], np.full((8, 8, 3), index, np.uint8), {"what": label, "where": label})


@pytest.fixture
def result(tmp_path):
    train, test = Streets("trainval"), Streets("test")
    parts = {"train": train, "test": test}
    images = tuple({"id": name, "mean_iu": number / 10, "pixel_accuracy": 0.5} for number, name in enumerate(test.ids))
    report = Report(
        "streets", "test", train.classes["what"], np.array([[6, 2, 0], [0, 8, 0], [0, 0, 0]]), images,
        (Score(measure("pixel_accuracy"), 14 / 16),), scored_classes=(0, 1),
        others={"where": np.array([[8, 0], [4, 4]])},
    )  # fmt: skip
    folder = tmp_path / "run"
    for name in test.ids:
        write_image(folder / "samples" / f"{name}.png", np.zeros((8, 2000, 3), np.uint8))
    return Result(
        folder=folder,
        recipe=Recipe("streets-fcn", data=DataSpec(name="siftflow"), steps=7),
        parts=parts,
        surveys={use: survey(part) for use, part in parts.items()},
        measure=measure("mean_iu"),
        steps=7,
        report=report,
        network_name="unet",
        parameters=1234,
        readings={head: ScoreReading(names) for head, names in train.heads.items()},
        seconds=3723.0,
        rows=[{"epoch": 1, "step": 7, "loss": 1.0, "skipped": 2}],
        config={"command": ["/x/cli.py", "train", "--run", "my run"], "versions": {"keras": "3"}},
    )


def test_a_page_tells_scores_protocol_confusion_training_and_warnings(result):
    write_page(replace(result, warnings=["the loss does not fall"]))
    text = (result.folder / "report.html").read_text()
    assert "<title>run: mean IU 0.775 on streets test</title>" in text  # by the run, as there are many of a recipe
    for wanted in (
        "the loss does not fall", "where mean IU", "6 images of streets",
        "The set's protocol leaves moon out of the means", "moon (not in the mean)",
        "python cli.py train --run 'my run'",
        "2 steps were skipped", "1:02:03", "keras 3", "1,234 parameters", machine(), "there is no val to choose by",
    ):  # fmt: skip
        assert wanted.replace("'", "&#x27;") in text, wanted
    assert "a|b &lt;i&gt;" in text and "a|b <i>" not in text
    assert text.count('<table class="shaded">') == 2
    shown = re.findall(r"<figcaption>(test\d): mean IU (\S+),", text)
    assert shown[:4] == [
        ("test0", "0.000"),
        ("test1", "0.100"),
        ("test2", "0.200"),
        ("test3", "0.300"),
    ]  # the worst first
    assert [name for name, _ in shown[4:]] == ["test0", "test2", "test3", "test5"]  # and all over the split
    assert "<td>test5" in text


def test_a_card_tells_what_it_is_how_it_came_about_limits_use_and_terms(result):
    write_card(replace(result, warnings=["the loss does not fall"]))
    text = (result.folder / "MODEL_CARD.md").read_text()
    first = text.replace("\n", " ").partition(". ")[0]
    assert first.endswith("on streets: 3 what classes (0 sky, 1 a|b <i>, 2 moon) and 2 where classes (0 up, 1 down)")
    for wanted in (
        "| data | streets: trained on 6 images of trainval, reported on 6 images of test |",
        "seed 0, 7 steps of 4", "`python cli.py train --run 'my run'`", "| mean IU | 0.775 |", "| a\\|b <i> | 0.800 |",
        "| where mean IU | 0.583 |", "- the loss does not fall", "kseg.load(", "## Terms",
    ):  # fmt: skip
        assert wanted in text, wanted
    lines = [line for line in text.splitlines() if not line.startswith("|") and str(result.folder) not in line]
    assert max(map(len, lines)) <= 120


def test_published_scores_stand_beside_ones_own_where_they_are_of_the_same_split(result):
    published = (
        PublishedSpec("CVPR 2015", "streets", "test", 1200, mean_iu=0.395, geometric_pixel_accuracy=0.943),
        PublishedSpec("PAMI 2016, from memory", "streets", "test", 1200, mean_iu=0.412, pixel_accuracy=0.859),
        PublishedSpec("another", "streets", "val", 9, mean_iu=0.123),
    )
    recipe = replace(RECIPES.get("siftflow-fcn16s")(), published=published)
    recipe = recipe.with_settings({"model.width": 0.25, "steps": 7, "seed": 3, "precision": "float32"})
    with_scores = replace(result, recipe=recipe)
    write_page(with_scores)
    write_card(with_scores)
    page, card = ((result.folder / name).read_text() for name in ("report.html", "MODEL_CARD.md"))
    head, rows = with_scores.scores()
    assert head == ("measure", "here", "published: CVPR 2015", "published: PAMI 2016, from memory")
    assert rows[0][0] == "mean IU" and rows[0][2:] == [0.395, 0.412] and rows[1][2:] == [None, 0.859]
    assert "published: PAMI 2016, from memory" in page
    words = (
        "The published scores are of 1,200 images, these of 6; the recipe was followed with another model.width, steps."
    )
    assert words in page and words in card.replace("\n", " ")
    assert "| mean IU | 0.775 | 0.395 | 0.412 |" in card and "| --- | --- | --- | --- |" in card
    assert "0.123" not in page + card


def test_without_published_scores_of_the_split_there_is_no_word_of_them(result):
    recipe = replace(result.recipe, published=(PublishedSpec("a", "streets", "val", 9, mean_iu=0.123),))
    elsewhere = replace(result, recipe=recipe)
    write_page(elsewhere)
    write_card(elsewhere)
    for name in ("report.html", "MODEL_CARD.md"):
        assert "published:" not in (result.folder / name).read_text()
    assert elsewhere.scores()[0] == ("measure", "score") and elsewhere.comparison() == ""


def test_a_training_that_was_stopped_early_says_after_how_many_steps(result):
    assert "7 steps of 4, auto" in result.training()
    early = replace(result, rows=[{"epoch": 1, "step": 5, "loss": 1.0, "skipped": 0}])
    assert "5 steps of 4 (stopped early, of 7 planned), auto" in early.training()


@pytest.mark.parametrize("no_number", ["null", "NaN"])
def test_a_score_that_is_no_number_is_not_the_best(result, no_number):
    scores = (no_number, 0.5, no_number, 0.25)
    text = "".join(f'{{"step": {step}, "val_mean_iu": {score}}}\n' for step, score in enumerate(scores, start=1))
    (result.folder / "metrics.jsonl").write_text(text)
    scored = replace(result, rows=read_rows(result.folder))
    assert scored.chosen_at == 2 and scored.rows[0]["val_mean_iu"] is None
    (result.folder / "metrics.jsonl").write_text(f'{{"step": 1, "val_mean_iu": {no_number}}}\n')
    with_val = replace(result, rows=read_rows(result.folder), parts={**result.parts, "val": Streets("test")})
    assert with_val.choice() == "the last: no score on val was a number"


def test_the_terms_are_those_the_data_set_was_published_under(result):
    assert "cite the authors" in result.terms() or "research" in result.terms()


def test_a_finished_run_has_its_page_and_card(tmp_path):
    settings = {"steps": 4, "epoch_steps": 2, "model.width": 2, "model.depth": 1, "precision": "float32"}
    kseg.train("demo", run=tmp_path / "run", settings=settings)
    page, card = ((tmp_path / "run" / name).read_text() for name in ("report.html", "MODEL_CARD.md"))
    pictures = len(re.findall(r"<figure>", page))
    assert pictures == 1 + 4 + 4 and page.count("data:image/png;base64,") == pictures
    assert "best by mean_iu on val" in page and "kseg generated the data" in card
    assert "Of the recipe `demo` kseg says:" in card and "a little too good" in card
    assert json.loads((tmp_path / "run" / "report.json").read_text())["split"] == "val"
    assert not list(Path(tmp_path).rglob(".kseg-*"))
