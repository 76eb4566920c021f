"""A training chosen by an error, and one by a measure that is no part of kseg."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import kseg
from kseg.datasets.demo import write_demo
from kseg.errors import ConfigError
from kseg.images import read_image, read_label, write_image
from kseg.layers import readings_of
from kseg.metrics import MEASURES, Measure
from kseg.preparation.prepared import prepare
from kseg.recipes import RECIPES
from kseg.reports.choice import choose_objects
from kseg.runs.start import settled

SETTINGS = {
    "precision": "float32",
    "steps": 12,
    "epoch_steps": 3,
    "model.width": 2,
    "model.depth": 1,
    "model.normalization": "none",
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


def demo_at(place: Path) -> Path:
    write_demo(place)
    return place


def rows_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_training_chosen_by_an_error_keeps_the_network_with_the_least(few_cells, tmp_path):
    run = kseg.train("demo", data_dir=few_cells, run=tmp_path / "run", settings={**SETTINGS, "measure": "pixel_error"})
    report, rows = json.loads((run.folder / "report.json").read_text()), rows_of(run.folder)
    errors = [row["val_pixel_error"] for row in rows]
    assert len(set(errors)) > 1 and report["measures"]["pixel_error"] == pytest.approx(min(errors))
    assert "pixel_error" in report["thresholds"]
    assert {"val_loss", "val_pixel_accuracy", "val_mean_accuracy", "val_mean_iu", "val_seg"} <= rows[0].keys()
    step = rows[int(np.argmin(errors))]["step"]
    assert f"the one of step {step}, best by pixel_error on val" in (run.folder / "MODEL_CARD.md").read_text()


def test_a_measure_of_ones_own_chooses_and_stands_in_all_that_is_read(few_cells, tmp_path, missed, capsys):
    run = kseg.train("demo", data_dir=few_cells, run=tmp_path / "run", settings={**SETTINGS, "measure": missed})
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


def test_what_counts_as_an_object_is_chosen_on_val_and_carried_into_report_card_and_bundle(few_cells, tmp_path):
    run = kseg.train(
        "demo", data_dir=few_cells, run=tmp_path / "run", settings={**SETTINGS, "steps": 30, "measure": "object_f1"}
    )
    report, (reading,) = json.loads((run.folder / "report.json").read_text()), readings_of(run.model).values()
    val = kseg.datasets.open("demo", few_cells, split="val")
    assert (reading.threshold, reading.rules) == choose_objects(run.model, val)
    assert report["object_rules"] == dataclasses.asdict(reading.rules) and report["objects"]["true"] > 0
    assert report["measures"]["object_f1"] >= max(row["val_object_f1"] for row in rows_of(run.folder))
    bundle = kseg.load(kseg.export(run.model, tmp_path / "models", name="demo"))
    assert bundle.readings[""] == reading
    np.testing.assert_array_equal(kseg.objects(bundle, val[0].image), kseg.objects(run.model, val[0].image))
    page, card = ((run.folder / name).read_text() for name in ("report.html", "MODEL_CARD.md"))
    said = f"F1 of objects {report['measures']['object_f1']:.3f} on demo val"
    assert said in page and f"{report['objects']['true']} true objects" in page and "true objects" in card


def test_own_unet_is_chosen_by_objects_where_they_are_numbered(tmp_path):
    for numbered, name in ((True, "object_f1"), (False, "mean_iu")):
        place = demo_at(tmp_path / str(numbered))
        if not numbered:
            for label in place.glob("*/labels/*.png"):
                write_image(label, (read_label(label) > 0).astype(np.uint8))
        recipe = RECIPES.get("own-unet")().with_settings({"data.instances": numbered})
        prepared = prepare(recipe, place)
        assert prepared.measure.name == name and prepared.config["recipe"]["measure"] == name


def test_a_run_goes_on_by_the_measure_it_began_with():
    began = {
        "recipe": RECIPES.get("own-unet")().with_settings({"measure": "mean_iu", "precision": "float32"}).to_json()
    }
    assert settled("own-unet", {}, began).measure == "mean_iu" and settled("own-unet", {}, None).measure == "auto"


def test_a_val_without_objects_is_warned_of(tmp_path, capsys):
    place = demo_at(tmp_path / "demo")
    for label in (place / "val" / "labels").iterdir():
        write_image(label, 0 * read_label(label).astype(np.uint8))
    prepare(RECIPES.get("own-unet")().with_settings({"data.instances": True}), place)
    assert "warning: no image of val has an object: its scores of objects say nothing." in capsys.readouterr().err
    for label in (place / "train" / "labels").iterdir():
        write_image(label, (read_label(label) > 0).astype(np.uint8))
    prepare(RECIPES.get("own-unet")(), place)
    assert "warning: no image of val has cell: its scores say nothing of it." in capsys.readouterr().err


def test_dark_images_of_8_bits_are_warned_of_as_the_check_does(tmp_path, capsys):
    place = demo_at(tmp_path / "demo")
    for image in place.glob("*/images/*"):
        write_image(image, read_image(image)[..., 0] // 16)
    prepare(RECIPES.get("own-unet")().with_settings({"data.instances": True}), place)
    assert "white is 255. Is that the camera's white? Else pass white=" in capsys.readouterr().err


def test_a_measure_that_is_not_known_or_not_of_these_classes_is_refused_before_a_step(tmp_path):
    for name, words in (("pixel_eror", "Did you mean 'pixel_error'"), ("iu.sell", "demo has no class 'sell'")):
        with pytest.raises(ConfigError, match=words):
            kseg.train("demo", run=tmp_path / "run", settings={**SETTINGS, "measure": name})
    assert not (tmp_path / "run").exists()
