"""The comparison with other libraries, at small sizes. Everything computes in float32 unless a test says otherwise."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import compare, processor, table
from benchmarks.peers.command import main
from benchmarks.peers.runner import SYSTEMS, Runner, System
from benchmarks.peers.works import Task, small, works

ROOT = Path(__file__).resolve().parents[3]
HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_JAX = importlib.util.find_spec("jax") is not None


@pytest.fixture
def row():
    return {
        "work": "unet-forward",
        "system": "kseg",
        "precision": "float32",
        "batch": 1,
        "seconds": 2.0,
        "peak_mb": 900,
        "agreement": 1.0,
        "first_call_s": 3.0,
        "choice": {},
        "date": "2026-01-02",
    }


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results")
    path = tmp_path / "speed.md"
    path.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    return path


def test_kseg_alone_gives_rows_with_all_fields(tmp_path, capsys):
    """float32 and mixed_bfloat16."""
    file = tmp_path / "rows.json"
    options = ["--only", "unet-forward", "--batch", "2", "--system", "kseg", "--rounds", "2", "--quick"]
    assert main(["peers", *options, "--json", str(file)]) == 0
    rows = json.loads(file.read_text())
    assert [(row["work"], row["system"], row["precision"], row["batch"]) for row in rows] == [
        ("unet-forward", "kseg", "float32", 2),
        ("unet-forward", "kseg", "mixed_bfloat16", 2),
    ]
    for row in rows:
        assert 0 < row["seconds"] < row["first_call_s"] and len(row["rounds_s"]) == 2
        assert row["peak_mb"] > 100
    assert rows[0]["agreement"] == 1 and rows[0]["difference"] == 0
    assert 0.9 < rows[1]["agreement"] <= 1 and rows[1]["difference"] > 0
    printed = capsys.readouterr().out
    assert "Processor: " in printed and "tensorflow 2." in printed


def test_unknown_names_are_refused_with_those_that_exist(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["peers", "--only", "unet-backward", "--quick"])
    assert ended.value.code == 2
    assert "no work 'unet-backward'; there are unet-forward, fcn32s-forward" in capsys.readouterr().err


def test_training_steps_lower_the_loss_and_a_system_that_fails_says_why():
    missing, broken = System("kseg_system", ("no_such_package",)), System("no_such_system", ())
    runner = Runner({"broken": broken, "kseg": SYSTEMS["kseg"], "missing": missing}, rounds=1)
    runner.run(small(works()["unet-step"]), [1], ["float32"])
    (row,) = runner.rows
    assert row["system"] == "kseg" and row["agreement"] == 1 and not runner.faults
    assert row["losses"][1] < row["losses"][0]
    reasons = dict(runner.reasons.keys())
    assert reasons["missing"] == "no_such_package is not installed (pip install 'kseg[bench]')"
    assert reasons["broken"] == "ModuleNotFoundError: No module named 'benchmarks.peers.systems.no_such_system'"


def test_systems_know_what_they_cannot_do():
    step = Task(works()["unet-step"], 1, "float32", "openvino")
    mixed = Task(works()["unet-forward"], 1, "mixed_bfloat16", "onnxruntime")
    assert System("", (), trains=False).reason(step) == "it does no training steps"
    assert System("", (), precisions=("float32",)).reason(mixed) == "it computes in float32 alone"


def test_scores_beyond_rounding_are_a_fault():
    work = works()["unet-forward"]
    scores = np.random.default_rng(0).normal(size=(1, 8, 8, 2)).astype(np.float32)
    near, far = scores * np.float32(1 + 1e-6), scores + 1e-3 * np.abs(scores).max()
    epsilon = 2.0**-24
    assert compare.forward_fault(work, "float32", near, scores, epsilon) == ""
    # 5 sqrt(9 * 1024 * 23) 2^-24
    assert compare.forward_bound(work) == pytest.approx(1.372e-4, rel=1e-3)
    assert compare.forward_fault(work, "float32", far, scores, epsilon).startswith("its scores differ by 1.0e-03")
    assert "agree with float32" in compare.forward_fault(work, "mixed_bfloat16", -scores, scores, epsilon)
    assert "shape" in compare.forward_fault(work, "float32", scores[:, 1:], scores, epsilon)


def test_losses_that_part_are_a_fault():
    assert compare.step_fault("float32", [0.7, 0.6], [0.7, 0.6]) == ""
    assert compare.step_fault("float32", [0.71, 0.6], [0.7, 0.6]) == "its first loss is 0.71, not 0.7"
    assert "off by 1.7e-02" in compare.step_fault("float32", [0.7, 0.61], [0.7, 0.6])
    assert "first loss" in compare.step_fault("float32", [float("nan"), 0.6], [0.7, 0.6])
    assert compare.step_fault("mixed_bfloat16", [0.7, 0.61], [0.7, 0.6]) == ""
    assert compare.step_agreement([1, 0.9], [1, 1, 5]) == pytest.approx(0.9)


def test_a_wrong_result_ends_the_command_with_1(monkeypatch, capsys):
    monkeypatch.setattr(compare, "forward_bound", lambda work, epsilon: -1.0)  # so that every result is wrong
    options = ["--only", "unet-forward", "--batch", "1", "--system", "kseg", "--rounds", "1", "--quick"]
    assert main(["peers", *options, "--precision", "float32"]) == 1
    assert "WRONG: unet-forward, batch 1, float32: kseg: its scores differ by 0.0e+00" in capsys.readouterr().out


def test_the_table_names_the_fastest_peer_and_the_ratio(row):
    others = [{**row, "system": "torch", "seconds": 2.5}, {**row, "system": "openvino", "seconds": 1.6}]
    lines = table.terminal_table([row, *others]).splitlines()
    assert [line[0] for line in lines if "openvino  " in line or "torch  " in line] == [" ", "*"]
    assert lines[-1].strip() == "kseg takes 1.25 of openvino's time"


def test_kept_rows_become_the_tables_of_a_page(row, page):
    machine = processor.machine(2)
    table.keep("peers-a", machine, [row, {**row, "system": "torch", "seconds": 4.0}], "2026-01-02")
    table.keep("peers-a", machine, [{**row, "seconds": 1.0}], "2026-03-04")  # replaces the first
    table.write_tables(page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| unet-forward | 1 | float32 | 1.000 | **4.000** | 0.25 | 900 | 3.0 | 1.0000 |" in text
    assert "Measured: 2026-01-02 to 2026-03-04." in text and "No figures of a GPU exist yet" in text
    page.write_text("no marks")
    with pytest.raises(ValueError, match="must be there once"):
        table.write_tables(page)


def test_the_page_in_docs_is_what_the_kept_rows_give(tmp_path):
    copy = tmp_path / "speed.md"
    copy.write_text((ROOT / "docs/speed.md").read_text())
    table.write_tables(copy)
    assert copy.read_text() == (ROOT / "docs/speed.md").read_text()


def test_an_imitated_processor_hides_its_flags_and_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(processor.IMITATE, "avx2")
    assert not [flag for flag in processor.flags() if flag.startswith(("avx512", "amx"))]
    assert processor.kind().endswith("-imitated")
    assert "IMITATED" in table.described(processor.machine(2))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    found = processor.environment(2, tmp_path)
    assert found["ATEN_CPU_CAPABILITY"] == "avx2" and found["ONEDNN_MAX_CPU_ISA"] == "SSE41"


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
@pytest.mark.parametrize("name", ["unet-forward", "fcn32s-forward", "fcn8s-forward"])
def test_torch_computes_the_same_scores(name):
    import torch

    from benchmarks.peers.systems import kseg_system, torch_system

    work = small(works()[name])
    task = Task(work, 2, "float32", "torch")
    wanted = kseg_system.caller(kseg_system.load(task), task)()
    threads = torch.get_num_threads()
    found = torch_system.caller(torch_system.load(task), task)()
    torch.set_num_threads(threads)
    assert found.shape == (2, work.label_size, work.label_size, work.classes)
    assert compare.difference(found, wanted) < compare.forward_bound(work)
    assert len(np.unique(wanted.argmax(-1))) > 1  # else agreement would mean nothing


@pytest.mark.skipif(not HAS_JAX, reason="JAX is not installed")
@pytest.mark.parametrize("name", ["unet512-forward", "fcn8s-step"])
def test_jax_runs_kseg_without_tensorflow(name):
    program = """
import sys
sys.modules["tensorflow"] = None  # its import fails
from benchmarks.peers.systems import jax_system
from benchmarks.peers.works import Task, gpu_works, small
work = small(gpu_works()[sys.argv[1]])
task = Task(work, 1, "float32", "kseg")
call = jax_system.caller(jax_system.load(task), task)
if work.is_step:
    first, *_, last = [call() for _ in range(5)]
    assert last < first, (first, last)
else:
    assert call().shape == (1, work.label_size, work.label_size, work.classes)
"""
    run = [sys.executable, "-c", program, name]
    variables = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    subprocess.run(run, cwd=ROOT, env=variables, check=True, timeout=100)
