"""The benchmark of many images, in a small form: its figures are there, and the results are right."""

import json

from benchmarks.many_images import main


def test_the_benchmark_gives_shares_of_the_bare_rate_and_equal_results(tmp_path, capsys):
    words = ["--images", "5", "--size", "48", "--network", "tiny", "--bare", "2", "--json", str(tmp_path / "a.json")]
    found = main(words)
    assert found["same"] and found["written"] == found["scored"] == found["images"] == 5
    assert all(found["seconds"][name] > 0 for name in ("bare", "arrays", "predict", "evaluate"))
    for name, share in found["share"].items():
        assert share == found["seconds"]["bare"] / found["seconds"][name]
    assert found["peak_mb"]["all"] >= found["peak_mb"]["a tenth"] > 0
    assert json.loads((tmp_path / "a.json").read_text()) == found
    said = capsys.readouterr().out
    assert "of the bare rate" in said and "peak memory" in said and "results equal to kseg.predict: True" in said
