"""A training chosen by an error, and one by a measure that is no part of kseg."""

import json

import numpy as np
import pytest

import kseg
from kseg.errors import ConfigError
from kseg.metrics import MEASURES, Measure

SETTINGS = {
    "precision": "float32",
    "steps": 12,
    "epoch_steps": 3,
    "model.width": 2,
    "model.depth": 1,
    "average": "none",
}


class Missed(Measure):
    """The share of cell pixels that were not found."""

    words, higher, protocol = "cells that were missed", False, "Missed cells were counted."

    def sums(self, seen):
        return np.array([((seen.label == 1) & (seen.prediction != 1)).sum(), (seen.label == 1).sum()])

    def of_sums(self, total):
        return total[0] / total[1] if total[1] else float("nan")


@pytest.fixture
def missed(monkeypatch):
    monkeypatch.setattr(MEASURES, "_entries", dict(MEASURES._entries))
    MEASURES.register("missed")(Missed)
    return "missed"


def rows_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_training_chosen_by_an_error_keeps_the_network_with_the_least(tmp_path):
    run = kseg.train("demo", run=tmp_path / "run", settings={**SETTINGS, "measure": "pixel_error"})
    report, rows = json.loads((run.folder / "report.json").read_text()), rows_of(run.folder)
    errors = [row["val_pixel_error"] for row in rows]
    assert len(set(errors)) > 1 and report["measures"]["pixel_error"] == pytest.approx(min(errors))
    assert "pixel_error" in report["thresholds"]
    assert {"val_loss", "val_pixel_accuracy", "val_mean_accuracy", "val_mean_iu", "val_seg"} <= rows[0].keys()
    step = rows[int(np.argmin(errors))]["step"]
    assert f"the one of step {step}, best by pixel_error on val" in (run.folder / "MODEL_CARD.md").read_text()


def test_a_measure_of_ones_own_chooses_and_stands_in_all_that_is_read(tmp_path, missed, capsys):
    run = kseg.train("demo", run=tmp_path / "run", settings={**SETTINGS, "measure": missed})
    report, rows = json.loads((run.folder / "report.json").read_text()), rows_of(run.folder)
    assert report["measures"]["missed"] == pytest.approx(min(row["val_missed"] for row in rows))
    assert all("missed" in image for image in report["per_image"])
    page, card = ((run.folder / name).read_text() for name in ("report.html", "MODEL_CARD.md"))
    worst = max(report["per_image"], key=lambda image: image["missed"])
    captions = page.partition("The worst images")[2].partition("<figcaption>")[2]
    assert captions.startswith(f"{worst['id']}: cells that were missed {worst['missed']:.3f}, mean IU ")
    for text in (page, card.replace("\n", " ")):
        assert "cells that were missed" in text and "Missed cells were counted." in text
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert f"cells that were missed {rows[-1]['val_missed']:.3f}" in said[-1] and "accuracy" not in said[-1]


def test_a_measure_that_is_not_known_or_not_of_these_classes_is_refused_before_a_step(tmp_path):
    for name, words in (("pixel_eror", "Did you mean 'pixel_error'"), ("iu.sell", "demo has no class 'sell'")):
        with pytest.raises(ConfigError, match=words):
            kseg.train("demo", run=tmp_path / "run", settings={**SETTINGS, "measure": name})
    assert not (tmp_path / "run").exists()
