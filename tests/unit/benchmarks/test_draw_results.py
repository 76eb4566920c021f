"""The page of results, from a small file."""

import json

import pytest

from benchmarks.draw_results import main, write_page


@pytest.fixture
def results(tmp_path):
    machine = {"kind": "avx2", "processor": "A processor", "cores": 2, "threads": 2, "flags": ["avx2"], "imitated": ""}
    row = {"work": "nuclei", "minutes": 5.0, "steps": 1000, "batch": 4, "precision": "float32", "wall_s": 330.0}
    row |= {"peak_mb": 1500.0, "plan_s": 0.0, "date": "2026-01-02", "comparison": "python -m benchmarks.own_data DATA"}
    rows = [
        {**row, "system": "smp", "seed": 0, "scores": {"f1": 0.7, "count_error": 0.05, "f1_plain": 0.7}},
        {**row, "system": "kseg", "seed": 0, "scores": {"f1": 0.8, "count_error": 0.1}},
        {**row, "system": "kseg", "seed": 1, "scores": {"f1": 0.9, "count_error": 0.3}},
        {**row, "system": "nnunet", "seed": 0, "plan_s": 12.0, "scores": {"f1": 0.6, "count_error": 0.2}},
    ]
    folder = tmp_path / "results"
    folder.mkdir()
    text = json.dumps({"machine": {**machine, "versions": {"numpy": "2"}}, "rows": rows})
    (folder / "own-data-avx2.json").write_text(text)
    return folder


def test_the_page_has_means_and_ranges_and_the_best_in_bold(tmp_path, results):
    text = write_page(results, tmp_path / "docs").read_text()
    assert (
        "| kseg | 2 | **0.850** (0.800 to 0.900) | 0.200 (0.100 to 0.300) | 1,000 | 4 | float32 | 5.5 | 1,500 |" in text
    )
    assert "| SMP U-Net | 1 | 0.700 | **0.050** |" in text
    assert "| nnU-Net v2 | 1 | 0.600 | 0.200 |" in text
    assert "not counted: nnU-Net v2 12 s." in text
    assert "Processor: A processor, 2 cores, 2 threads used." in text and "Measured: 2026-01-02." in text
    assert "python -m benchmarks.own_data DATA\n" in text


def test_the_pictures_are_there_and_drawing_again_changes_nothing(tmp_path, results):
    docs = tmp_path / "docs"
    page = write_page(results, docs)
    (picture,) = (docs / "pictures").iterdir()
    assert f"(pictures/{picture.name})" in page.read_text()
    before = picture.read_bytes(), page.read_bytes()
    assert b"nnU-Net v2" in before[0] and b"0.850" in before[0]
    assert main(["--results", str(results), "--docs", str(docs)]) == 0
    assert (picture.read_bytes(), page.read_bytes()) == before


def test_without_results_there_is_only_the_introduction(tmp_path):
    text = write_page(tmp_path, tmp_path / "docs").read_text()
    assert text.startswith("# Results\n") and "##" not in text
