"""Studies: trainings by kseg's own commands that differ in one thing. In float32."""

import json

import pytest

from benchmarks import draw_results
from benchmarks.studies import command
from benchmarks.studies.lists import STUDIES
from benchmarks.studies.study import Arm, Study

WORDS = (
    "--recipe demo --steps 2 --set epoch_steps=1 --set model.width=2 --set model.depth=1 --crop 32,32 "
    "--batch-size 1 --precision float32"
)


def test_a_training_starts_only_from_one_before_it_whose_score_nobody_needs():
    for study in STUDIES.values():
        before = []
        for arm in study.arms:
            assert arm.start is None or arm.start in before
            before.append(arm.name)
            assert "{" not in arm.train.format(shared="DATA", files="FILES")
        assert len(set(before)) == len(before)


def test_a_study_trains_scores_and_is_drawn(tmp_path, monkeypatch, capsys):
    arms = [Arm("first", WORDS, is_scored=False), Arm("from it", WORDS, "first"), Arm("more", f"{WORDS} --dry")]
    study = Study("small", "Small", "What?", arms, "--split val", ("mean_iu", "object_f1"), along=True)
    monkeypatch.setattr(command, "STUDIES", {"small": study})
    monkeypatch.setattr(draw_results, "STUDIES", {"small": study})
    file = tmp_path / "studies-one.json"
    words = [str(tmp_path), "--studies", "small", "--folder", str(tmp_path / "runs"), "--json", str(file)]
    assert command.main(words) == 1  # the last one's words are wrong
    assert "small, more, seed 0: It ended with code 2" in capsys.readouterr().out
    first, second = json.loads(file.read_text())["rows"]
    assert first["scores"] == {} and 0 <= second["scores"]["mean_iu"] <= 1 and second["steps"] == 2
    assert [step for step, _ in second["curve"]] == [1, 2] and "--init-weights FOLDER/small/first" in second["command"]
    assert command.main(words) == 1
    assert "small, from it, seed 0: there is a row" in capsys.readouterr().out
    page = draw_results.write_page(tmp_path, tmp_path / "docs").read_text()
    assert "| from it |" in page and "| first |" not in page
    assert "from it" in next((tmp_path / "docs" / "pictures").iterdir()).read_text()


def test_a_study_that_is_not_there_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), "--studies", "ships", "--folder", str(tmp_path)])
    assert "There is no study 'ships'; there are camvid-stages" in capsys.readouterr().err
