"""The result of a training: the facts that its page and its model card tell."""

from __future__ import annotations

import inspect
import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from kseg.datasets import Dataset, Survey
from kseg.datasets.downloads import PUBLISHED
from kseg.formats import clock
from kseg.layers import ScoreReading
from kseg.metrics import Measure
from kseg.recipes import RECIPES, Recipe
from kseg.recipes.recipe import as_registered
from kseg.reports.report import Report
from kseg.strips import evenly_spaced

SHOWN, WORST = 4, 4  # pictures evenly spaced over the split, and of the images with the worst scores
# Settings that may differ from the published training, which it remains all the same.
OF_THE_RUN = ("seed", "deterministic", "precision", "checkpoint.")


@dataclass(frozen=True)
class Result:
    """A finished training.

    Attributes:
      folder: its run folder.
      recipe: the recipe.
      parts: the data sets by use: "train", and where they exist "val" and "test".
      surveys: the content of each part.
      measure: the measure that the network was chosen by.
      steps: how many steps were planned.
      report: the scores of the chosen network on the held-out split.
      network_name: the network's registered name, or that of the object that was given.
      parameters: how many numbers the network learned or keeps.
      readings: how its scores are read, by head.
      seconds: spent in training.
      rows: the figures of each epoch; None for one that is not a number.
      warnings: what looked wrong in the data and during the training.
      config: the content of config.json.
    """

    folder: Path
    recipe: Recipe
    parts: Mapping[str, Dataset]
    surveys: Mapping[str, Survey]
    measure: Measure
    steps: int
    report: Report
    network_name: str
    parameters: int
    readings: Mapping[str, ScoreReading]
    seconds: float
    rows: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chosen_at(self) -> int | None:
        """The step at which the network was best on val; None where no score on val chose it."""
        key, best = f"val_{self.measure.name}", max if self.measure.higher else min
        scored = [row for row in self.rows if row.get(key) is not None]
        return best(scored, key=lambda row: row[key])["step"] if scored else None

    @property
    def worst(self) -> list[int]:
        """The indices of the images with the worst scores by the measure of the choice, the worst first."""
        return self.report.worst(self.measure, WORST)

    @property
    def image_columns(self) -> list[str]:
        """The names of an image's scores that are shown, the measure of the choice first."""
        name = self.measure.name
        return list(dict.fromkeys([*([name] if name in self.report.images[0] else []), *self.report.columns]))

    @property
    def spread(self) -> list[int]:
        """The indices of a few images, evenly spaced over the split."""
        return evenly_spaced(len(self.report.images), SHOWN)

    @property
    def command(self) -> str:
        """The command that began the training."""
        words = self.config.get("command") or [""]
        program = {"cli.py": "python cli.py", "kseg": "kseg"}.get(Path(words[0]).name)
        return f"{program} {shlex.join(words[1:])}" if program else "kseg.train(...) in Python"

    @property
    def confusions(self) -> dict[str, Any]:
        """The confusion matrices by head, the reported one first."""
        heads = list(self.parts["train"].heads)
        return {heads[0]: self.report.confusion, **self.report.others}

    def scores(self) -> tuple[tuple[str, ...], list[list[Any]]]:
        """The head and the rows of a table: all scores, beside the published ones of this split."""
        report = self.report
        published = self.recipe.published_on(report.dataset, report.split)
        columns: list[Mapping[str, Any]] = [report.figures, *(each.figures for each in published)]
        heads = ["measure", "here" if published else "score", *(f"published: {each.source}" for each in published)]
        if report.folds:
            ranges = {name: ends for name in report.figures for ends in report.ranges(name)}
            columns += [{name: ends[which] for name, ends in ranges.items()} for which in (0, 1)]
            heads += ["lowest fold", "highest fold"]
        return tuple(heads), [[report.words(name), *(column.get(name) for column in columns)] for name in columns[0]]

    def comparison(self) -> str:
        """A sentence on why the published scores may differ from these; "" where none were published."""
        recipe, count = self.recipe, len(self.report.images)
        published = recipe.published_on(self.report.dataset, self.report.split)
        if not published:
            return ""
        changed = [name for name in recipe.differences(as_registered(recipe)) if not name.startswith(OF_THE_RUN)]
        text = f"The published scores are of {published[0].images:,} images, these of {count:,}"
        return text + (f"; the recipe was followed with another {', '.join(changed)}." if changed else ".")

    def network(self) -> str:
        """The network with its options and its number of parameters."""
        options = [f"{name} {value}" for name, value in self.recipe.model.options.items()]
        many = f"{self.recipe.folds} of " if self.recipe.is_in_folds else ""
        return many + ", ".join([self.network_name, *options]) + f"; {self.parameters:,} parameters"

    def input(self) -> str:
        """The images that the network takes."""
        found = self.surveys["train"]
        streams = [name for name in self.parts["train"][0].images if name]
        text = f"{found.channels} channel{'s' if found.channels > 1 else ''}, {found.kind}, up to {found.brightest:g}"
        return f"{' and '.join(streams)}: {text}" if streams else text

    def data(self) -> str:
        """The data that it was trained on, chosen by and reported on."""
        uses = {"train": "trained on", "val": "chosen by", "test": "reported on"}
        counts = [
            f"{uses[use]} {self.surveys[use].images} image{'s' * (len(part) > 1)} of {part.split}"
            for use, part in self.parts.items()
        ]
        if self.recipe.is_in_folds:
            counts[0] = f"{self.surveys['train'].images} images, each held out by one of the networks"
        return f"{self.parts['train'].name}: {', '.join(counts)}"

    def training(self) -> str:
        """Recipe, seed, steps, precision and time."""
        recipe, rows, planned = self.recipe, self.rows, self.steps
        steps = rows[-1]["step"] if rows else planned
        early = f" (stopped early, of {planned:,} planned)" if steps < planned else ""
        many = f"{recipe.folds} times " if recipe.is_in_folds else ""
        text = (
            f"recipe {recipe.name}, seed {recipe.seed}, {many}{steps:,} steps of {recipe.data.batch_size}{early}, "
            f"{recipe.precision}, {clock(self.seconds)}"
        )
        skipped = int(rows[-1].get("skipped", 0)) if rows else 0
        return text + (f"; {skipped} steps were skipped" if skipped else "")

    def choice(self) -> str:
        """Which network of the training this is."""
        if self.recipe.is_in_folds:
            return (
                f"an ensemble: the mean of the probabilities of {self.recipe.folds} networks (folds/), each of which "
                f"was trained without one fold and was the best by {self.measure.name} on that fold"
            )
        if self.chosen_at is None:
            has_val = "val" in self.parts
            return "the last: " + ("no score on val was a number" if has_val else "there is no val to choose by")
        return f"the one of step {self.chosen_at:,}, best by {self.measure.name} on val"

    def terms(self) -> str:
        """The terms of the data's authors."""
        name = self.recipe.data.name
        if name == "demo":
            return "kseg generated the data; they are free of terms."
        entries = [PUBLISHED[name]] if name in PUBLISHED else [e for e in PUBLISHED.values() if e.dataset == name]
        if not entries:
            return "kseg does not know the terms of the data. Whoever passes this network on states them here."
        return f"The data: {entries[0].terms}. They apply to whoever uses these weights."

    def recipe_text(self) -> str:
        """The recipe's own docstring: its source, and what was measured."""
        name = self.recipe.name
        return inspect.cleandoc(RECIPES.get(name).__doc__ or "") if name in RECIPES else ""


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The figures of each epoch in metrics.jsonl; None for one that is not a number."""
    path = folder / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line, parse_constant=lambda _: None) for line in lines]


def read_warnings(folder: Path) -> list[str]:
    """The lines of warnings.txt: what looked wrong in the data and during the training."""
    path = folder / "warnings.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def machine() -> str:
    """The processor and GPUs of this machine."""
    name = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.is_file():
        models = [line.partition(":")[2].strip() for line in cpu.read_text().splitlines() if line.startswith("model n")]
        name = models[0] if models else name
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return ", ".join([*gpus, f"{os.cpu_count()} cores of {name}"])
