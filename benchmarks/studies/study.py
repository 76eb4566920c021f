"""A study and its trainings, by kseg's own commands."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.own_data.processes import ROOT, run
from benchmarks.rows import Row


@dataclass(frozen=True)
class Arm:
    """One training of a study.

    In the words of commands {shared} is the folder of all data, and {files} the study's own.

    Attributes:
      name: what the table calls it.
      train: the words of `kseg train`, without run and seed.
      start: the training of the study whose network it starts from; None for random weights.
      is_scored: false for one that only others start from.
    """

    name: str
    train: str
    start: str | None = None
    is_scored: bool = True


@dataclass(frozen=True)
class Study:
    """Trainings that differ in one thing.

    Attributes:
      name: as on the command line, and of the picture.
      title: of its section on the page of results.
      text: what is asked, what a paper found, what came out.
      arms: its trainings; one that another starts from comes before it.
      evaluate: the words of `kseg evaluate`.
      measures: the scores that are shown, by the names of evaluate's JSON; the first is drawn.
      prepare: writes the study's own files into a folder, given the folder of all data.
      along: the measure on val of each epoch is drawn over the steps.
    """

    name: str
    title: str
    text: str
    arms: Sequence[Arm]
    evaluate: str
    measures: Sequence[str]
    prepare: Callable[[Path, Path], object] | None = None
    along: bool = False

    def trained(self, arm: Arm, seed: int, shared: Path, folder: Path) -> Row:
        """Trains and scores; a training that was broken off goes on.

        Args:
          arm: the training.
          seed: of its random numbers.
          shared: the folder of all data.
          folder: that of the study, where runs and files stay.

        Raises:
          SystemFailure: a command failed.
        """
        files = folder / "files"
        if self.prepare is not None and not files.exists():
            self.prepare(shared, files)
        place, home = folder / arm.name.replace(" ", "-") / f"seed-{seed}", {"shared": shared, "files": files}
        model, log, scored = place / "run", place / "log.txt", place / "scores.json"
        asked = ["train", *_words(arm.train, home), "--seed", str(seed), "--run", str(model)]
        if arm.start is not None:
            asked += ["--init-weights", str(folder / arm.start.replace(" ", "-") / f"seed-{seed}" / "run")]
        peak_mb = run([sys.executable, ROOT / "cli.py", *asked], log).peak_mb
        report = self._report(model, home, scored, log) if arm.is_scored else {}
        epochs = [json.loads(line) for line in (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        of_val = f"val_{config['recipe']['measure']}"
        shown = " ".join(["kseg", *(shlex.quote(word) for word in asked)])
        row: Row = {"study": self.name, "arm": arm.name, "seed": seed, "steps": epochs[-1]["step"]}
        row |= {"train_s": epochs[-1]["seconds"], "precision": config["precision"], "peak_mb": round(peak_mb)}
        found = report and {**report["measures"], "mean_iu": report["mean_iu"]}
        row["scores"] = {name: round(found[name], 4) for name in self.measures if found}
        row["by_class"] = {name: one and round(one, 3) for name, one in report.get("per_class", {}).items()}
        row["curve"] = [[epoch["step"], round(epoch[of_val], 4)] for epoch in epochs if epoch.get(of_val) is not None]
        row["command"] = shown.replace(str(folder.parent), "FOLDER").replace(str(shared), "DATA")
        return row

    def _report(self, model: Path, home: dict[str, Path], file: Path, log: Path) -> dict[str, Any]:
        """The scores of a network as `kseg evaluate` gives them."""
        words = ["evaluate", str(model), *_words(self.evaluate, home), "--json", str(file)]
        run([sys.executable, ROOT / "cli.py", *words], log)
        return json.loads(file.read_text(encoding="utf-8"))


def _words(text: str, home: dict[str, Path]) -> list[str]:
    return [word.format(**home) for word in shlex.split(text)]
