"""What came of a training, and the facts about it that its page and its card tell."""

from __future__ import annotations

import inspect
import json
import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from kseg.callbacks.progress import clock
from kseg.callbacks.samples import spread
from kseg.datasets.downloads import PUBLISHED
from kseg.layers import ScoreReading
from kseg.preparation.prepared import Prepared
from kseg.recipes.recipe import RECIPES, as_registered
from kseg.reports.report import Report
from kseg.runs.config import read_config

SHOWN, WORST = 4, 4  # pictures from all over the split, and of the images with the worst scores
# What may be otherwise than in the training that was published, and is no other training.
OF_THE_RUN = ("seed", "deterministic", "precision", "checkpoint.")


@dataclass(frozen=True)
class Result:
    """A training that is done.

    Attributes:
      prepared: its recipe and data.
      folder: its run folder.
      report: the scores of the network that was chosen, on the held-out split.
      parameters: how many numbers that network learned or keeps.
      readings: how its scores are read, by head.
      seconds: spent in training.
    """

    prepared: Prepared
    folder: Path
    report: Report
    parameters: int
    seconds: float
    readings: Mapping[str, ScoreReading]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The figures of each epoch; None for one that is no number."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [json.loads(line, parse_constant=lambda _: None) for line in lines]

    @property
    def chosen_at(self) -> int | None:
        """The step at which the network was best on val; None where it was not chosen."""
        measure = self.prepared.measure
        key, best = f"val_{measure.name}", max if measure.higher else min
        scored = [row for row in self.rows if row.get(key) is not None]
        return best(scored, key=lambda row: row[key])["step"] if scored else None

    @property
    def worst(self) -> list[int]:
        """The places of the images with the worst scores by the measure of the choice, the worst first."""
        return self.report.worst(self.prepared.measure, WORST)

    @property
    def image_columns(self) -> list[str]:
        """The scores that are shown of an image, that of the choice first."""
        name = self.prepared.measure.name
        return list(dict.fromkeys([*([name] if name in self.report.images[0] else []), *self.report.columns]))

    @property
    def spread(self) -> list[int]:
        """The places of a few images from all over the split."""
        return spread(len(self.report.images), SHOWN)

    @property
    def warnings(self) -> list[str]:
        """What looked wrong in the data and while it went on."""
        said = self.folder / "warnings.txt"
        return said.read_text(encoding="utf-8").splitlines() if said.is_file() else []

    @property
    def config(self) -> dict[str, Any]:
        """What the run folder holds as config.json."""
        return read_config(self.folder) or {}

    @property
    def command(self) -> str:
        """How it was begun."""
        words = self.config.get("command") or [""]
        program = {"cli.py": "python cli.py", "kseg": "kseg"}.get(Path(words[0]).name)
        return f"{program} {shlex.join(words[1:])}" if program else "kseg.train(...) in Python"

    @property
    def confusions(self) -> dict[str, Any]:
        """The confusion matrices by head, the reported one first."""
        heads = list(self.prepared.parts["train"].heads)
        return {heads[0]: self.report.confusion, **self.report.others}

    def scores(self) -> tuple[tuple[str, ...], list[list[Any]]]:
        """The head and the rows of a table of all measures, beside those that were published of this split."""
        report = self.report
        published = self.prepared.recipe.published_on(report.dataset, report.split)
        columns = [{"mean_iu": report.mean_iu, **report.measures}, *(each.figures for each in published)]
        rows = [[report.words(name), *(column.get(name) for column in columns)] for name in columns[0]]
        return ("measure", "here" if published else "score", *(f"published: {each.source}" for each in published)), rows

    def comparison(self) -> str:
        """In what the published scores and these may differ, in words; empty where none were published."""
        recipe, count = self.prepared.recipe, len(self.report.images)
        published = recipe.published_on(self.report.dataset, self.report.split)
        if not published:
            return ""
        changed = [name for name in recipe.differences(as_registered(recipe)) if not name.startswith(OF_THE_RUN)]
        text = f"The published scores are of {published[0].images:,} images, these of {count:,}"
        return text + (f"; the recipe was followed with another {', '.join(changed)}." if changed else ".")

    @property
    def network_name(self) -> str:
        """The network's registered name, or that of the object that was given."""
        given = self.prepared.given.model
        return self.prepared.recipe.model.name if given is None else given.name

    def network(self) -> str:
        """The network in words."""
        spec = self.prepared.recipe.model
        options = [f"{name} {value}" for name, value in spec.options.items()]
        return ", ".join([self.network_name, *options]) + f"; {self.parameters:,} parameters"

    def input(self) -> str:
        """What the network takes, in words."""
        found = self.prepared.surveys["train"]
        streams = [name for name in self.prepared.parts["train"][0].images if name]
        text = f"{found.channels} channel{'s' if found.channels > 1 else ''}, {found.kind}, up to {found.brightest:g}"
        return f"{' and '.join(streams)}: {text}" if streams else text

    def data(self) -> str:
        """What it was trained on, chosen by and reported on, in words."""
        uses = {"train": "trained on", "val": "chosen by", "test": "reported on"}
        counts = [
            f"{uses[use]} {self.prepared.surveys[use].images} image{'s' * (len(part) > 1)} of {part.split}"
            for use, part in self.prepared.parts.items()
        ]
        return f"{self.prepared.parts['train'].name}: {', '.join(counts)}"

    def training(self) -> str:
        """Recipe, seed, steps and time, in words."""
        recipe, rows, planned = self.prepared.recipe, self.rows, self.prepared.steps
        steps = rows[-1]["step"] if rows else planned
        early = f" (stopped early, of {planned:,} planned)" if steps < planned else ""
        text = (
            f"recipe {recipe.name}, seed {recipe.seed}, {steps:,} steps of {recipe.data.batch_size}{early}, "
            f"{recipe.precision}, {clock(self.seconds)}"
        )
        skipped = int(rows[-1].get("skipped", 0)) if rows else 0
        return text + (f"; {skipped} steps were skipped" if skipped else "")

    def choice(self) -> str:
        """Which network of the training this is, in words."""
        if self.chosen_at is None:
            has_val = "val" in self.prepared.parts
            return "the last: " + ("no score on val was a number" if has_val else "there is no val to choose by")
        return f"the one of step {self.chosen_at:,}, best by {self.prepared.measure.name} on val"

    def terms(self) -> str:
        """What the data's authors ask for."""
        name = self.prepared.recipe.data.name
        if name == "demo":
            return "The data were generated by kseg; nobody asks for anything."
        entries = [PUBLISHED[name]] if name in PUBLISHED else [e for e in PUBLISHED.values() if e.dataset == name]
        if not entries:
            return "The terms of the data are not known to kseg. Whoever passes this network on, states them here."
        return f"The data: {entries[0].terms}. Whoever uses these weights keeps to the data's terms."

    def recipe_text(self) -> str:
        """The recipe's own words on where it is from and what was measured."""
        name = self.prepared.recipe.name
        return inspect.cleandoc(RECIPES.get(name).__doc__ or "") if name in RECIPES else ""


def machine() -> str:
    """The processor and GPUs of this machine, in words."""
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
